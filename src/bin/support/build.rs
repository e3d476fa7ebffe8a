//! Passes the commit and the target of a build to the programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    let variable = |name| env::var(name).unwrap_or_default();
    println!("cargo::rerun-if-changed=src/bin/support/build.rs");
    println!("cargo::rustc-env=GREET_TARGET={}", variable("TARGET"));
    // Only here: a debug build would be built anew after every commit.
    let commit = if variable("PROFILE") == "release" {
        let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
        packaged(&root).or_else(|| checked_out(&root))
    } else {
        Some("debug build".into())
    };
    let commit = commit.unwrap_or_else(|| "unknown commit".into());
    println!("cargo::rustc-env=GREET_COMMIT={commit}");
}

/// Returns the commit that a package from a registry was made from.
fn packaged(root: &Path) -> Option<String> {
    let info = fs::read_to_string(root.join(".cargo_vcs_info.json")).ok()?;
    let (_, rest) = info.split_once("\"sha1\": \"")?;
    rest.get(..COMMIT_LENGTH).map(Into::into)
}

/// Returns the commit that is checked out.
fn checked_out(root: &Path) -> Option<String> {
    // Not the commit of a repository that happens to be around this folder.
    root.join(".git").exists().then_some(())?;
    // Its log of HEAD changes with every commit and checkout.
    let log = root.join(git(root, &["rev-parse", "--git-path", "logs/HEAD"])?);
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    git(
        root,
        &["rev-parse", &format!("--short={COMMIT_LENGTH}"), "HEAD"],
    )
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(root)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().into())
}

const COMMIT_LENGTH: usize = 12;
