//! The load generator: arguments, a server if none is given, signals, files; the library does the
//! rest.

mod args;
mod file;
mod interrupt;
mod live;
mod measuring;
mod own_server;
mod pinning;
mod screen;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use greet_support::descriptors;
use oneloop_load::{self, Machine, Pinned, Process, Report, Server, Shape, Verdict};

use args::Args;
use file::OutputFile;
use interrupt::Interrupt;
use live::{Live, say};
use measuring::Measuring;
use own_server::OwnServer;

/// The reason why there is no report: a sentence with the failure, its place, and a remedy.
type Failure = String;

fn main() -> ExitCode {
    let args = Args::from_command_line();
    if let Some(framing) = args.serve {
        return match own_server::serve(framing) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("the server for this run failed: {error}")),
        };
    }
    args.check();
    match report(&args) {
        Ok(verdict) => exit_code(verdict),
        Err(failure) => fail(&failure),
    }
}

/// Measures, and writes the report.
fn report(args: &Args) -> Result<Verdict, Failure> {
    let outputs = Outputs::open(args)?;
    let report = measure(args)?;
    outputs.write(&report)?;
    Ok(report.verdict())
}

fn measure(args: &Args) -> Result<Report, Failure> {
    let interrupt = Interrupt::catch().map_err(|error| format!("cannot catch signals: {error}"))?;
    let given = args.target()?;
    let own = match given {
        Some(_) => None,
        None => Some(start_server(args)?),
    };
    let target = given.or(own.as_ref().map(OwnServer::address));
    let target = target.expect("an address, or a server of its own");
    let server = server(args, given, own.as_ref());
    let other = args.compare.and_then(listening_at);
    let servers: Vec<_> = server
        .pid()
        .map(Process::new)
        .into_iter()
        .chain(other)
        .collect();
    let machine = Machine::this(); // before it is down to one core
    let pinned = match args.no_pin {
        true => Pinned::default(),
        false => pinning::pin_both(own.as_ref(), &servers),
    };
    let mut report = Report {
        command: std::env::args().skip(1).collect(),
        started: SystemTime::now(),
        machine,
        server,
        pinned,
        runs: Vec::new(),
        shape: args.shape(),
        thresholds: args.thresholds(),
    };
    let mut measuring = Measuring {
        server: server.pid().map(Process::new),
        other,
        live: Live::new(args.quiet),
        interrupt,
        connections_max: u32::try_from(descriptors::raise_limit().connections).unwrap_or(u32::MAX),
    };
    let plans = args.plans(target);
    report.runs = match &report.shape {
        Shape::Single | Shape::Sweep => measuring.sweep(plans)?,
        Shape::Ramp(ramp) => measuring.ramp(&plans[0], ramp, args.ramp_from())?,
        Shape::Comparison(comparison) => measuring.compare(&plans[0], comparison)?,
    };
    Ok(report)
}

fn start_server(args: &Args) -> Result<OwnServer, Failure> {
    OwnServer::start(args.framing()).map_err(|error| {
        format!("cannot start a server for this run: {error}; start one yourself and give its ADDR")
    })
}

fn server(args: &Args, given: Option<SocketAddr>, own: Option<&OwnServer>) -> Server {
    let found = || listening_at(given?);
    match (own, args.server_pid) {
        (Some(own), _) => Server::Own { pid: own.pid() },
        (None, Some(pid)) => Server::Known { pid },
        (None, None) => found().map_or(Server::Unknown, |process| Server::Known {
            pid: process.pid(),
        }),
    }
}

/// Finds the process that listens at `address`, if that is an address of this machine.
fn listening_at(address: SocketAddr) -> Option<Process> {
    args::is_local(address.ip()).then(|| Process::listening_at(address))?
}

/// The destinations of the report.
struct Outputs {
    json: Option<OutputFile>,
    html: Option<OutputFile>,
    stdout: Stdout,
}

/// The contents of standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stdout {
    Text,
    Json,
}

impl Outputs {
    /// Opens the files, so that one which cannot be written is known before anything is measured.
    fn open(args: &Args) -> Result<Self, Failure> {
        let json = args.json.as_deref();
        let stdout = match json == Some(Path::new("-")) {
            true => Stdout::Json,
            false => Stdout::Text,
        };
        let json = json.filter(|_| stdout == Stdout::Text);
        Ok(Self {
            json: json.map(OutputFile::open).transpose()?,
            html: args.html.as_deref().map(OutputFile::open).transpose()?,
            stdout,
        })
    }

    fn write(self, report: &Report) -> Result<(), Failure> {
        let json = || {
            let json = serde_json::to_string_pretty(&report.json());
            json.expect("every key is a string") + "\n"
        };
        match self.stdout {
            Stdout::Text => print(&(oneloop_load::text::report(report, &screen::page()) + "\n"))?,
            Stdout::Json => print(&json())?,
        }
        if let Some(file) = self.json {
            file.write(&json())?;
        }
        match self.html {
            Some(file) => file.write(&oneloop_load::page(report)),
            None => Ok(()),
        }
    }
}

/// Writes to standard output. A reader that has closed the pipe, like `head`, is not an error.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!(
            "cannot write the report to standard output: {error}"
        )),
        _ => Ok(()),
    }
}

fn fail(failure: &str) -> ExitCode {
    say(&format!("error: {failure}"));
    ExitCode::from(EXIT_MISUSE)
}

fn exit_code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Measured | Verdict::Passed => ExitCode::SUCCESS,
        Verdict::Failed => ExitCode::FAILURE,
        Verdict::Interrupted => ExitCode::from(EXIT_INTERRUPTED),
    }
}

const EXIT_MISUSE: u8 = 2;
/// 128 and SIGINT.
const EXIT_INTERRUPTED: u8 = 130;
