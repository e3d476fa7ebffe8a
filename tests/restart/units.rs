//! The units and the other files in docs/operations/systemd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::folder::Folder;
use crate::common::server;

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations/systemd")
}

fn read(file: &str) -> String {
    fs::read_to_string(units().join(file)).expect(file)
}

/// Returns the output of systemd-analyze, unless it is not installed.
fn analyze(arguments: &[&str]) -> Option<Output> {
    let output = Command::new("systemd-analyze").args(arguments).output();
    if output.is_err() {
        println!("skipped: systemd-analyze is not installed");
    }
    output.ok()
}

/// Puts the units into a folder, with the program where it is now. Returns their paths.
fn install(folder: &Folder) -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_greet-server");
    let names = [
        "greet.service",
        "greet.socket",
        "greet@.service",
        "greet@.socket",
    ];
    let install = |name| {
        let text = read(name).replace("/usr/bin/greet-server", program);
        let path = folder.path(name);
        fs::write(&path, text).expect("room for a file");
        path.to_str().expect("text").to_owned()
    };
    names.map(install).to_vec()
}

#[test]
fn units_are_correct() {
    let folder = Folder::new("verify");
    let paths = install(&folder);
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let Some(output) = analyze(&[&["verify", "--man=no"], &paths[..]].concat()) else {
        return;
    };
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaints}");
    assert_eq!(complaints, "");
}

#[test]
fn services_are_confined() {
    let folder = Folder::new("security");
    let paths = install(&folder);
    for path in paths.iter().filter(|path| path.ends_with(".service")) {
        // In tenths: 1.0 at most.
        let arguments = ["security", "--offline=yes", "--threshold=10", path];
        let Some(output) = analyze(&arguments) else {
            return;
        };
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{report}");
        assert!(report.contains("Overall exposure level"), "{report}");
    }
}

#[test]
fn commands_of_the_units_are_accepted() {
    for unit in ["greet.service", "greet@.service"] {
        let text = read(unit);
        let mut lines = text.lines();
        let command = lines.find_map(|line| line.strip_prefix("ExecStart=/usr/bin/greet-server "));
        let configuration = units().join("greet.conf");
        let configuration = configuration.to_str().expect("text");
        let flags = command
            .expect("a command")
            .replace("/etc/greet/greet.conf", configuration);
        let flags: Vec<_> = flags.split(' ').chain(["--check-config"]).collect();
        let output = server::command(&flags).output();
        let output = output.expect("starting greet-server");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn options_in_comments_of_the_configuration_are_accepted() {
    let folder = Folder::new("comments");
    let text = read("greet.conf");
    let options = text.lines().map(|line| line.trim_start_matches("# "));
    let options: Vec<_> = options.filter(|line| line.contains(" = ")).collect();
    let path = folder.path("greet.conf");
    fs::write(&path, options.join("\n")).expect("room for a file");
    let path = path.to_str().expect("text");
    let output = server::command(&["--check-config", "--config", path]).output();
    let output = output.expect("starting greet-server");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(options.len() > 3);
}

#[test]
fn template_is_as_the_single_service() {
    let settings = |file: &str| -> Vec<String> {
        let text = read(file).replace("@%i", "").replace(" %i", "");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(settings("greet@.service"), settings("greet.service"));
    let mut template = settings("greet@.socket");
    let sharing = template.iter().position(|line| line == "ReusePort=yes");
    template.remove(sharing.expect("it shares the port"));
    assert_eq!(template, settings("greet.socket"));
}

#[test]
fn kernel_settings_exist() {
    let text = read("60-greet.conf");
    let settings = text.lines().filter_map(|line| line.split_once(" = "));
    let paths = settings.map(|(key, _)| Path::new("/proc/sys").join(key.replace('.', "/")));
    let paths: Vec<_> = paths.collect();
    assert!(!paths.is_empty());
    if cfg!(target_os = "linux") {
        assert!(paths.iter().all(|path| path.exists()), "{paths:?}");
    }
}
