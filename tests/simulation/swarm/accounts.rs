//! Checks the loop's accounts, the resources that it uses, and that it rests.

use std::time::Duration;

use oneloop::{EndReason, Reactor, Service, Stopped, Time, Usage};
use oneloop_sim::{CallCounts, Network};

use super::oracle::Verdict;

/// Checks that every connection is either open or counted as ended and holds one descriptor, and
/// that the loop has counted its turns, steps, events and bytes as the service and the network have.
///
/// # Errors
/// If a number differs from the number that it must equal.
pub(super) fn check<S: Service, const EDGE: bool>(
    reactor: &Reactor<S, Network<EDGE>>,
    network: &Network<EDGE>,
    (turns, steps): (usize, u64),
) -> Verdict {
    let (counters, counted) = (reactor.counters(), network.call_counts());
    let open = reactor.open_connections() as u64;
    let came = counters.accepted() + counters.connecting();
    let gone = counters.ended_in_all();
    same("connections", "open or ended", (came, gone + open))?;
    let descriptors = network.descriptors_open() as u64;
    same("connections", "sockets", (open, descriptors))?;
    same("turns", "turns made", (counters.turns(), turns as u64))?;
    same("steps", "steps of the service", (counters.steps(), steps))?;
    same(
        "events",
        "events reported",
        (counters.events(), counted.events),
    )?;
    same(
        "bytes in",
        "bytes read",
        (counters.bytes_in(), counted.bytes_read),
    )?;
    same(
        "bytes out",
        "bytes written",
        (counters.bytes_out(), counted.bytes_written),
    )
}

/// The bounds of the resources in use.
pub(super) struct Bounds {
    /// Connections of every kind.
    pub(super) connections: usize,
    /// Buffered bytes of one connection.
    pub(super) bytes: usize,
    /// Timers of sessions.
    pub(super) timers: usize,
}

/// Returns the connections that were not about to be reaped: one that ended while it was in the
/// ready queue is reaped in its turn.
pub(super) fn settled(usage: &Usage) -> usize {
    usage.connections - usage.ready.min(usage.connections)
}

/// Checks that no more is in use than the connections need, and than is allowed.
///
/// # Errors
/// If a bound is exceeded.
pub(super) fn check_usage(usage: &Usage, most: &Bounds) -> Verdict {
    let complaint = if usage.buffered_bytes_max > most.bytes {
        "more memory than allowed"
    } else if settled(usage) > most.connections {
        "more connections than allowed"
    } else if usage.deadlines > usage.connections {
        "a deadline without a connection"
    } else if usage.timers > most.timers {
        "a timer without a session"
    } else if usage.ready > usage.connections {
        "the ready queue names a connection that has ended"
    } else if usage.addresses > usage.connections {
        "addresses are counted without connections"
    } else {
        return Ok(());
    };
    Err(format!("{complaint}: {usage:?}"))
}

/// Checks that a loop that has stopped has counted the connections that it cut off, and uses no
/// resources.
///
/// # Errors
/// If it does not.
pub(super) fn check_stopped<S: Service, const EDGE: bool>(
    reactor: &Reactor<S, Network<EDGE>>,
    stopped: Stopped,
) -> Verdict {
    let counted = reactor.counters().ended(EndReason::DrainTimeout);
    let aborted = stopped.aborted as u64;
    same("connections cut off", "counted", (aborted, counted))?;
    let usage = reactor.usage();
    if usage != Usage::default() {
        return Err(format!("it has stopped, but holds {usage:?}"));
    }
    Ok(())
}

/// Checks after each turn that the loop blocks when it has no work.
pub(super) struct Rest {
    calls: CallCounts,
    time: Time,
    /// Consecutive turns that neither did any work nor blocked.
    idle_turns: usize,
}

impl Rest {
    pub(super) fn new() -> Self {
        Self {
            calls: CallCounts::default(),
            time: Time::START,
            idle_turns: 0,
        }
    }

    /// Notes a turn. `worked` is true if it had work that causes no system call.
    ///
    /// # Errors
    /// If the loop has turned very often for nothing.
    pub(super) fn check<S: Service, const EDGE: bool>(
        &mut self,
        reactor: &Reactor<S, Network<EDGE>>,
        network: &Network<EDGE>,
        worked: bool,
    ) -> Verdict {
        let (calls, now) = (network.call_counts(), network.time());
        let before = CallCounts {
            polls: calls.polls,
            ..std::mem::replace(&mut self.calls, calls)
        };
        let blocked = now - std::mem::replace(&mut self.time, now) > NAP;
        let idle = calls == before && !blocked && !worked;
        self.idle_turns = if idle { self.idle_turns + 1 } else { 0 };
        if self.idle_turns > IDLE_TURNS_MAX {
            let (usage, counters) = (reactor.usage(), reactor.counters());
            return Err(format!(
                "{IDLE_TURNS_MAX} turns for nothing: {usage:?}, {counters:?}"
            ));
        }
        Ok(())
    }
}

/// A turn that takes longer than this has blocked in the poll.
const NAP: Duration = Duration::from_micros(500);
const IDLE_TURNS_MAX: usize = 200;

fn same(what: &str, other: &str, (count, other_count): (u64, u64)) -> Verdict {
    if count == other_count {
        return Ok(());
    }
    Err(format!("{count} {what}, but {other_count} {other}"))
}
