//! The builds of the peers' programs, repeated only if sources have changed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;
use std::{env, fs, process};

use super::{ANY_PORT, Library, Unavailable};

/// Builds a C peer with `cc`.
pub(super) fn c(
    name: &str,
    source: &str,
    library: Option<Library>,
) -> Result<PathBuf, Unavailable> {
    if !cfg!(target_os = "linux") {
        return Err(skipped(format!("the C peer {name} is written for Linux")));
    }
    let target = peers_folder()?.join(name);
    if is_fresh(
        &target,
        &[sources().join(source), sources().join("greeting.h")],
    ) {
        return Ok(target);
    }
    if !is_on_path("cc") {
        return Err(missing("a C compiler (`cc`)", "gcc"));
    }
    if let Some(library) = library {
        probe(library)?;
    }
    build_into(&target, |unfinished| {
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-std=gnu11", "-Wall", "-Wextra", "-o"]);
        cc.arg(unfinished).arg(sources().join(source));
        cc.args(library.map(|library| library.flag));
        cc
    })
}

/// Builds a Go peer with `go`, from the standard library alone: nothing is downloaded.
pub(super) fn go(name: &str, folder: &str) -> Result<PathBuf, Unavailable> {
    let target = peers_folder()?.join(name);
    let folder = sources().join(folder);
    if is_fresh(&target, &[folder.join("main.go")]) {
        return Ok(target);
    }
    if !is_on_path("go") {
        return Err(missing("the Go toolchain (`go`)", "golang-go"));
    }
    build_into(&target, |unfinished| {
        let mut go = Command::new("go");
        go.args(["build", "-o"]).arg(unfinished).arg(".");
        go.current_dir(&folder).env("GOTOOLCHAIN", "local");
        go
    })
}

/// Finds a program of this package next to the running test or benchmark, so that both have one
/// profile. Builds it if it is missing or stale: `cargo bench` at the root does not.
pub(super) fn program(name: &str, source: &str) -> Result<PathBuf, Unavailable> {
    let folder = profile_folder()?;
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    let target = folder.join(file);
    let ours = [source, "wire.rs", "stdin_thread.rs"].map(|file| sources().join(file));
    if !is_fresh(&target, &ours) {
        run(&mut cargo_build(&["--bin", name], &folder))?;
    }
    if target.exists() {
        return Ok(target);
    }
    Err(skipped(format!(
        "{name} is not at {}; build it with `cargo build -p oneloop-bench`",
        target.display()
    )))
}

/// Builds an example of the library, as its tests and benchmarks are built. Cargo knows whether that
/// is needed.
pub(super) fn example(name: &str) -> Result<PathBuf, Unavailable> {
    let folder = profile_folder()?;
    let mut cargo = cargo_build(&["--package", "oneloop", "--example", name], &folder);
    run(&mut cargo)?;
    Ok(folder
        .join("examples")
        .join(format!("{name}{}", env::consts::EXE_SUFFIX)))
}

/// Returns the command that runs a Python peer.
pub(super) fn python(source: &str) -> Result<Vec<String>, Unavailable> {
    if !is_on_path("python3") {
        return Err(missing("Python (`python3`)", "python3"));
    }
    let script = sources().join(source).display().to_string();
    Ok(vec!["python3".to_owned(), script, ANY_PORT.to_owned()])
}

/// Returns true if a program of this name is on the path.
pub fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn cargo_build(target: &[&str], profile_folder: &Path) -> Command {
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked"]).args(target);
    cargo.args(["--profile", profile]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.arg("--target-dir").args(profile_folder.parent());
    cargo
}

/// Distinguishes a library that is not installed from a peer that does not compile.
fn probe(library: Library) -> Result<(), Unavailable> {
    let program = format!(
        "#include <{}>\nint main(void) {{ return 0; }}\n",
        library.header
    );
    let mut cc = Command::new("cc");
    cc.args(["-x", "c", "-o", "/dev/null", "-", library.flag]);
    cc.stdin(Stdio::piped()).stderr(Stdio::null());
    let compiled = cc.spawn().and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(program.as_bytes())?;
        }
        child.wait()
    });
    match compiled {
        Ok(status) if status.success() => Ok(()),
        _ => Err(missing(
            &format!(
                "`{}` and the library for `{}`",
                library.header, library.flag
            ),
            library.package,
        )),
    }
}

/// Builds to a temporary name and renames, so that no partial program is ever started.
fn build_into(
    target: &Path,
    compiler: impl FnOnce(&Path) -> Command,
) -> Result<PathBuf, Unavailable> {
    static BUILDS: AtomicUsize = AtomicUsize::new(0);
    let build = BUILDS.fetch_add(1, Ordering::Relaxed);
    let unfinished = target.with_extension(format!("{}-{build}", process::id()));
    run(&mut compiler(&unfinished))?;
    fs::rename(&unfinished, target)
        .map_err(|error| failed(format!("cannot name {}: {error}", target.display())))?;
    Ok(target.to_owned())
}

fn run(command: &mut Command) -> Result<(), Unavailable> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(failed(format!(
            "{command:?} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ))),
        Err(error) => Err(failed(format!("cannot run {command:?}: {error}"))),
    }
}

/// Returns true if `target` exists and is newer than all of its sources.
fn is_fresh(target: &Path, sources: &[PathBuf]) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified());
    let Ok(built) = changed(target) else {
        return false;
    };
    let is_older = |source: &PathBuf| changed(source).unwrap_or(SystemTime::UNIX_EPOCH) <= built;
    sources.iter().all(is_older)
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// Returns `target/peers`, in cargo's target folder.
fn peers_folder() -> Result<PathBuf, Unavailable> {
    let folder = profile_folder()?.with_file_name("peers");
    fs::create_dir_all(&folder)
        .map_err(|error| failed(format!("cannot create {}: {error}", folder.display())))?;
    Ok(folder)
}

/// Returns `target/debug` or `target/release`: tests and benchmarks run from `deps` in it.
fn profile_folder() -> Result<PathBuf, Unavailable> {
    let executable = env::current_exe()
        .map_err(|error| failed(format!("cannot tell where this program is: {error}")))?;
    let folder = executable.ancestors().nth(2);
    folder.map(Path::to_owned).ok_or_else(|| {
        failed(format!(
            "{} is not in a target folder of cargo; run it through cargo",
            executable.display()
        ))
    })
}

pub(super) fn missing(what: &str, package: &str) -> Unavailable {
    skipped(format!(
        "{what} not found; install it, on Debian with `apt-get install {package}`"
    ))
}

fn skipped(why: String) -> Unavailable {
    Unavailable::Skipped(why)
}

fn failed(why: String) -> Unavailable {
    Unavailable::Failed(why)
}
