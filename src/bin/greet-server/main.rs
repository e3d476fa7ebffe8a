//! The greeting server: arguments, logger, limits, signals; the library does the rest.

mod address;
mod args;
mod descriptors;
mod logging;
mod signals;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use log::{LevelFilter, error, info, warn};
use oneloop::greeting::Greeter;
use oneloop::net::Os;
use oneloop::{Reactor, Turn};

use args::Args;
use signals::Signals;

fn main() -> ExitCode {
    let args = Args::parse();
    logging::start(args.log_level);
    match serve(&args) {
        Ok(exit) => exit,
        Err(error) => {
            if log::log_enabled!(log::Level::Error) {
                error!("{error}");
            } else {
                // Whoever wants no log still wants to know why there is no server.
                let _ = writeln!(io::stderr(), "{error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> io::Result<ExitCode> {
    let limits = args.limits(descriptors::raise_limit());
    let connections_max = limits.connections_max;
    let mut os = Os::new().map_err(|error| cannot_start(&error))?;
    let signals = Signals::catch(&mut os).map_err(|error| cannot_start(&error))?;
    let mut reactor = Reactor::with_net(Greeter::new(args.greeting()), limits, os)?;
    for &address in &args.listen {
        let bound = reactor
            .listen(address)
            .map_err(|error| cannot_listen(address, &error))?;
        announce(bound, args.log_level);
        advise(bound, connections_max);
    }
    if let Some(somaxconn) = descriptors::somaxconn().filter(|&most| most < args.backlog) {
        warn!(
            "The kernel caps the backlog of {} at {somaxconn}: raise net.core.somaxconn to have all of it",
            args.backlog
        );
    }
    run(&mut reactor, &signals, args)
}

/// Turns the loop until it has stopped.
fn run(reactor: &mut Reactor<Greeter>, signals: &Signals, args: &Args) -> io::Result<ExitCode> {
    let mut stopping = false;
    loop {
        if let Turn::Stopped(stopped) = reactor.turn()? {
            return Ok(farewell(stopped.cut));
        }
        if signals.stop_requested() && !stopping {
            stopping = true;
            let (open, grace) = (reactor.open_connections(), args.drain);
            info!(
                "Stopping: {open} connections have {grace:?} to finish; a second signal stops at once"
            );
        }
        if signals.take_report() {
            info!("{}", report(reactor));
        }
    }
}

fn farewell(cut: usize) -> ExitCode {
    if cut == 0 {
        info!("Stopped: every connection has finished");
        return ExitCode::SUCCESS;
    }
    warn!("Stopped: {cut} connections had not finished in time and were cut off");
    ExitCode::from(EXIT_CUT)
}

/// Says where the server listens. People and scripts wait for this line, so it comes at every log
/// level.
fn announce(bound: std::net::SocketAddr, level: LevelFilter) {
    if level >= LevelFilter::Info {
        info!("Waiting for connection... (listening on {bound})");
    } else {
        // Not `eprintln!`, which panics when nobody reads.
        let _ = writeln!(
            io::stderr(),
            "Waiting for connection... (listening on {bound})"
        );
    }
}

/// Says what to do next, and what to beware of.
fn advise(bound: std::net::SocketAddr, connections_max: usize) {
    let ip = bound.ip();
    let host = if ip.is_unspecified() {
        warn!("{ip} means every network this machine is on: whoever reaches it can connect");
        "localhost".to_string()
    } else {
        ip.to_string()
    };
    let port = bound.port();
    info!("Up to {connections_max} connections. Try: nc {host} {port}   (Ctrl-C stops the server)");
}

fn cannot_start(error: &io::Error) -> io::Error {
    let what = format!(
        "Cannot start: {error}; if descriptors are too few, raise their limit with `ulimit -n 1024`"
    );
    io::Error::new(error.kind(), what)
}

fn cannot_listen(address: std::net::SocketAddr, error: &io::Error) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has this port: stop it, or choose another with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need privileges: choose a higher one with --listen"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: see its own with `ip address`"
        }
        _ => "choose another address with --listen",
    };
    io::Error::new(
        error.kind(),
        format!("Cannot listen on {address}: {error}; {advice}"),
    )
}

/// What is held and what was counted, in one line, for SIGUSR1.
fn report(reactor: &Reactor<Greeter>) -> String {
    let (usage, counters) = (reactor.usage(), reactor.counters());
    let ended = oneloop::EndReason::ALL
        .iter()
        .copied()
        .filter(|&reason| counters.ended(reason) > 0)
        .map(|reason| format!("{} {reason}", counters.ended(reason)))
        .collect::<Vec<_>>()
        .join("; ");
    format!(
        "{} connections open, {} being turned away, {} addresses counted, {} deadlines filed, \
         {} bytes held, {} accepted, {} accepts failed, {} without descriptors, {} turns, {} events, \
         {} bytes in, {} bytes out; ended: {ended}",
        usage.connections,
        usage.refused,
        usage.addresses,
        usage.deadlines,
        usage.held_bytes,
        counters.accepted,
        counters.accept_failures,
        counters.accept_exhausted,
        counters.turns,
        counters.events,
        counters.bytes_in,
        counters.bytes_out,
    )
}

/// The drain was over before every connection had finished.
const EXIT_CUT: u8 = 3;
