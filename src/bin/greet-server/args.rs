//! The command line.

use std::path::PathBuf;
use std::time::Duration;
use std::{env, process};

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, ValueEnum};
use log::{LevelFilter, warn};
use oneloop::{Limits, WhenFull};
use oneloop_greeting::{Config, Framing};

use crate::config::{self, Options};
use crate::encryption::{Encryption, TlsArgs};
use crate::listeners::Place;
use crate::logging::LogFormat;
use crate::operators::{self, OperatorAddress};
use crate::proxies::Proxies;
use greet_support::VERSION;
use greet_support::address::Address;
use greet_support::descriptors::{self, Allowance};
use greet_support::manual::Manual;

/// A greeting server: one thread, one loop, every client.
#[derive(Debug, Parser)]
#[command(name = "greet-server", version = VERSION, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Address to listen on: HOST:PORT, HOST PORT, :PORT, PORT or HOST. May be given several times,
    /// or several with commas. Port 0 means any free one. fd://NAME takes the sockets of this name
    /// that a service manager passes (LISTEN_FDNAMES).
    #[arg(
        long = "listen",
        value_names = ["ADDR", "PORT"],
        num_args = 1..=2,
        env = "GREET_LISTEN",
        default_value = Address::DEFAULT
    )]
    listen_texts: Vec<String>,

    /// The same, parsed.
    #[arg(skip)]
    listen: Vec<Place>,

    /// How a name ends: at a line feed, after a silence, or whichever comes first.
    #[arg(long, env = "GREET_FRAMING", default_value = "auto", value_parser = ["auto", "line", "silence"])]
    framing: String,

    /// How long a peer must be quiet for its bytes to be a name.
    #[arg(long, value_name = "TIME", env = "GREET_QUIET_GAP", default_value = "30ms", value_parser = humantime::parse_duration)]
    quiet_gap: Duration,

    /// Connections served at once. Default: as many as the limit on file descriptors allows.
    #[arg(long, value_name = "N", env = "GREET_MAX_CONNECTIONS", value_parser = parse_count)]
    max_connections: Option<usize>,

    /// Connections served at once from one address (IPv6: from one /64). Default: no limit.
    #[arg(long, value_name = "N", env = "GREET_MAX_PER_IP", value_parser = parse_count)]
    max_per_ip: Option<usize>,

    /// How to handle new connections when the server is full.
    #[arg(long, env = "GREET_WHEN_FULL", default_value = "refuse")]
    when_full: WhenFullArg,

    /// How long a peer may take to give a whole name.
    #[arg(long, value_name = "TIME", env = "GREET_NAME_TIMEOUT", default_value = "60s", value_parser = humantime::parse_duration)]
    name_timeout: Duration,

    /// How long a peer may take to read its replies.
    #[arg(long, value_name = "TIME", env = "GREET_WRITE_TIMEOUT", default_value = "30s", value_parser = humantime::parse_duration)]
    write_timeout: Duration,

    /// How long the connections have to finish when the server is stopped.
    #[arg(long, value_name = "TIME", env = "GREET_DRAIN", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) drain: Duration,

    /// How long the server goes on accepting when it is stopped, before the connections have to
    /// finish: until load balancers have noticed that it is not ready any more.
    #[arg(long, value_name = "TIME", env = "GREET_GRACE", default_value = "0s", value_parser = humantime::parse_duration)]
    pub(crate) grace: Duration,

    /// How long a successor, started by SIGUSR2, has to be ready.
    #[arg(long, value_name = "TIME", env = "GREET_SUCCESSOR_TIMEOUT", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) successor_timeout: Duration,

    /// Connections that may wait in the kernel to be accepted.
    #[arg(long, value_name = "N", env = "GREET_BACKLOG", default_value_t = 4096)]
    pub(crate) backlog: u32,

    /// Address for operators, with health checks and metrics over HTTP: the path of a Unix-domain
    /// socket, or an address or fd://NAME like those of --listen. Default: none.
    #[arg(long, value_name = "ADDR", env = "GREET_ADMIN")]
    pub(crate) admin: Option<OperatorAddress>,

    /// Address for the agent checks of HAProxy, whose servers then need `weight 100`. Default: none.
    #[arg(long, value_name = "ADDR", env = "GREET_AGENT")]
    pub(crate) agent: Option<OperatorAddress>,

    /// Log turns of the loop that take longer. Default: 100ms with --admin, otherwise off.
    #[arg(long, value_name = "TIME", env = "GREET_WARN_TURN", value_parser = humantime::parse_duration)]
    warn_turn: Option<Duration>,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,

    /// Least level that is logged.
    #[arg(
        long,
        value_name = "LEVEL",
        env = "GREET_LOG_LEVEL",
        default_value = "info",
        ignore_case = true,
        value_parser = ["off", "error", "warn", "info", "debug", "trace"]
    )]
    log_level: String,

    /// Format of the log.
    #[arg(
        long,
        value_name = "FORMAT",
        env = "GREET_LOG_FORMAT",
        default_value = "text"
    )]
    pub(crate) log_format: LogFormat,

    /// Let several processes listen on one port; the kernel spreads the connections.
    #[arg(long, env = "GREET_REUSE_PORT", value_parser = FalseyValueParser::new())]
    pub(crate) reuse_port: bool,

    /// Read options from a file: `option = value` on each line, without dashes. The command line
    /// and the environment precede it.
    #[arg(long, value_name = "FILE", env = "GREET_CONFIG")]
    config: Option<PathBuf>,

    /// Check the options and the configuration file, and exit.
    #[arg(long)]
    check_config: bool,

    /// The values of all options, as they were written.
    #[arg(skip)]
    options: Options,

    #[command(flatten)]
    pub(crate) proxies: Proxies,

    #[command(flatten)]
    manual: Manual,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WhenFullArg {
    /// Report that the server is full, and close.
    Refuse,
    /// Leave them in the backlog until a connection ends.
    Queue,
}

