//! The report for programs. `docs/load.schema.json` describes it; a test checks that.

use std::time::Duration;

use serde_json::{Value, json};

use super::errors::Fault;
use super::findings::Weight;
use super::outcome::{Ending, Outcome};
use super::plan::{Pace, Plan, Scenario};
use super::record::{Interval, Latencies, percentile};
use super::text::PERCENTILES;

/// Returns one run.
#[must_use]
pub fn run(outcome: &Outcome) -> Value {
    json!({
        "plan": plan(&outcome.plan),
        "ending": outcome.ending.as_str(),
        "measured_s": outcome.measured.as_secs_f64(),
        "completed": outcome.completed,
        "throughput_per_s": outcome.throughput(),
        "latency": distribution(&outcome.latency),
        "from_send": outcome.service.as_ref().map(distribution),
        "sent_late": outcome.lateness.as_ref().map(distribution),
        "held_back": outcome.held_back,
        "connect": distribution(&outcome.connect),
        "connections": connections(outcome),
        "errors": errors(outcome),
        "cpu": cpu(outcome),
        "placement": placement(outcome),
        "memory": memory(outcome),
        "series": outcome.series.iter().map(interval).collect::<Vec<_>>(),
        "notes": findings(outcome, Weight::Note),
        "warnings": findings(outcome, Weight::Warning),
    })
}

fn plan(plan: &Plan) -> Value {
    let (in_flight, rate) = match plan.pace() {
        Pace::Closed { in_flight } => (in_flight, None),
        Pace::Open { rate, in_flight } => (in_flight, Some(rate)),
    };
    let names = match plan.scenario {
        Scenario::Churn { names } => Some(names),
        _ => None,
    };
    json!({
        "scenario": plan.scenario.as_str(),
        "unit": plan.scenario.unit(),
        "loop": if rate.is_some() { "open" } else { "closed" },
        "target": plan.target.to_string(),
        "connections": plan.connections,
        "active": plan.active(),
        "in_flight": in_flight,
        "rate_per_s": rate,
        "names_per_conversation": names,
        "framing": plan.framing.as_str(),
        "duration_s": plan.duration.as_secs_f64(),
        "warm_up_s": plan.warm_up.as_secs_f64(),
        "ramp_s": plan.ramp.as_secs_f64(),
        "timeout_s": plan.timeout.as_secs_f64(),
        "grace_s": plan.grace.as_secs_f64(),
        "sources": plan.sources.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn distribution(latencies: &Latencies) -> Value {
    let mut points = serde_json::Map::new();
    for (name, p) in PERCENTILES {
        points.insert(name.to_owned(), json!(nanos(percentile(latencies, p))));
    }
    let mean = (!latencies.is_empty()).then(|| latencies.mean());
    let buckets = latencies
        .iter_recorded()
        .map(|bucket| json!([bucket.value_iterated_to(), bucket.count_at_value()]));
    json!({
        "count": latencies.len(),
        "mean_ns": mean,
        "percentiles_ns": points,
        "buckets_ns": buckets.collect::<Vec<_>>(),
    })
}

fn connections(outcome: &Outcome) -> Value {
    let seen = outcome.connections;
    json!({
        "asked": outcome.plan.asked.max(outcome.plan.connections),
        "made": seen.made,
        "open_max": seen.open_max,
        "held": seen.held,
        "proved": seen.proved,
        "opening_s": seen.opening.as_secs_f64(),
        "opened_per_s": outcome.connect_rate(),
    })
}

fn errors(outcome: &Outcome) -> Value {
    let kinds = Fault::ALL
        .into_iter()
        .map(|fault| (fault.key().to_owned(), json!(outcome.faults.count(fault))));
    json!({
        "total": outcome.faults.total(),
        "by_kind": kinds.collect::<serde_json::Map<_, _>>(),
        "oldest_missing_s": outcome.oldest_missing.as_secs_f64(),
        "other_protocol": outcome.stranger,
    })
}

fn cpu(outcome: &Outcome) -> Value {
    let costs = &outcome.costs;
    json!({
        "wall_s": costs.wall.as_secs_f64(),
        "completed": costs.completed,
        "generator_s": seconds(costs.generator),
        "server_s": seconds(costs.server),
        "generator_ns_each": nanos(costs.generator_each()),
        "server_ns_each": nanos(costs.server_each()),
        "others_s": seconds(costs.others),
        "stolen_s": seconds(costs.stolen),
    })
}

fn placement(outcome: &Outcome) -> Value {
    let placement = &outcome.placement;
    json!({
        "generator_cores": placement.generator.iter().collect::<Vec<_>>(),
        "server_cores": placement.server.iter().collect::<Vec<_>>(),
        "shared": placement.shared(),
    })
}

fn memory(outcome: &Outcome) -> Value {
    let costs = &outcome.costs;
    json!({
        "server_bytes_before": costs.server_memory_before,
        "server_bytes": costs.server_memory,
        "server_bytes_each": costs.memory_each(outcome.connections.held),
    })
}

fn interval(interval: &Interval) -> Value {
    json!({
        "start_s": interval.start.as_secs_f64(),
        "lasted_s": interval.lasted.as_secs_f64(),
        "completed": interval.completed,
        "errors": interval.faults,
        "p50_ns": nanos(interval.latency.map(|spread| spread.p50)),
        "p99_ns": nanos(interval.latency.map(|spread| spread.p99)),
        "max_ns": nanos(interval.latency.map(|spread| spread.max)),
    })
}

fn findings(outcome: &Outcome, weight: Weight) -> Vec<String> {
    let findings = outcome.findings().into_iter();
    findings
        .filter(|finding| finding.weight == weight)
        .map(|finding| finding.text)
        .collect()
}

fn seconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| duration.as_secs_f64())
}

fn nanos(duration: Option<Duration>) -> Option<u64> {
    duration.map(|duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

impl Ending {
    /// Returns the ending in a word, as the JSON has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Interrupted => "interrupted",
        }
    }
}
