//! The greeting client: one blocking socket, one conversation.
//!
//! It shares no code with the library, on purpose. It is an independent witness of the wire: a
//! mistake that the server and its own tests have in common shows here.
//!
//! A second thread reads the socket, so that the server's messages are shown, and the end of the
//! connection ends the program, also while the user is at the prompt.

mod args;
mod conversation;
#[cfg(unix)]
mod editor;
mod failure;
mod listener;
mod names;
mod screen;
mod wire;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::args::Args;
use crate::failure::Failure;
use crate::listener::Listener;
use crate::names::Names;
use crate::screen::Screen;

fn main() -> ExitCode {
    ExitCode::from(exit_code(run(Args::from_command_line())))
}

fn run(args: Args) -> Result<(), Failure> {
    let stream = wire::connect(&args.server, args.timeout)?;
    let mut names = Names::listed_or_from_stdin(args.names, args.history);
    let listener = Listener::start(stream, args.server, Screen::on_stdout())?;
    conversation::run(&listener, &mut names, args.framing, args.timeout)
}

/// Reports a failure, and returns the code for it.
fn exit_code(result: Result<(), Failure>) -> u8 {
    match result {
        Ok(()) | Err(Failure::OutputClosed) => 0,
        Err(failure) => {
            // If standard error is closed, too, the exit code is all there is.
            let _ = writeln!(io::stderr(), "{failure}");
            failure.exit_code()
        }
    }
}
