//! Checks the loop's accounts after a turn.

use oneloop::{Reactor, Service};
use oneloop_sim::Network;

use super::oracle::Verdict;

/// Checks that every connection is either open or counted as ended, and holds one descriptor.
///
/// # Errors
/// If a number differs from the number that it must equal.
pub(super) fn check<S: Service, const EDGE: bool>(
    reactor: &Reactor<S, Network<EDGE>>,
    network: &Network<EDGE>,
) -> Verdict {
    let (counters, open) = (reactor.counters(), reactor.open_connections());
    let came = counters.accepted + counters.connecting;
    if came != counters.ended_in_all() + open as u64 {
        return Err(format!(
            "{came} came, {open} are open, ended: {:?}",
            counters.ended
        ));
    }
    let descriptors = network.descriptors_open();
    if descriptors != open {
        return Err(format!("{descriptors} sockets for {open} connections"));
    }
    Ok(())
}
