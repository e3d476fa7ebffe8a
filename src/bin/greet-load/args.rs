//! The command line.

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind};
use oneloop_load::{Comparison, Framing, Pace, Plan, Ramp, Scenario, Shape, Threshold};

use greet_support::VERSION;
use greet_support::address::{parse_address, to_connect_to};
use greet_support::manual::Manual;

/// A load generator for greeting servers that checks every byte of every answer.
#[derive(Debug, Parser)]
#[command(name = "greet-load", version = VERSION, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The server. Without it one is started on a free port, in another process, for as long as
    /// this takes.
    #[arg(value_name = "ADDR", env = "GREET_LOAD_ADDR")]
    address: Option<String>,

    /// The server's port, if it is not part of ADDR.
    #[arg(value_name = "PORT", requires = "address")]
    port: Option<String>,

    /// The work of the connections: exchange names all the time, hold one whole conversation after
    /// the other, be idle and then prove to be alive, or some this and some that.
    #[arg(long, env = "GREET_LOAD_SCENARIO", default_value = "exchange")]
    scenario: Kind,

    /// Connections.
    #[arg(short = 'n', long, value_name = "N", env = "GREET_LOAD_CONNECTIONS", default_value = "100", value_parser = parse_count)]
    connections: u32,

    /// One run with each of these numbers of connections.
    #[arg(
        long,
        value_name = "N,N,...",
        env = "GREET_LOAD_SWEEP",
        value_delimiter = ',',
        value_parser = parse_count,
        conflicts_with = "connections"
    )]
    sweep: Vec<u32>,

    /// Names in flight on each connection; in churn, names in each conversation. Default 1; with
    /// --rate at most 16.
    #[arg(short = 'k', long, value_name = "K", env = "GREET_LOAD_NAMES", value_parser = parse_names)]
    names: Option<u32>,

    /// Open loop: send so many names a second over all connections, whatever the server does, and
    /// count latency from the moment each was due.
    #[arg(short, long, value_name = "PER_SECOND", env = "GREET_LOAD_RATE", value_parser = parse_rate)]
    rate: Option<f64>,

    /// In `mixed`: how many connections are active. Default: a tenth.
    #[arg(long, value_name = "N", env = "GREET_LOAD_ACTIVE", value_parser = parse_count)]
    active: Option<u32>,

    /// Open loop at higher and higher rates, from FROM (default 1k) names a second on, until a
    /// condition of --until holds or a rate is not reached: finds the highest rate that the server
    /// keeps up with.
    #[arg(
        long,
        value_name = "FROM",
        env = "GREET_LOAD_RAMP_RATE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1k",
        conflicts_with_all = ["rate", "sweep", "compare"],
        value_parser = parse_rate
    )]
    ramp_rate: Option<f64>,

    /// Conditions that end --ramp-rate, written as for --fail-if.
    #[arg(long, value_name = "CONDITIONS", env = "GREET_LOAD_UNTIL", default_value = "p99>100ms,errors>0", requires = "ramp_rate", value_parser = parse_thresholds)]
    until: Thresholds,

    /// Compares the server, A, with the one at this address, B: in each round both are measured,
    /// and A once more to see how much it differs from itself.
    #[arg(long, value_name = "ADDR", env = "GREET_LOAD_COMPARE", value_parser = parse_address, conflicts_with_all = ["sweep", "fail_if"])]
    pub(crate) compare: Option<SocketAddr>,

    /// Rounds of --compare.
    #[arg(long, value_name = "N", env = "GREET_LOAD_ROUNDS", default_value = "9", requires = "compare", value_parser = clap::value_parser!(u32).range(3..=1000))]
    rounds: u32,

    /// Length of the measured part. Default 5s; for each step of --ramp-rate 2s, for each run of
    /// --compare 1s.
    #[arg(short, long, value_name = "TIME", env = "GREET_LOAD_DURATION", value_parser = parse_some_time)]
    duration: Option<Duration>,

    /// Time for which the connections work before that. Default: a fifth of --duration.
    #[arg(long, value_name = "TIME", env = "GREET_LOAD_WARM_UP", value_parser = parse_time)]
    warm_up: Option<Duration>,

    /// Time over which the connections are opened. 0s: as fast as the server takes them.
    #[arg(long, value_name = "TIME", env = "GREET_LOAD_RAMP", default_value = "0s", value_parser = parse_time)]
    ramp: Duration,

    /// An answer that takes longer is counted as late.
    #[arg(long, value_name = "TIME", env = "GREET_LOAD_TIMEOUT", default_value = "1s", value_parser = parse_some_time)]
    timeout: Duration,

    /// Wait for a greeting, and for answers at the end; then they are missing.
    #[arg(long, value_name = "TIME", env = "GREET_LOAD_GRACE", default_value = "5s", value_parser = parse_some_time)]
    grace: Duration,

    /// Local addresses to connect from, in turn: each has some 60,000 ports. A range like
    /// 127.0.0.2-127.0.0.9, or several with commas.
    #[arg(long, value_name = "ADDRS", env = "GREET_LOAD_SOURCES", value_delimiter = ',', value_parser = parse_sources)]
    sources: Vec<Sources>,

    /// End of each name: a line feed, or silence (one name at a time, as a person types).
    #[arg(long, env = "GREET_LOAD_FRAMING", default_value = "line")]
    framing: FramingArg,

    /// The server's process, to measure its CPU time and memory.
    #[arg(
        long,
        value_name = "PID",
        env = "GREET_LOAD_SERVER_PID",
        requires = "address"
    )]
    pub(crate) server_pid: Option<u32>,

    /// Writes everything into this file, as JSON. `-` is standard output, instead of the report.
    #[arg(long, value_name = "FILE", env = "GREET_LOAD_JSON")]
    pub(crate) json: Option<PathBuf>,

    /// Writes a page with charts into this file.
    #[arg(long, value_name = "FILE", env = "GREET_LOAD_HTML")]
    pub(crate) html: Option<PathBuf>,

    /// Conditions that make it fail, like 'p99>5ms,errors>0'.
    #[arg(long, value_name = "CONDITIONS", env = "GREET_LOAD_FAIL_IF", value_parser = parse_thresholds)]
    fail_if: Option<Thresholds>,

    /// Do not keep the generator and its own server on a core each.
    #[arg(long, env = "GREET_LOAD_NO_PIN")]
    pub(crate) no_pin: bool,

    /// No live view, even on a terminal.
    #[arg(short, long, env = "GREET_LOAD_QUIET")]
    pub(crate) quiet: bool,

    #[command(flatten)]
    manual: Manual,

    /// Be the server that this program starts for itself.
    #[arg(long, hide = true, value_name = "FRAMING", exclusive = true)]
    pub(crate) serve: Option<FramingArg>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Exchange,
    Churn,
    Idle,
    Mixed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FramingArg {
    Line,
    Silence,
}

