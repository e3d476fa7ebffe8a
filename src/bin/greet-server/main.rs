//! The greeting server: arguments, logger, limits, signals; the library does the rest.

mod args;
mod chain;
mod config;
mod encryption;
mod foreign;
mod journal;
mod listeners;
mod logging;
#[cfg(unix)]
mod notify;
mod occupant;
mod operators;
mod own_metrics;
mod proxies;
#[cfg(unix)]
mod reload;
mod report;
mod sharing;
mod shutdown;
mod signals;
mod sockets;
#[cfg(unix)]
mod successor;
mod upkeep;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use greet_support::descriptors;
use log::{LevelFilter, error, warn};
use oneloop::{BuildError, Reactor, Service, Turn, Watch};

use args::Args;
use chain::Controls;
use shutdown::Shutdown;
use signals::{Hangup, Signals};
use sockets::Sockets;
use upkeep::Upkeep;

fn main() -> ExitCode {
    // Before there is any thread: it changes the environment.
    let sockets = Sockets::from_environment();
    let args = Args::from_command_line();
    logging::start(args.log_level(), args.log_format);
    let served = sockets.and_then(|sockets| serve(&args, sockets));
    let exit = served.unwrap_or_else(|failure| {
        if log::log_enabled!(log::Level::Error) {
            error!("{failure}");
        } else {
            // Why there is no server is reported at every log level.
            let _ = writeln!(io::stderr(), "{failure}");
        }
        ExitCode::FAILURE
    });
    logging::finish();
    exit
}

/// Serves by the service that the options need: see [`chain`].
fn serve(args: &Args, sockets: Sockets) -> Result<ExitCode, String> {
    if args.is_operated() {
        let (service, controls) = chain::operated(args)?;
        serve_by(service, &controls, args, sockets)
    } else if args.log_level() >= LevelFilter::Info || args.can_reload() {
        let (service, controls) = chain::journal(args);
        serve_by(service, &controls, args, sockets)
    } else {
        serve_by(chain::plain(args), &Controls::default(), args, sockets)
    }
}

fn serve_by(
    service: impl Service,
    controls: &Controls,
    args: &Args,
    sockets: Sockets,
) -> Result<ExitCode, String> {
    let allowance = descriptors::raise_limit();
    let limits = args.limits(allowance);
    let connections_max = limits
        .connections_max
        .saturating_sub(operators::places(args));
    let cannot_start = |error| cannot_start(&error, allowance.descriptors);
    let mut reactor = Reactor::new(service, limits).map_err(|error| match error {
        BuildError::Poller(error) => cannot_start(error),
        error => format!("Cannot start: {error}"),
    })?;
    let signals = Signals::catch(&reactor, hangup(args)).map_err(cannot_start)?;
    #[cfg(unix)]
    logging::wake_with(reactor.watch_descriptors().map_err(cannot_start)?);
    let mut upkeep = Upkeep::new(sockets, args, allowance);
    let bound = listeners::bind_all(&mut reactor, args, upkeep.sockets())?;
    operators::listen(&mut reactor, args, upkeep.sockets())?;
    upkeep.sockets().check_all_taken()?;
    if let Some(threshold) = args.warn_turn() {
        let watch = Watch::new().slow_turns(threshold);
        reactor.watch(watch.continued(signals.continued()));
    }
    listeners::announce(&bound);
    listeners::advise(&bound, connections_max, &args.proxies);
    if let Some(somaxconn) = descriptors::somaxconn().filter(|&most| most < args.backlog) {
        warn!(
            "backlog reduced from {} to {somaxconn}: raise net.core.somaxconn",
            args.backlog
        );
    }
    upkeep.report_ready();
    run(&mut reactor, &signals, controls, &mut upkeep)
        .map_err(|error| format!("Cannot go on: {error}"))
}

/// Turns the loop until it has stopped.
fn run(
    reactor: &mut Reactor<impl Service>,
    signals: &Signals,
    controls: &Controls,
    upkeep: &mut Upkeep,
) -> io::Result<ExitCode> {
    let mut shutdown = Shutdown::Serving;
    loop {
        let turn = upkeep.turn(reactor, shutdown.due_in())?;
        logging::pump();
        if let Turn::Stopped(stopped) = turn {
            return Ok(shutdown.farewell(reactor, stopped));
        }
        upkeep.look(reactor, signals, controls);
        if let Some(exit) = shutdown.look(reactor, signals, controls, upkeep) {
            return Ok(exit);
        }
        if signals.take_report() {
            report::log(reactor, upkeep.notify_failures(), controls);
        }
    }
}

fn hangup(args: &Args) -> Hangup {
    match args.can_reload() {
        true => Hangup::Reloads,
        false => Hangup::Stops,
    }
}

fn cannot_start(error: &io::Error, descriptors: usize) -> String {
    format!(
        "Cannot start: {error}; if descriptors are too few, raise their hard limit, which is \
         {descriptors} (`ulimit -Hn` as root, or LimitNOFILE= of a systemd unit)"
    )
}

/// Returns the moment when `wait` is over. It is at most a century, so that the sum is in range.
fn after(wait: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    Instant::now() + wait.min(CENTURY)
}

/// Returns a number of things in words: `1 connection`, `2 connections`.
fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_singular() {
        assert_eq!(counted(0, "connection"), "0 connections");
        assert_eq!(counted(1, "connection"), "1 connection");
        assert_eq!(counted(2, "connection"), "2 connections");
    }
}
