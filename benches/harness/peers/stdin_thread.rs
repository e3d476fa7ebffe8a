//! The end of stdin as the sign to leave, awaited by a thread.

use std::{io, process, thread};

/// Ends the process when stdin does.
pub(crate) fn exit_with_stdin() {
    thread::spawn(|| {
        // An error is an end, too.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
}
