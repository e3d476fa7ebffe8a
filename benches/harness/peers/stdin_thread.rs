//! Exit at the end of stdin, in a thread.

use std::{io, process, thread};

/// Exits at the end of stdin.
pub(crate) fn exit_with_stdin() {
    thread::spawn(|| {
        // An error is an end, too.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
}
