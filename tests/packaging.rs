//! What operators install: the Kubernetes manifests and the Debian package fit the programs.

#![cfg(all(feature = "client", feature = "load", feature = "server"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn manifests() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("docs/operations/kubernetes")).expect("a folder");
    let mut paths: Vec<_> = folder.map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    paths.sort();
    paths
}

/// Returns the arguments of the container.
fn arguments() -> Vec<String> {
    let deployment = root().join("docs/operations/kubernetes/deployment.yaml");
    let deployment = fs::read_to_string(deployment).expect("the deployment");
    let arguments = deployment
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- --"));
    arguments.map(|argument| format!("--{argument}")).collect()
}

#[test]
fn arguments_of_the_container_are_valid() {
    let arguments = arguments();
    assert!(arguments.len() > 3, "{arguments:?}");
    let mut server = Command::new(env!("CARGO_BIN_EXE_greet-server"));
    // Everything is checked before the help is printed, but unknown options.
    let checked = server.args(&arguments).arg("--check-config").output();
    let checked = checked.expect("starting it");
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn grace_period_is_longer_than_stopping_takes() {
    let deployment = root().join("docs/operations/kubernetes/deployment.yaml");
    let deployment = fs::read_to_string(deployment).expect("the deployment");
    let seconds = |key: &str| -> u64 {
        let (_, value) = deployment.split_once(key).expect(key);
        let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect(key)
    };
    let stopping = seconds("\n                seconds: ") + seconds("--drain=");
    assert!(seconds("terminationGracePeriodSeconds: ") >= stopping + 5);
}

#[test]
fn manifests_are_valid_for_kubernetes() {
    let mut validate = Command::new("kubernetes-validate");
    let Ok(validated) = validate.arg("--strict").args(manifests()).output() else {
        return println!("skipped: there is no kubernetes-validate");
    };
    assert!(validated.status.success(), "{validated:?}");
}

#[test]
fn package_has_every_program_with_its_page_and_completions() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    let (_, package) = manifest
        .split_once("[package.metadata.deb]")
        .expect("the package");
    let assets: Vec<_> = package
        .lines()
        .filter_map(|line| line.trim().strip_prefix("[\""))
        .filter_map(|asset| asset.split('"').next())
        .collect();
    for asset in &assets {
        let is_program = asset.starts_with("target/release/");
        assert!(is_program || root().join(asset).is_file(), "{asset}");
    }
    for program in ["greet-server", "greet-client", "greet-load"] {
        for wanted in [
            format!("target/release/{program}"),
            format!("docs/man/{program}.1"),
            format!("docs/man/completions/{program}.bash"),
            format!("docs/man/completions/_{program}"),
            format!("docs/man/completions/{program}.fish"),
        ] {
            assert!(assets.contains(&wanted.as_str()), "{wanted}");
        }
    }
    let units = fs::read_dir(root().join("docs/operations/systemd")).expect("a folder");
    for unit in units {
        let name = unit.expect("a file").file_name().into_string().expect("text");
        let asset = format!("docs/operations/systemd/{name}");
        assert!(assets.contains(&asset.as_str()), "{asset}");
    }
}
