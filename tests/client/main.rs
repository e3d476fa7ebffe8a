//! The client as its users meet it: a process, its three streams, a server at the other end.
#![cfg(feature = "client")]

mod program;
mod standin;

mod command_line;
mod conversation;
mod failures;
#[cfg(unix)]
mod terminal;

use std::fs;
use std::path::Path;

#[test]
fn the_client_shares_no_code_with_the_library() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/greet-client");
    let mut files = 0;
    for entry in fs::read_dir(sources).expect("the client has a folder") {
        let path = entry.expect("the folder can be read").path();
        let source = fs::read_to_string(&path).expect("a source file is text");
        assert!(!source.contains("oneloop"), "{}", path.display());
        files += 1;
    }
    assert!(files > 1);
}
