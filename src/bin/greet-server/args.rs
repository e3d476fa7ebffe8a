//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use log::{LevelFilter, warn};
use oneloop::greeting::{Config, Framing};
use oneloop::{Limits, WhenFull};

use crate::address::parse_address;
use crate::descriptors::Allowance;

/// A greeting server: one thread, one loop, every client.
#[derive(Debug, Parser)]
#[command(name = "greet-server", version, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Address to listen on; may be given several times. Port 0 means any free one.
    #[arg(
        long,
        value_name = "ADDR",
        env = "GREET_LISTEN",
        value_delimiter = ',',
        default_value = "127.0.0.1:6000",
        value_parser = parse_address
    )]
    pub(crate) listen: Vec<SocketAddr>,

    /// How a name ends: at a line feed, after a silence, or whichever comes first.
    #[arg(long, env = "GREET_FRAMING", default_value = "auto", value_parser = ["auto", "line", "silence"])]
    framing: String,

    /// How long a peer must be quiet for its bytes to be a name.
    #[arg(long, value_name = "TIME", env = "GREET_QUIET_GAP", default_value = "30ms", value_parser = humantime::parse_duration)]
    quiet_gap: Duration,

    /// Connections served at once. Default: what the limit on file descriptors allows.
    #[arg(long, value_name = "N", env = "GREET_MAX_CONNECTIONS", value_parser = parse_count)]
    max_connections: Option<usize>,

    /// Connections served at once from one address (IPv6: from one /64). Default: no limit.
    #[arg(long, value_name = "N", env = "GREET_MAX_PER_IP", value_parser = parse_count)]
    max_per_ip: Option<usize>,

    /// What becomes of those who come when the server is full: told so, or left to wait.
    #[arg(long, env = "GREET_WHEN_FULL", default_value = "refuse")]
    when_full: WhenFullArg,

    /// How long a peer may take to give a whole name.
    #[arg(long, value_name = "TIME", env = "GREET_NAME_TIMEOUT", default_value = "60s", value_parser = humantime::parse_duration)]
    name_timeout: Duration,

    /// How long a peer may take to read what it is sent.
    #[arg(long, value_name = "TIME", env = "GREET_WRITE_TIMEOUT", default_value = "30s", value_parser = humantime::parse_duration)]
    write_timeout: Duration,

    /// How long the connections have to finish when the server is stopped.
    #[arg(long, value_name = "TIME", env = "GREET_DRAIN", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) drain: Duration,

    /// Connections that may wait in the kernel to be accepted.
    #[arg(long, value_name = "N", env = "GREET_BACKLOG", default_value_t = 4096)]
    pub(crate) backlog: u32,

    /// What is logged: off, error, warn, info, debug or trace.
    #[arg(
        long,
        value_name = "LEVEL",
        env = "GREET_LOG_LEVEL",
        default_value = "info"
    )]
    pub(crate) log_level: LevelFilter,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WhenFullArg {
    /// Say that the server is full, and close.
    Refuse,
    /// Let them wait until somebody leaves.
    Queue,
}

impl Args {
    /// The limits of the loop, within what the system allows.
    pub(crate) fn limits(&self, allowance: Allowance) -> Limits {
        let connections_max = self.max_connections.unwrap_or(allowance.connections);
        if connections_max > allowance.connections {
            warn!(
                "The limit on file descriptors allows {} connections, not {connections_max}: raise it with `ulimit -n`",
                allowance.connections
            );
        }
        Limits {
            connections_max: connections_max.min(allowance.connections),
            connections_per_address_max: self.max_per_ip,
            when_full: match self.when_full {
                WhenFullArg::Refuse => WhenFull::Refuse,
                WhenFullArg::Queue => WhenFull::Queue,
            },
            refusals_max: allowance.refusals,
            backlog: self.backlog,
            write_timeout: self.write_timeout,
            drain: self.drain,
            ..Limits::default()
        }
    }

    /// How the greeting is spoken.
    pub(crate) fn greeting(&self) -> Config {
        Config {
            framing: self.framing(),
            quiet_gap: self.quiet_gap,
            name_timeout: self.name_timeout,
            ..Config::default()
        }
    }

    fn framing(&self) -> Framing {
        self.framing
            .parse()
            .expect("the parser lets only the three names pass")
    }
}

fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a server for nobody serves nobody: give at least 1".into()),
        Ok(count) => Ok(count),
        Err(_) => Err("expected a whole number, like 1000".into()),
    }
}

const EXAMPLES: &str = "\
Examples:
  greet-server                              serve on 127.0.0.1:6000; then try: nc 127.0.0.1 6000
  greet-server --listen '[::]:6000' --listen 0.0.0.0:6000 --max-per-ip 50
  greet-server --framing line --log-level warn     for programs and for measuring
";

const EXIT_CODES: &str = "\
Times are written like 30ms, 10s, 2m. SIGINT, SIGTERM and SIGHUP stop the server politely, a second
one at once; SIGUSR1 logs its counters. NO_COLOR is honoured.

Exit codes:
  0    stopped, and every connection had finished
  1    cannot serve: the address is taken, for example
  2    the command line is wrong
  3    stopped, but some connections had not finished after --drain and were cut off
  128+N  stopped at once by a second signal N (130 for Ctrl-C)";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_explicit_maximum_is_lowered_to_what_the_descriptors_allow() {
        let args = Args::parse_from(["greet-server", "--max-connections", "5000"]);
        let limits = args.limits(Allowance {
            connections: 32,
            refusals: 16,
        });
        assert_eq!(limits.connections_max, 32);
    }
}
