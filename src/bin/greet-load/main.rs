//! The load generator: arguments, a server if none is given, signals, files; the library does the
//! rest.

#[path = "../support/address.rs"]
mod address;
mod args;
#[allow(dead_code, reason = "shared with greet-server, which uses all of it")]
#[path = "../greet-server/descriptors.rs"]
mod descriptors;
mod interrupt;
mod live;
mod own_server;

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use oneloop::load::baseline::{self, Comparison};
use oneloop::load::{self, Ending, Go, Outcome, Plan, Process, Report, Server, Shape, Verdict};
use oneloop::net::Os;
use serde_json::Value;

use args::Args;
use interrupt::Interrupt;
use live::Live;
use own_server::OwnServer;

/// Why there is no report: a sentence that says what failed, where, and what to try.
type Failure = String;

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(framing) = args.serve {
        return match own_server::serve(framing) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("the server for this run cannot serve: {error}")),
        };
    }
    args.check();
    match measure(&args) {
        Ok(verdict) => exit_code(verdict),
        Err(failure) => fail(&failure),
    }
}

fn measure(args: &Args) -> Result<Verdict, Failure> {
    // Before the run: nobody likes to learn at its end that a file is not there.
    let baseline = args.baseline.as_deref().map(read_report).transpose()?;
    let interrupt = Interrupt::catch().map_err(|error| format!("cannot catch signals: {error}"))?;
    let own = match args.target {
        Some(_) => None,
        None => Some(start_server(args)?),
    };
    let mut report = Report {
        command: std::env::args().skip(1).collect(),
        started: SystemTime::now(),
        server: server(args, own.as_ref()),
        runs: Vec::new(),
        shape: args.shape(),
        thresholds: args.thresholds(),
        baseline: None,
    };
    let target = args.target.or(own.as_ref().map(OwnServer::address));
    let target = target.expect("there is a server, or one was started");
    make_runs(&mut report, args.plans(target), args.quiet, &interrupt)?;
    drop(own);
    if let Some(old) = &baseline {
        report.baseline = Some(compare(old, &report, args)?);
    }
    publish(&report, args)?;
    Ok(report.verdict())
}

fn make_runs(
    report: &mut Report,
    plans: Vec<Plan>,
    quiet: bool,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let most = u32::try_from(descriptors::raise_limit().connections).unwrap_or(u32::MAX);
    for mut plan in plans {
        plan.connections = plan.connections.min(most);
        let outcome = make_run(&plan, report.server, quiet, interrupt)?;
        if report.shape == Shape::Sweep {
            say(load::text::step(&outcome));
        }
        let ending = outcome.ending;
        report.runs.push(outcome);
        if ending == Ending::Interrupted {
            break;
        }
    }
    Ok(())
}

fn make_run(
    plan: &Plan,
    server: Server,
    quiet: bool,
    interrupt: &Interrupt,
) -> Result<Outcome, Failure> {
    let cannot = |error: io::Error| format!("the generator cannot go on: {error}");
    let mut live = Live::new(plan, quiet);
    let os = Os::new().map_err(cannot)?;
    let process = server.pid().map(Process::new);
    let outcome = load::run(plan, os, process, |progress| {
        live.show(progress);
        match interrupt.is_requested() {
            true => Go::Stop,
            false => Go::On,
        }
    });
    live.end();
    outcome.map_err(cannot)
}

fn start_server(args: &Args) -> Result<OwnServer, Failure> {
    OwnServer::start(args.framing()).map_err(|error| {
        format!("cannot start a server for this run: {error}; start one yourself and give its ADDR")
    })
}

fn server(args: &Args, own: Option<&OwnServer>) -> Server {
    match (own, args.server_pid) {
        (Some(own), _) => Server::Own { pid: own.pid() },
        (None, Some(pid)) => Server::Known { pid },
        (None, None) => Server::Unknown,
    }
}

fn read_report(path: &Path) -> Result<Value, Failure> {
    let cannot = |error: &dyn Display| {
        let path = path.display();
        format!("cannot read the baseline {path}: {error}; give a file written with --json")
    };
    let text = fs::read_to_string(path).map_err(|error| cannot(&error))?;
    serde_json::from_str(&text).map_err(|error| cannot(&error))
}

fn compare(old: &Value, report: &Report, args: &Args) -> Result<Vec<Comparison>, Failure> {
    let path = args.baseline.as_deref().unwrap_or(Path::new(""));
    baseline::compare(old, &report.json())
        .map_err(|error| format!("cannot compare with {}: {error}", path.display()))
}

/// Prints the report and writes the files.
fn publish(report: &Report, args: &Args) -> Result<(), Failure> {
    let json_only = args.json.as_deref() == Some(Path::new("-"));
    if !json_only {
        print(&people(report));
    }
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report.json()).expect("every key is a string");
        if json_only {
            print(&json);
        } else {
            write(path, &(json + "\n"))?;
        }
    }
    match &args.html {
        Some(path) => write(path, &load::page(report)),
        None => Ok(()),
    }
}

/// The report for people.
fn people(report: &Report) -> String {
    let mut text = match report.shape {
        Shape::Single => report.runs.iter().map(load::text::report).collect(),
        Shape::Sweep => load::text::sweep(&report.runs),
    };
    for judgement in report.judgements() {
        text += &format!("\n{judgement}");
    }
    if let Some(comparisons) = &report.baseline {
        for comparison in comparisons {
            text += &format!("\n{comparison}");
        }
        let verdict = baseline::verdict(comparisons).as_str();
        text += &format!("\nCompared with the baseline: {verdict}");
    }
    if report.verdict() == Verdict::Interrupted {
        text += "\nINTERRUPTED: the figures are partial.";
    }
    text.trim_end().to_owned()
}

/// To standard output. Nobody there to read it is no reason to fail.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn say(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

fn write(path: &Path, content: &str) -> Result<(), Failure> {
    fs::write(path, content).map_err(|error| {
        let path = path.display();
        format!("cannot write {path}: {error}; choose another file")
    })
}

fn fail(failure: &str) -> ExitCode {
    say(format_args!("error: {failure}"));
    ExitCode::from(EXIT_MISUSE)
}

fn exit_code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Passed => ExitCode::SUCCESS,
        Verdict::Failed => ExitCode::FAILURE,
        Verdict::Interrupted => ExitCode::from(EXIT_INTERRUPTED),
    }
}

const EXIT_MISUSE: u8 = 2;
/// 128 and SIGINT.
const EXIT_INTERRUPTED: u8 = 130;