impl Args {
    /// Parses the command line and the environment; ends the program if they are wrong.
    pub(crate) fn from_command_line() -> Self {
        let args = Self::read();
        let args = args.unwrap_or_else(|error| error.exit());
        args.manual.run_if_asked(Self::command);
        if args.check_config {
            args.check();
        }
        args
    }

    /// Reads the configuration file again, with the same command line and environment.
    ///
    /// # Errors
    /// The problem, for the operator.
    pub(crate) fn read_again() -> Result<Self, String> {
        Self::read().map_err(|error| config::sentence(&error))
    }

    fn read() -> Result<Self, clap::Error> {
        let matches = config::matches(&Self::command(), env::args_os().collect())?;
        Self::from_matches(&matches)
    }

    fn from_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::from_arg_matches(matches)?;
        args.listen = listen(matches)?;
        args.proxies.check::<Self>()?;
        args.options = config::options(&Self::command(), matches);
        let usable = args.tls.check();
        usable.map_err(|problem| Self::command().error(ErrorKind::InvalidValue, problem))?;
        Ok(args)
    }

    /// Checks what parsing does not, reports that all is well, and ends the program.
    fn check(&self) -> ! {
        let limits = self.limits(descriptors::raise_limit());
        let limits = limits.validate().map_err(|error| error.to_string());
        if let Err(problem) = limits.and_then(|()| Encryption::new(&self.tls)) {
            Self::command()
                .error(ErrorKind::InvalidValue, problem)
                .exit();
        }
        let what = match &self.config {
            Some(file) => file.display().to_string(),
            None => "the command line".into(),
        };
        println!("{what} is good");
        process::exit(0);
    }

    /// Returns the values of all options, as they were written.
    pub(crate) const fn options(&self) -> &Options {
        &self.options
    }

    /// Returns `true` if SIGHUP reads the configuration again: there is a file, or a service
    /// manager that expects it.
    pub(crate) fn can_reload(&self) -> bool {
        let manager = env::var_os("NOTIFY_SOCKET").is_some_and(|name| !name.is_empty());
        cfg!(unix) && (manager || self.config.is_some())
    }

    /// Returns where to listen.
    pub(crate) fn listen(&self) -> &[Place] {
        &self.listen
    }

    /// Returns the least level that is logged.
    pub(crate) fn log_level(&self) -> LevelFilter {
        self.log_level
            .parse()
            .expect("the parser accepts only the names of levels")
    }

    /// Returns `true` if there is an option that concerns operators.
    pub(crate) const fn is_operated(&self) -> bool {
        let serves_more = self.admin.is_some() || self.agent.is_some();
        serves_more || self.tls.is_on() || self.proxies.are_there()
    }

    /// Returns the duration above which a turn of the loop is logged, if the loop measures itself.
    pub(crate) fn warn_turn(&self) -> Option<Duration> {
        let default = self.admin.as_ref().map(|_| WARN_TURN);
        self.warn_turn.or(default)
    }

    /// Returns the limits of the loop, within those of the system.
    pub(crate) fn limits(&self, allowance: Allowance) -> Limits {
        let connections_max = self.max_connections.unwrap_or(allowance.connections);
        if connections_max > allowance.connections {
            warn!(
                "the hard limit on file descriptors, {}, allows {} connections, not {connections_max}: \
                 raise it (`ulimit -Hn` as root, or LimitNOFILE= of a systemd unit)",
                allowance.descriptors, allowance.connections
            );
        }
        Limits {
            connections_max: connections_max
                .saturating_add(operators::places(self))
                .min(allowance.connections),
            connections_per_address_max: self.max_per_ip,
            when_full: match self.when_full {
                WhenFullArg::Refuse => WhenFull::Refuse,
                WhenFullArg::Queue => WhenFull::Queue,
            },
            refusals_max: allowance.refusals,
            backlog: self.backlog,
            write_timeout: self.write_timeout,
            drain_timeout: self.drain,
            ..Limits::default()
        }
    }

    /// Returns the configuration of the greeting service.
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