/// The addresses of one range.
#[derive(Clone, Debug)]
struct Sources(Vec<IpAddr>);

#[derive(Clone, Debug)]
struct Thresholds(Vec<Threshold>);

impl Args {
    /// Parses the command line and the environment; ends the program if they are wrong.
    pub(crate) fn from_command_line() -> Self {
        let args = Self::parse();
        args.manual.run_if_asked(Self::command);
        args
    }

    /// Ends the program with exit code 2 if the arguments contradict each other.
    pub(crate) fn check(&self) {
        if let Err(contradiction) = self.find_contradiction() {
            Self::command()
                .error(ErrorKind::ArgumentConflict, contradiction)
                .exit()
        }
    }

    fn find_contradiction(&self) -> Result<(), String> {
        let paced = matches!(self.scenario, Kind::Exchange | Kind::Mixed);
        let in_flight = self.names.unwrap_or(1);
        if self.ramp_rate.is_some() && !paced {
            return Err("--ramp-rate is for exchange or mixed".into());
        }
        if self.rate.is_some() && !paced {
            return Err("--rate sets the pace of exchanges: use it with exchange or mixed".into());
        }
        if self.framing == FramingArg::Silence && paced && in_flight > 1 {
            return Err(
                "with --framing silence a connection has one name in flight: drop --names".into(),
            );
        }
        if let Some(source) = self.sources().into_iter().find(|&source| !is_local(source)) {
            return Err(format!(
                "--sources: {source} is not an address of this machine"
            ));
        }
        if self.active.is_some() && self.scenario != Kind::Mixed {
            return Err("--active is for the scenario mixed".into());
        }
        Ok(())
    }

