//! A ramp: the knee, and the curves around it.

use super::charts;
use super::parts::{push_faults, push_figure, push_findings, push_table, push_tiles};
use super::run;
use crate::figures;
use crate::outcome::Outcome;
use crate::ramp::{Knee, Ramp, rate};
use crate::record::percentile;

/// Appends the knee, the curves with a mark at it, and a row for each rate.
pub(super) fn push(body: &mut String, ramp: &Ramp, runs: &[Outcome]) {
    let knee = ramp.knee(runs);
    push_tiles(body, tiles(knee));
    match (knee, runs.first()) {
        (Some(knee), _) => {
            let findings = knee.run.findings().into_iter();
            push_findings(
                body,
                findings.map(|it| (it.weight, format!("at the knee: {}", it.text))),
            );
        }
        (None, Some(first)) => {
            push_faults(body, &first.faults);
            let findings = first.findings().into_iter();
            push_findings(body, findings.map(|it| (it.weight, it.text)));
        }
        (None, None) => {}
    }
    let mark = knee.map(|knee| knee.rate);
    let steps = Ramp::steps(runs);
    let names = ["p50", "p99", "max"];
    push_figure(
        body,
        "Latency by rate",
        &names,
        &charts::latency_by_rate(&steps, mark),
    );
    let names = ["answered", "due"];
    push_figure(
        body,
        "Answers per second by rate",
        &names,
        &charts::answers_by_rate(&steps, mark),
    );
    push_steps(body, ramp, &steps, knee);
    if let Some(knee) = knee {
        push_knee(body, knee.run);
    }
}

fn tiles(knee: Option<Knee<'_>>) -> Vec<(String, String)> {
    let Some(knee) = knee else {
        return vec![("no rate passed".to_owned(), "no knee".to_owned())];
    };
    let at = |p| figures::duration_or_dash(percentile(&knee.run.latency, p));
    let beyond = knee.beyond.map_or_else(|| "-".to_owned(), figures::rate);
    vec![
        (
            "names per second at the knee".to_owned(),
            figures::rate(knee.rate),
        ),
        ("p50 there".to_owned(), at(50.0)),
        ("p99 there".to_owned(), at(99.0)),
        ("lowest rate that failed".to_owned(), beyond),
    ]
}

fn push_steps(body: &mut String, ramp: &Ramp, steps: &[&Outcome], knee: Option<Knee<'_>>) {
    let heads = [
        "names/s",
        "answered/s",
        "p50",
        "p99",
        "p99.9",
        "max",
        "server CPU",
        "errors",
        "",
    ];
    let rows = steps.iter().map(|&step| {
        let at = |p| figures::duration_or_dash(percentile(&step.latency, p));
        let failure = ramp.failure(step);
        let is_knee = knee.is_some_and(|knee| knee.rate == rate(step));
        let (class, word) = match failure {
            Some(failure) => ("bad", failure),
            None if is_knee => ("good", "knee".to_owned()),
            None => ("", String::new()),
        };
        let row = vec![
            figures::rate(rate(step)),
            charts::answered(step).map_or_else(|| "-".to_owned(), figures::rate),
            at(50.0),
            at(99.0),
            at(99.9),
            at(100.0),
            figures::duration_or_dash(step.costs.server_each()),
            figures::count(step.faults.total()),
            word,
        ];
        (class, row)
    });
    push_table(body, &heads, rows);
}

fn push_knee(body: &mut String, knee: &Outcome) {
    let rate = figures::rate(rate(knee));
    super::parts::push(
        body,
        format_args!("<details><summary>At the knee, {rate} names/s</summary>\n"),
    );
    run::push_details(body, knee);
    body.push_str("</details>\n");
}
