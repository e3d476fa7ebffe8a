//! The command line: flags and environment become a checked [`Args`], or help, or misuse.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::address::Address;

/// Talk to a greeting server: it asks for a name, and greets it.
///
/// Names come from --name, or else from standard input, one a line. The name `exit` ends the
/// conversation, and so does the end of the names (Ctrl-D at a terminal).
#[derive(Debug, Parser)]
#[command(
    name = "greet-client",
    version,
    before_help = EXAMPLES,
    after_help = EXIT_CODES,
    max_term_width = 100
)]
pub(crate) struct Args {
    /// Where the server listens: host:port, host, or :port; an IPv6 host stands in brackets.
    #[arg(value_name = "ADDR", env = "GREET_ADDR", default_value = Address::DEFAULT)]
    pub(crate) server: Address,

    /// A name to send; may be given again. After the last one comes `exit`.
    #[arg(long = "name", value_name = "NAME", env = "GREET_NAME", value_parser = name)]
    pub(crate) names: Vec<String>,

    /// How the server is told where a name ends.
    #[arg(long, env = "GREET_FRAMING", value_enum, default_value_t = Framing::Silence)]
    pub(crate) framing: Framing,

    /// How long to wait for the connection, and then for each answer (250ms, 10s, 1m).
    ///
    /// Looking up a host's name is not included: it takes as long as the system's resolver takes.
    #[arg(long, env = "GREET_TIMEOUT", default_value = "10s", value_parser = timeout)]
    pub(crate) timeout: Duration,
}

/// What follows a name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Framing {
    /// Nothing: the name ends when no more bytes come (the tutorial's bytes).
    Silence,
    /// A newline.
    Line,
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

/// Far beyond any use, and far below what overflows a clock.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const EXAMPLES: &str = "\
Examples:
  greet-client                                 talk to 127.0.0.1:6000 at the terminal
  greet-client :7000 --name Alice --name Bob   send two names, then `exit`
  printf 'Alice\\nBob\\n' | greet-client         the same, from a pipe";

const EXIT_CODES: &str = "\
Exit codes:
  0  the server was told `exit` and said good bye, or nobody reads standard output any more
  1  standard input could not be read, or standard output not written
  2  misuse: a flag, an address or a name that cannot be
  3  no connection: refused, unreachable, unknown host, or none within --timeout
  4  the server did not answer within --timeout
  5  the server ended the conversation first (its last line is shown), or left without a good bye
  6  the server does not speak the protocol

NO_COLOR=1 turns off the colours of this text and of error messages about flags.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_timeout_is_longer_than_nothing_and_shorter_than_for_ever() {
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
