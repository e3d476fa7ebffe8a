//! A sweep, and a comparison of two servers.

use super::charts;
use super::parts::{push, push_faults, push_figure, push_findings, push_table, push_tiles};
use super::run;
use crate::compare::{Comparison, Conclusion};
use crate::figures;
use crate::outcome::Outcome;
use crate::record::percentile;
use crate::text;

/// Appends the curves, the table, and each step behind it.
pub(super) fn push_sweep(body: &mut String, runs: &[Outcome]) {
    let unit = runs
        .first()
        .map_or("exchange", |run| run.plan.scenario.unit());
    let findings = text::sweep_findings(runs).into_iter();
    push_findings(
        body,
        findings.map(|(weight, steps, text)| (weight, format!("{steps}{text}"))),
    );
    let title = format!("{unit}s per second by connections");
    push_figure(body, &title, &[], &charts::throughput_scaling(runs));
    let names = ["p50", "p99", "max"];
    push_figure(
        body,
        "Latency by connections",
        &names,
        &charts::latency_scaling(runs),
    );
    let names = ["server", "generator"];
    let title = format!("CPU time per {unit} by connections");
    push_figure(body, &title, &names, &charts::cpu_scaling(runs));
    push_steps(body, unit, runs);
    for step in runs {
        let connections = figures::plural(step.plan.connections.into(), "connection");
        push(
            body,
            format_args!("<details><summary>{connections}</summary>\n"),
        );
        push_tiles(body, run::tiles(step));
        run::push_details(body, step);
        body.push_str("</details>\n");
    }
}

fn push_steps(body: &mut String, unit: &str, runs: &[Outcome]) {
    let rate = format!("{unit}s/s");
    let heads = [
        "connections",
        &rate,
        "p50",
        "p99",
        "p99.9",
        "max",
        "server CPU",
        "generator CPU",
        "errors",
    ];
    let rows = runs.iter().map(|run| {
        let at = |p| figures::duration_or_dash(percentile(&run.latency, p));
        let rate = run.throughput();
        let row = vec![
            figures::count(run.plan.connections.into()),
            rate.map_or_else(|| "-".to_owned(), figures::rate),
            at(50.0),
            at(99.0),
            at(99.9),
            at(100.0),
            figures::duration_or_dash(run.costs.server_each()),
            figures::duration_or_dash(run.costs.generator_each()),
            figures::count(run.faults.total()),
        ];
        (if run.is_clean() { "" } else { "bad" }, row)
    });
    push_table(body, &heads, rows);
}

/// Appends the ratios with their spread, and both servers round by round.
pub(super) fn push_comparison(body: &mut String, comparison: &Comparison, runs: &[Outcome]) {
    let compared = comparison.compare(runs);
    let sentence = compared.first().map_or_else(
        || "nothing to compare: fewer than three whole rounds".to_owned(),
        |first| text::comparison::sentence(first).1,
    );
    push(body, format_args!("<p class=\"answer\">{sentence}</p>\n"));
    push_findings(body, text::comparison::findings(runs));
    for run in runs.iter().filter(|run| !run.is_clean()) {
        push_faults(body, &run.faults);
    }
    let heads = ["", "A", "B", "B / A", "control A / A", "B is"];
    let rows = compared.iter().map(|compared| {
        let class = match compared.conclusion() {
            Conclusion::Better => "good",
            Conclusion::Worse => "bad",
            Conclusion::Same | Conclusion::Unreadable => "",
        };
        (class, text::comparison::row(compared))
    });
    push_table(body, &heads, rows);
    let explanation = text::comparison::EXPLANATION;
    push(
        body,
        format_args!("<p class=\"small\">{explanation}.</p>\n"),
    );
    let names = ["A", "B", "control (A again)"];
    push_figure(
        body,
        "Exchanges per second by round",
        &names,
        &charts::throughput_by_round(comparison, runs),
    );
    push_figure(
        body,
        "Latency p99 by round",
        &names,
        &charts::p99_by_round(comparison, runs),
    );
}
