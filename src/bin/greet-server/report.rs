//! The statistics that SIGUSR1 asks for.

use log::Level;
use log::kv::Value;
use oneloop::{EndReason, Reactor, Service};

use crate::chain::Controls;
use crate::logging;

/// Logs the loop's counters and gauges, in one line.
///
/// `notify_failures` is the number of messages that the service manager did not take, if there is
/// one.
pub(crate) fn log(
    reactor: &Reactor<impl Service>,
    notify_failures: Option<u64>,
    controls: &Controls,
) {
    let mut fields = fields(reactor);
    fields.extend(notify_failures.map(|failures| ("notify_failures".to_owned(), failures)));
    let handshakes = controls.encryption.counters();
    fields.extend(handshakes.map(|(key, count)| (key.to_owned(), count)));
    let fields: Vec<(&str, Value<'_>)> = fields
        .iter()
        .map(|(key, value)| (key.as_str(), Value::from(*value)))
        .collect();
    logging::always(Level::Info, "statistics", &fields);
}

fn fields(reactor: &Reactor<impl Service>) -> Vec<(String, u64)> {
    let (usage, counters) = (reactor.usage(), reactor.counters());
    let count = |usage: usize| u64::try_from(usage).unwrap_or(u64::MAX);
    let mut fields: Vec<_> = [
        ("connections_open", count(usage.connections)),
        ("refusing", count(usage.refused)),
        ("addresses_counted", count(usage.addresses)),
        ("deadlines", count(usage.deadlines)),
        ("bytes_held", count(usage.buffered_bytes)),
        ("accepted", counters.accepted()),
        ("accept_failed", counters.accept_failures()),
        ("without_descriptors", counters.accept_exhausted()),
        ("turns", counters.turns()),
        ("events", counters.events()),
        ("bytes_in", counters.bytes_in()),
        ("bytes_out", counters.bytes_out()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    fields.extend(
        EndReason::ALL
            .iter()
            .copied()
            .filter(|&reason| counters.ended(reason) > 0)
            .map(|reason| (ended_key(reason), counters.ended(reason))),
    );
    fields
}

/// Returns the key of a reason: its words, joined.
fn ended_key(reason: EndReason) -> String {
    let words = reason.to_string();
    let words = words
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    std::iter::once("ended")
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_key_of_its_own() {
        let mut keys: Vec<_> = EndReason::ALL.iter().copied().map(ended_key).collect();
        assert!(keys.contains(&"ended_timed_out".to_owned()), "{keys:?}");
        for key in &keys {
            assert!(
                key.bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')),
                "{key}"
            );
        }
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), EndReason::ALL.len());
    }
}
