//! One run: its figures, its charts, its findings.

use super::charts;
use super::parts::{self, push_faults, push_figure, push_findings, push_table, push_tiles};
use crate::figures;
use crate::outcome::Outcome;
use crate::record::percentile;
use crate::text::{self, PERCENTILES};

/// Appends a run with its findings.
pub(super) fn push(body: &mut String, run: &Outcome) {
    push_tiles(body, tiles(run));
    let findings = run.findings().into_iter();
    push_findings(body, findings.map(|finding| (finding.weight, finding.text)));
    push_details(body, run);
}

/// Appends the charts and percentiles of a run.
pub(super) fn push_details(body: &mut String, run: &Outcome) {
    push_faults(body, &run.faults);
    let known = text::distributions(run);
    let names: Vec<_> = known.iter().map(|&(name, _)| name).collect();
    push_figure(
        body,
        "Latency distribution",
        &[],
        &charts::histogram(&run.latency),
    );
    push_figure(
        body,
        "Latency by percentile",
        &names,
        &charts::percentiles(&known),
    );
    let unit = run.plan.scenario.unit();
    if run.plan.active() > 0 {
        let title = format!("{unit}s per second over time");
        push_figure(body, &title, &[], &charts::throughput_over_time(run));
    }
    let names = ["p50", "p99", "max"];
    push_figure(
        body,
        "Latency over time",
        &names,
        &charts::latency_over_time(run),
    );
    push_percentiles(body, run);
}

/// Returns the figures that matter most.
pub(super) fn tiles(run: &Outcome) -> [(String, String); 6] {
    let at = |p| figures::duration_or_dash(percentile(&run.latency, p));
    let unit = run.plan.scenario.unit();
    let rate = match run.throughput() {
        Some(rate) => (format!("{unit}s per second"), figures::rate(rate)),
        None => (
            "connections alive".to_owned(),
            figures::count(run.connections.proved.into()),
        ),
    };
    [
        rate,
        ("p50".to_owned(), at(50.0)),
        ("p99".to_owned(), at(99.0)),
        ("max".to_owned(), at(100.0)),
        (
            format!("server CPU per {unit}"),
            figures::duration_or_dash(run.costs.server_each()),
        ),
        ("errors".to_owned(), figures::count(run.faults.total())),
    ]
}

fn push_percentiles(body: &mut String, run: &Outcome) {
    let heads = [""].into_iter().chain(PERCENTILES.map(|(name, _)| name));
    let heads: Vec<_> = heads.chain(["count"]).collect();
    let mut times = text::distributions(run);
    times.push(("connect", &run.connect));
    let rows = times.into_iter().map(|(name, latencies)| {
        let values = PERCENTILES.map(|(_, p)| figures::duration_or_dash(percentile(latencies, p)));
        let mut row = vec![name.to_owned()];
        row.extend(values);
        row.push(figures::count(latencies.len()));
        ("", row)
    });
    push_table(body, &heads, rows);
    let is = text::latency_is(run);
    parts::push(
        body,
        format_args!("<p class=\"small\">Latency is {is}.</p>\n"),
    );
}
