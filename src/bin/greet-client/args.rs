//! The command line: flags and environment become a checked [`Args`], or help, or misuse.

use std::env;
use std::io::{self, IsTerminal};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use log::{LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

use crate::wire::Framing;
use greet_support::VERSION;
use greet_support::address::{self, Address};
use greet_support::manual::Manual;

/// The command line, checked.
#[derive(Debug)]
pub(crate) struct Args {
    /// Where the server listens.
    pub(crate) server: Address,
    /// Names to send; if there are none, they come from standard input.
    pub(crate) names: Vec<String>,
    /// How a name ends on the wire.
    pub(crate) framing: Framing,
    /// How long to wait for the connection, and then for each answer.
    pub(crate) timeout: Duration,
    /// The file that keeps the names typed at a terminal, if any.
    pub(crate) history: Option<PathBuf>,
    /// How to encrypt the connection, if at all.
    #[cfg_attr(
        not(feature = "tls"),
        expect(dead_code, reason = "it is always `None`")
    )]
    pub(crate) tls: Option<Encryption>,
}

/// The other end of an encrypted connection.
#[derive(Debug)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "there is none"))]
pub(crate) struct Encryption {
    /// The file with the certificates of authorities, instead of the system's.
    pub(crate) authorities: Option<PathBuf>,
    /// The server's name, instead of the host.
    pub(crate) name: Option<String>,
}

/// Talk to a greeting server: it asks for a name, and greets it.
///
/// Names come from --name, or else from standard input, one a line. The name `exit` ends the
/// conversation, and so does the end of the names (Ctrl-D at a terminal). At a terminal the line
/// can be edited (arrow keys, Ctrl-R for the history); Ctrl-C ends the program.
#[derive(Debug, Parser)]
#[command(
    name = "greet-client",
    version = VERSION,
    before_help = EXAMPLES,
    after_help = EXIT_CODES,
    max_term_width = 100
)]
struct CommandLine {
    /// Where the server listens: HOST:PORT, HOST PORT, :PORT, PORT or HOST.
    ///
    /// A missing host is 127.0.0.1, a missing port is 6000. An IPv6 host before a colon and a port
    /// stands in brackets. The addresses of a name are tried in turn.
    #[arg(
        value_names = ["ADDR", "PORT"],
        num_args = 0..=2,
        env = "GREET_ADDR",
        default_value = Address::DEFAULT
    )]
    server: Vec<String>,

    /// A name to send; may be given again. After the last one comes `exit`.
    #[arg(long = "name", value_name = "NAME", env = "GREET_NAME", value_parser = name)]
    names: Vec<String>,

    /// How a name ends on the wire.
    #[arg(long, env = "GREET_FRAMING", value_enum, default_value_t = FramingArg::Auto)]
    framing: FramingArg,

    /// How long to wait for the connection, and then for each answer (250ms, 10s, 1m).
    ///
    /// Looking up a host's name is not included: it takes as long as the system's resolver takes.
    #[arg(long, env = "GREET_TIMEOUT", default_value = "10s", value_parser = timeout)]
    timeout: Duration,

    /// Talks over TLS. Needs a build with the feature `tls`.
    #[arg(long, env = "GREET_TLS")]
    tls: bool,

    /// Certificates of the authorities to trust, as a PEM file, instead of those of the system.
    #[arg(long, value_name = "FILE", env = "GREET_TLS_CA", requires = "tls")]
    tls_ca: Option<PathBuf>,

    /// The name in the server's certificate, if it is not the host.
    #[arg(long, value_name = "NAME", env = "GREET_TLS_NAME", requires = "tls")]
    tls_name: Option<String>,

    /// Logs each address that is tried to standard error.
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten)]
    manual: Manual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FramingArg {
    /// `silence` if standard input is a terminal, else `line`.
    Auto,
    /// A newline follows each name.
    Line,
    /// Nothing follows: the name ends when no more bytes come (the tutorial's bytes).
    Silence,
}