    /// Returns the server's address, if one is given. Of a name with several addresses it is the
    /// first that accepts a connection, or the first of all.
    ///
    /// # Errors
    /// If the address cannot be parsed, or the name cannot be resolved.
    pub(crate) fn target(&self) -> Result<Option<SocketAddr>, String> {
        let Some(address) = &self.address else {
            return Ok(None);
        };
        let text = match &self.port {
            Some(port) => format!("{address} {port}"),
            None => address.clone(),
        };
        let found = to_connect_to(&text)
            .map_err(str::to_owned)
            .and_then(|address| address.resolve().map_err(|error| error.to_string()));
        let addresses = found.map_err(|error| format!("{text}: {error}"))?;
        let accepts = |address: &SocketAddr| {
            TcpStream::connect_timeout(address, self.grace.min(CONNECT_TIMEOUT)).is_ok()
        };
        let reachable = match &addresses[..] {
            [_] => None,
            several => several.iter().copied().find(accepts),
        };
        Ok(reachable.or(addresses.first().copied()))
    }

    /// Returns one plan for each run, for a server at `target`.
    pub(crate) fn plans(&self, target: SocketAddr) -> Vec<Plan> {
        let steps = match &self.sweep[..] {
            [] => &[self.connections],
            steps => steps,
        };
        let duration = self.duration();
        let plan = |&connections: &u32| Plan {
            target,
            sources: self.sources(),
            scenario: self.scenario(connections),
            connections,
            asked: connections,
            framing: self.framing.into(),
            duration,
            warm_up: self.warm_up.unwrap_or(duration / 5),
            ramp: self.ramp,
            timeout: self.timeout,
            grace: self.grace,
        };
        steps.iter().map(plan).collect()
    }

    fn sources(&self) -> Vec<IpAddr> {
        let ranges = self.sources.iter();
        ranges.flat_map(|range| range.0.clone()).collect()
    }

    fn duration(&self) -> Duration {
        let default = match (self.ramp_rate, self.compare) {
            (Some(_), _) => Duration::from_secs(2),
            (_, Some(_)) => Duration::from_secs(1),
            (None, None) => Duration::from_secs(5),
        };
        self.duration.unwrap_or(default)
    }

    /// Returns the relation of the runs.
    pub(crate) fn shape(&self) -> Shape {
        match (self.ramp_rate, self.compare) {
            (Some(_), _) => Shape::Ramp(Ramp {
                until: self.until.0.clone(),
            }),
            (_, Some(other)) => Shape::Comparison(Comparison {
                other,
                rounds: self.rounds,
            }),
            (None, None) if self.sweep.is_empty() => Shape::Single,
            (None, None) => Shape::Sweep,
        }
    }

    /// Returns the rate at which a ramp begins, in names per second.
    pub(crate) fn ramp_from(&self) -> f64 {
        self.ramp_rate.unwrap_or(1000.0)
    }

    pub(crate) fn framing(&self) -> FramingArg {
        self.framing
    }

    pub(crate) fn thresholds(&self) -> Vec<Threshold> {
        self.fail_if.clone().map_or_else(Vec::new, |list| list.0)
    }

    fn scenario(&self, connections: u32) -> Scenario {
        let names = self.names.unwrap_or(1);
        match self.scenario {
            Kind::Exchange => Scenario::Exchange(self.pace()),
            Kind::Churn => Scenario::Churn { names },
            Kind::Idle => Scenario::Idle,
            Kind::Mixed => Scenario::Mixed {
                active: self.active.unwrap_or(connections.div_ceil(10)),
                pace: self.pace(),
            },
        }
    }

    fn pace(&self) -> Pace {
        let most = match self.framing {
            FramingArg::Line => OPEN_IN_FLIGHT,
            FramingArg::Silence => 1,
        };
        match self.rate.or(self.ramp_rate) {
            Some(rate) => Pace::Open {
                rate,
                in_flight: self.names.unwrap_or(most),
            },
            None => Pace::Closed {
                in_flight: self.names.unwrap_or(1),
            },
        }
    }
}

impl From<FramingArg> for Framing {
    fn from(framing: FramingArg) -> Self {
        match framing {
            FramingArg::Line => Self::Line,
            FramingArg::Silence => Self::Silence,
        }
    }
}

/// Returns a number of connections, `10k` being 10,000.
fn parse_count(text: &str) -> Result<u32, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1000),
        None => (text, 1),
    };
    let count = digits.trim().parse::<u32>().ok();
    match count.and_then(|count| count.checked_mul(factor)) {
        Some(count @ 1..=CONNECTIONS_MAX) => Ok(count),
        _ => Err(format!(
            "expected a whole number from 1 to {CONNECTIONS_MAX}, like 1000 or 10k"
        )),
    }
}

