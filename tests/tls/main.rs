//! TLS on real sockets: the server and the client of this project, and OpenSSL's.
//!
//! `cargo test --features tls --test tls`

#![cfg(unix)]

mod audit;
#[path = "../common/mod.rs"]
mod common;
mod flood;
mod greeting;
mod openssl;
mod peer;
mod reload;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::Server;

/// Returns the path of one of the tests' certificates or keys.
fn file(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/oneloop/tls/testdata");
    format!("{folder}/{name}")
}

/// Starts a server over TLS.
#[track_caller]
fn start(flags: &[&str]) -> Server {
    let (certificate, key) = (file("first.pem"), file("first-key.pem"));
    let tls = ["--tls-cert", &certificate, "--tls-key", &key];
    Server::start(&[&tls, flags].concat())
}

/// Returns the reason why a test without a tool is skipped.
fn lacks(tool: &str) -> Option<String> {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {tool}")])
        .stdout(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => None,
        _ => Some(format!("there is no `{tool}`")),
    }
}

fn skip(what: &str, reason: &str) {
    println!("skipped: {what}: {reason}");
}

/// A folder that is removed at the end of its test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("greet-tls-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
