//! The greeting client: one blocking socket, one conversation.
//!
//! It shares no code with the library, on purpose. It is an independent witness of the wire: a
//! mistake that the server and its own tests have in common shows here.
//!
//! A second thread reads the socket, so that the server's messages are shown, and the end of the
//! connection ends the program, also while the user is at the prompt.

mod args;
mod channel;
mod conversation;
#[cfg(unix)]
mod editor;
mod failure;
mod listener;
mod names;
mod screen;
#[cfg(feature = "tls")]
mod tls;
mod wire;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::args::Args;
use crate::channel::Channel;
use crate::failure::Failure;
use crate::listener::Listener;
use crate::names::Names;
use crate::screen::Screen;

fn main() -> ExitCode {
    ExitCode::from(exit_code(run(Args::from_command_line())))
}

fn run(args: Args) -> Result<(), Failure> {
    let channel = connect(&args)?;
    let mut names = Names::listed_or_from_stdin(args.names, args.history);
    let listener = Listener::start(channel, args.server, Screen::on_stdout())?;
    conversation::run(&listener, &mut names, args.framing, args.timeout)
}

fn connect(args: &Args) -> Result<Channel, Failure> {
    let stream = wire::connect(&args.server, args.timeout)?;
    #[cfg(feature = "tls")]
    if let Some(tls) = &args.tls {
        let name = tls.name.as_deref().unwrap_or(args.server.host());
        let stream = tls::connect(stream, name, tls.authorities.as_deref(), args.timeout);
        let stream = stream.map_err(|error| Failure::NotEncrypted {
            server: args.server.clone(),
            error,
        })?;
        return Ok(Channel::Encrypted(Box::new(stream)));
    }
    Ok(Channel::Plain(stream))
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