fn parse_names(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(names @ 1..=NAMES_MAX) => Ok(names),
        _ => Err(format!("expected a whole number from 1 to {NAMES_MAX}")),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1e3),
        None => (text, 1.0),
    };
    match digits.trim().parse::<f64>().map(|rate| rate * factor) {
        Ok(rate) if (0.01..=1e8).contains(&rate) => Ok(rate),
        _ => Err("expected names per second, like 5000 or 20k".into()),
    }
}

/// Returns a time that is not too short to measure anything.
fn parse_some_time(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        time if time >= Duration::from_millis(1) => Ok(time),
        _ => Err("expected at least 1ms".into()),
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time <= TIME_MAX => Ok(time),
        Ok(_) => Err("expected at most 365days".into()),
        Err(error) => Err(format!("{error}; expected a time like 250ms, 10s or 2m")),
    }
}

fn parse_sources(text: &str) -> Result<Sources, String> {
    let parse = |text: &str| {
        text.parse::<IpAddr>()
            .map_err(|_| format!("{text:?} is no IP address; expected like 127.0.0.2-127.0.0.9"))
    };
    let Some((first, last)) = text.split_once('-') else {
        return Ok(Sources(vec![parse(text)?]));
    };
    match (parse(first)?, parse(last)?) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
            let all = first.to_bits()..=last.to_bits();
            Ok(Sources(
                all.take(SOURCES_MAX)
                    .map(|bits| IpAddr::V4(bits.into()))
                    .collect(),
            ))
        }
        _ => Err("a range goes from a lower IPv4 address to a higher one".into()),
    }
}

/// Returns `true` if a socket can be bound to `address`.
pub(crate) fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

fn parse_thresholds(text: &str) -> Result<Thresholds, String> {
    Threshold::parse_list(text).map(Thresholds)
}

const EXAMPLES: &str = "\
Examples:
  greet-load                                 start a server, measure it, stop it
  greet-load 127.0.0.1:6000 -n 1k -d 10s     closed loop over 1,000 connections
  greet-load 127.0.0.1:6000 --rate 20k       open loop: 20,000 names a second
  greet-load 127.0.0.1:6000 --ramp-rate      find the rate that it keeps up with
  greet-load --compare 127.0.0.1:6001        is that server faster than ours?
  greet-load --sweep 1,10,100,1k,10k --html scaling.html
  greet-load --scenario idle -n 19k          hold 19,000, then prove all alive
";

// Not broken into lines here: clap does that for the width of the terminal.
const EXIT_CODES: &str = "\
Times are written like 250ms, 10s, 2m. The report goes to standard output, the live view and messages to standard error; NO_COLOR is respected. Ctrl-C ends the run and reports what was measured until then.

Exit codes:
  0    measured, and nothing was wrong
  1    errors, a condition of --fail-if held, or --ramp-rate found no knee
  2    the command line is wrong, or a file cannot be written
  130  interrupted; the report is partial";

/// In the open loop: enough for a stall to be caught up with, too few to fill a socket.
const OPEN_IN_FLIGHT: u32 = 16;
/// Names that one write of the loop can take.
const NAMES_MAX: u32 = 400;
const CONNECTIONS_MAX: u32 = 1_000_000;
const TIME_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// The time that each address of a name has to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const SOURCES_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn range_of_sources_includes_both_ends() {
        let args = Args::parse_from(["greet-load", "--sources", "127.0.0.2-127.0.0.4,127.0.0.9"]);
        let plan = args.plans(([127, 0, 0, 1], 6000).into()).remove(0);
        let last: Vec<_> = plan.sources.iter().map(|ip| ip.to_string()).collect();
        assert_eq!(last, ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.9"]);
    }

    #[test]
    fn sweep_is_a_plan_for_each_step() {
        let args = Args::parse_from(["greet-load", "--sweep", "1,10,1k"]);
        let plans = args.plans(([127, 0, 0, 1], 6000).into());
        let steps: Vec<_> = plans.iter().map(|plan| plan.connections).collect();
        assert_eq!(steps, [1, 10, 1000]);
    }

    #[test]
    fn contradicting_arguments_are_refused() {
        for wrong in [
            &["--scenario", "churn", "--rate", "5"][..],
            &["--framing", "silence", "--names", "2"],
            &["--active", "5"],
        ] {
            let args = Args::parse_from([&["greet-load"], wrong].concat());
            assert!(args.find_contradiction().is_err(), "{wrong:?}");
        }
    }
}
