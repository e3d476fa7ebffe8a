//! The greeting client: one blocking socket, one conversation.
//!
//! It shares no code with the library, on purpose. It is an independent witness of the wire: a
//! mistake that the server and its own tests have in common shows here.

mod address;
mod args;
mod conversation;
mod failure;
mod terminal;
mod wire;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::failure::Failure;
use crate::terminal::{Names, Screen};
use crate::wire::Wire;

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            // With standard error gone too, the exit code is all there is left to say it with.
            let _ = writeln!(io::stderr(), "{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(args: Args) -> Result<(), Failure> {
    let mut wire = Wire::connect(args.server, args.framing, args.timeout)?;
    let mut names = Names::listed_or_from_stdin(args.names);
    conversation::hold(&mut wire, &mut names, &mut Screen::on_stdout())
}
