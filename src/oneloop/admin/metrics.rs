//! The metrics of the loop.

use super::exposition::Exposition;
use super::{Readiness, Ready};
use crate::service::EndReason;
use crate::service::inspect::{Inspection, ListenerReport};

/// Adds the loop's metrics, all but [`held_bytes`], which needs a walk over the sessions.
pub(super) fn of_loop(metrics: &mut Exposition, report: &Inspection<'_>) {
    let listeners = Listeners::of(report);
    connections(metrics, report, &listeners);
    ends(metrics, &listeners);
    work(metrics, report);
    if let Some(times) = report.times {
        metrics.histogram(
            "oneloop_turn_seconds",
            "Durations of the loop's turns, without their waits for events.",
            times.turns(),
        );
        metrics.histogram(
            "oneloop_deadline_lateness_seconds",
            "By how much deadlines were late.",
            times.lateness(),
        );
        metrics
            .counter(
                "oneloop_slow_turns_total",
                "Turns that took longer than the threshold.",
            )
            .value(times.slow_turns());
    }
}

pub(super) fn readiness(metrics: &mut Exposition, readiness: &Readiness) {
    metrics
        .gauge(
            "oneloop_ready",
            "1 if new connections are welcome, 0 while the server starts or leaves.",
        )
        .value(u8::from(readiness.get() == Ready::Ready));
}

pub(super) fn held_bytes(metrics: &mut Exposition, bytes: usize) {
    metrics
        .gauge(
            "oneloop_held_bytes",
            "Bytes allocated for unread input and pending output.",
        )
        .value(bytes);
}

/// The listeners by name: several of one name are one.
struct Listeners<'a>(Vec<Named<'a>>);

struct Named<'a> {
    name: String,
    reports: Vec<&'a ListenerReport>,
}

impl<'a> Listeners<'a> {
    fn of(report: &Inspection<'a>) -> Self {
        let mut all: Vec<Named<'a>> = Vec::new();
        for report in report.listeners {
            let name = report.id.to_string();
            match all.iter_mut().find(|named| named.name == name) {
                Some(named) => named.reports.push(report),
                None => all.push(Named {
                    name,
                    reports: vec![report],
                }),
            }
        }
        Self(all)
    }
}

impl Named<'_> {
    fn sum(&self, count: impl Fn(&ListenerReport) -> u64) -> u64 {
        self.reports.iter().map(|report| count(report)).sum()
    }
}

fn connections(metrics: &mut Exposition, report: &Inspection<'_>, listeners: &Listeners<'_>) {
    let mut accepted = metrics.counter(
        "oneloop_connections_accepted_total",
        "Connections accepted, including refused ones.",
    );
    for named in &listeners.0 {
        let count = named.sum(ListenerReport::accepted);
        accepted = accepted.labelled(&[("listener", &named.name)], count);
    }
    let mut open = metrics.gauge("oneloop_connections_open", "Connections that are served.");
    for named in &listeners.0 {
        let count = named.sum(|report| report.open as u64);
        open = open.labelled(&[("listener", &named.name)], count);
    }
    let counters = report.counters;
    metrics
        .gauge(
            "oneloop_connections_max",
            "The most connections served at once.",
        )
        .value(report.connections_max);
    metrics
        .gauge(
            "oneloop_connections_refusing",
            "Connections that are being refused.",
        )
        .value(report.refusing);
    metrics
        .gauge("oneloop_connections_outbound", "Open outbound connections.")
        .value(report.outbound);
    metrics
        .counter("oneloop_connects_total", "Outbound connections begun.")
        .value(counters.connecting);
    metrics
        .counter(
            "oneloop_connects_ended_total",
            "Outbound connections that have ended, or were not established.",
        )
        .value(counters.ended_in_all() - ended(report));
    metrics
        .counter(
            "oneloop_accept_failures_total",
            "Accepts that failed, by cause.",
        )
        .labelled(&[("cause", "connection")], counters.accept_failures)
        .labelled(&[("cause", "descriptors")], counters.accept_exhausted);
}

/// Returns how many accepted connections have ended.
fn ended(report: &Inspection<'_>) -> u64 {
    let counts = report.listeners.iter().map(|listener| {
        let counts = EndReason::ALL.iter().map(|&reason| listener.ended(reason));
        counts.sum::<u64>()
    });
    counts.sum()
}

/// Adds the ends of accepted connections: all reasons of the first listener, so that their rates
/// are known from the first one on, and of the others those that there were.
fn ends(metrics: &mut Exposition, listeners: &Listeners<'_>) {
    let mut ended = metrics.counter(
        "oneloop_connections_ended_total",
        "Accepted connections that have ended, by reason.",
    );
    for (number, named) in listeners.0.iter().enumerate() {
        for &reason in EndReason::ALL {
            let count = named.sum(|report| report.ended(reason));
            if number == 0 || count > 0 {
                let reason = reason.name().trim_start_matches("ended_");
                let labels = [("listener", named.name.as_str()), ("reason", reason)];
                ended = ended.labelled(&labels, count);
            }
        }
    }
}

fn work(metrics: &mut Exposition, report: &Inspection<'_>) {
    let counters = report.counters;
    for (name, help, count) in [
        (
            "oneloop_received_bytes_total",
            "Bytes read from peers.",
            counters.bytes_in,
        ),
        (
            "oneloop_sent_bytes_total",
            "Bytes written to peers.",
            counters.bytes_out,
        ),
        ("oneloop_steps_total", "Steps of sessions.", counters.steps),
        ("oneloop_turns_total", "Turns of the loop.", counters.turns),
        (
            "oneloop_events_total",
            "Events that the poller has returned.",
            counters.events,
        ),
        (
            "oneloop_stale_events_total",
            "Events for connections that had ended.",
            counters.stale_events,
        ),
        (
            "oneloop_looks_total",
            "Sockets read without an event, before a deadline or a drain.",
            counters.looks,
        ),
        (
            "oneloop_calls_total",
            "Calls of other threads carried out.",
            counters.calls,
        ),
        (
            "oneloop_service_panics_total",
            "Panics of the service outside of a step.",
            counters.service_panics,
        ),
    ] {
        metrics.counter(name, help).value(count);
    }
}