impl Args {
    /// Parses the command line and the environment; ends the program if they are wrong.
    pub(crate) fn from_command_line() -> Self {
        let given = CommandLine::parse();
        given.manual.run_if_asked(CommandLine::command);
        if given.verbose {
            start_log();
        }
        if given.tls && cfg!(not(feature = "tls")) {
            let error = CommandLine::command().error(ErrorKind::InvalidValue, NO_TLS);
            error.exit()
        }
        let text = given.server.join(" ");
        let server = address::to_connect_to(&text).unwrap_or_else(|problem| {
            let message = format!("invalid value '{text}' for '[ADDR] [PORT]': {problem}");
            let error = CommandLine::command().error(ErrorKind::ValueValidation, message);
            error.exit()
        });
        Self {
            server,
            names: given.names,
            framing: given.framing.resolve(),
            timeout: given.timeout,
            history: history(),
            tls: given.tls.then_some(Encryption {
                authorities: given.tls_ca,
                name: given.tls_name,
            }),
        }
    }
}

/// Returns the file for the history: `GREET_HISTORY`, of which an empty value means none, or a file
/// where the XDG base directory specification has the state of programs.
fn history() -> Option<PathBuf> {
    if let Some(path) = env::var_os("GREET_HISTORY") {
        return (!path.is_empty()).then(|| path.into());
    }
    let state = match env::var_os("XDG_STATE_HOME") {
        Some(path) if Path::new(&path).is_absolute() => PathBuf::from(path),
        _ => env::home_dir()?.join(".local/state"),
    };
    Some(state.join("greet-client/history"))
}

impl FramingArg {
    fn resolve(self) -> Framing {
        match self {
            Self::Silence => Framing::Silence,
            Self::Line => Framing::Line,
            Self::Auto if io::stdin().is_terminal() => Framing::Silence,
            Self::Auto => Framing::Line,
        }
    }
}

fn start_log() {
    let logger = SimpleLogger::new()
        .with_level(LevelFilter::Off)
        .with_module_level(env!("CARGO_CRATE_NAME"), LevelFilter::Debug)
        .with_colors(false)
        .without_timestamps();
    log::set_max_level(logger.max_level());
    // It fails only if there is a logger already.
    let _ = log::set_boxed_logger(Box::new(Verbose(logger)));
}

/// The log of `--verbose`. simple_logger panics if standard error cannot be written to, which must
/// not end a conversation.
struct Verbose(SimpleLogger);

impl Log for Verbose {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let _ = panic::catch_unwind(AssertUnwindSafe(|| self.0.log(record)));
    }

    fn flush(&self) {}
}

/// Refuses a name that could not arrive as one.
fn name(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("a name cannot be empty");
    }
    if text.contains('\n') {
        return Err("a name cannot contain a newline: give --name once for each name");
    }
    Ok(text.to_owned())
}

fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = humantime::parse_duration(text)
        .map_err(|error| format!("{error}: write a number and its unit, as in 250ms or 10s"))?;
    if !(TIMEOUT_MIN..=TIMEOUT_MAX).contains(&timeout) {
        return Err("a time limit must be from 1ms to 1day".to_owned());
    }
    Ok(timeout)
}

/// Sockets know no wait of zero, and less than this is no wait.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// Far beyond any use, and far below the overflow of a clock.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const NO_TLS: &str = "this build of greet-client has no TLS: build it with --features tls";

const EXAMPLES: &str = "\
Examples:
  greet-client                            talk to 127.0.0.1:6000
  greet-client example.org 7000           talk to another machine
  greet-client 7000 --name Ann --name Bo  send two names to port 7000
  printf 'Ann\\nBo\\n' | greet-client     send two names from a pipe";

const EXIT_CODES: &str = "\
Exit codes:
  0  the server answered `exit` with its goodbye, or standard output was closed
  1  standard input could not be read, or standard output not written
  2  misuse: a flag, an address or a name that cannot be
  3  no connection: refused, unreachable, unknown host, no TLS, or a time-out
  4  the server did not answer within --timeout
  5  the server ended the conversation first, or without a goodbye
  6  the server does not speak the protocol
  130  Ctrl-C

NO_COLOR=1 turns off the colours of this text and of errors about flags. GREET_HISTORY is the \
file that keeps the names typed at a terminal; if it is set and empty, none does. The default is \
~/.local/state/greet-client/history.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn timeout_is_within_its_bounds() {
        assert_eq!(timeout("1ms"), Ok(TIMEOUT_MIN));
        assert_eq!(timeout("1day"), Ok(TIMEOUT_MAX));
        for text in ["0s", "999us", "25h", "1000000years", "10", "", "soon"] {
            assert!(timeout(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_that_cannot_arrive_as_one_is_refused() {
        assert_eq!(name("Smith, John"), Ok("Smith, John".to_owned()));
        assert!(name("").is_err());
        assert!(name("Alice\nBob").is_err());
    }
}