/// Parses each `--listen`, of which each has one address, or a host and a port, or addresses with
/// commas.
fn listen(matches: &ArgMatches) -> Result<Vec<Place>, clap::Error> {
    let occurrences = matches.get_occurrences::<String>("listen_texts");
    let mut addresses = Vec::new();
    for occurrence in occurrences.into_iter().flatten() {
        let text = occurrence.map(String::as_str).collect::<Vec<_>>().join(" ");
        for one in text.split(',') {
            addresses.push(one.parse().map_err(|problem| misuse(one, problem))?);
        }
    }
    Ok(addresses)
}

fn misuse(address: &str, problem: &str) -> clap::Error {
    let message = format!("invalid value '{address}' for '--listen <ADDR>': {problem}");
    Args::command().error(ErrorKind::ValueValidation, message)
}

fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(count) => Ok(count),
        Err(_) => Err("expected a whole number, like 1000".into()),
    }
}

/// The duration above which a turn is slow, unless the command line has another.
const WARN_TURN: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  greet-server                  serve on 127.0.0.1:6000; try: nc 127.0.0.1 6000
  greet-server --listen :7000                       serve on another port
  greet-server --listen '[::]:6000' --listen 0.0.0.0:6000 --max-per-ip 50
  greet-server --framing line --log-level warn      for programs, for measuring
  greet-server --tls-cert cert.pem --tls-key key.pem        over TLS
";

// A paragraph is one line, so that it is wrapped where the terminal ends.
const EXIT_CODES: &str = "\
Times are written like 30ms, 10s, 2m. NO_COLOR turns colours off.

SIGINT, SIGTERM and SIGHUP shut the server down gracefully: it goes on accepting for --grace, and then \
the connections have --drain to finish. SIGINT or SIGTERM once more stops it at once. With --config, or \
under a service manager (NOTIFY_SOCKET), SIGHUP reads the configuration again instead: limits, timeouts \
and the log level, all or nothing. SIGUSR1 logs statistics, at every log level. SIGUSR2 starts a \
successor: the same program with the same options, or a new version of it, which takes over the sockets; \
when it is ready, this process drains, and if it fails, this process goes on. A signal that is ignored \
when the server starts, as under nohup, stays ignored. Under journald the log has priorities and no times.

Exit codes:
  0      stopped, and every connection had finished
  1      cannot serve: the address is taken, for example
  2      the command line is wrong
  3      stopped, but some connections had not finished after --drain
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
    fn explicit_maximum_is_lowered_to_the_allowance() {
        let args = Args::parse_from(["greet-server", "--max-connections", "5000"]);
        let limits = args.limits(Allowance {
            descriptors: 64,
            connections: 32,
            refusals: 16,
        });
        assert_eq!(limits.connections_max, 32);
    }

    #[test]
    fn listen_takes_every_form_of_an_address() {
        let command_line = [
            "greet-server",
            "--listen",
            "7000",
            "--listen",
            "::1",
            "7001",
            "--listen",
            "localhost:7002,:7003",
        ];
        let matches = Args::command().get_matches_from(command_line);
        let args = Args::from_matches(&matches).expect("the command line is good");
        let addresses: Vec<_> = args.listen().iter().map(ToString::to_string).collect();
        assert_eq!(
            addresses,
            [
                "127.0.0.1:7000",
                "[::1]:7001",
                "localhost:7002",
                "127.0.0.1:7003"
            ]
        );
    }

    #[test]
    fn a_bad_address_is_named() {
        let matches = Args::command().get_matches_from(["greet-server", "--listen", "host:x"]);
        let error = Args::from_matches(&matches).expect_err("the port is bad");
        let text = error.to_string();
        assert!(
            text.contains("'host:x'") && text.contains("1 to 65535"),
            "{text}"
        );
    }
}
