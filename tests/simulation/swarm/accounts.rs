//! Checks the loop's accounts after a turn.

use oneloop::{Reactor, Service};
use oneloop_sim::Network;

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

fn same(what: &str, other: &str, (count, other_count): (u64, u64)) -> Verdict {
    if count == other_count {
        return Ok(());
    }
    Err(format!("{count} {what}, but {other_count} {other}"))
}
