//! The report as one page that needs nothing else: no script, no font, no network.

mod chart;
mod charts;
mod parts;
mod ramp;
mod run;
mod several;

use std::time::{Duration, UNIX_EPOCH};

use parts::{escape, push, push_list};

use super::report::{Pinned, Report, Server, Shape, Verdict};
use super::text;

/// Returns the whole page.
#[must_use]
pub fn page(report: &Report) -> String {
    let title = escape(&title(report));
    let mut body = header(report, &title);
    match &report.shape {
        Shape::Single => {
            for run in &report.runs {
                run::push(&mut body, run);
            }
        }
        Shape::Sweep => several::push_sweep(&mut body, &report.runs),
        Shape::Ramp(ramp) => ramp::push(&mut body, ramp, &report.runs),
        Shape::Comparison(comparison) => {
            several::push_comparison(&mut body, comparison, &report.runs);
        }
    }
    push_judgements(&mut body, report);
    push_facts(&mut body, report);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>greet-load: {title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// Describes the report in a sentence.
fn title(report: &Report) -> String {
    let Some(first) = report.runs.first() else {
        return "nothing was measured".to_owned();
    };
    match &report.shape {
        Shape::Single => text::describe(first),
        Shape::Sweep => text::describe_sweep(first),
        Shape::Ramp(ramp) => text::describe_ramp(ramp, first),
        Shape::Comparison(comparison) => text::comparison::describe(comparison, first),
    }
}

fn header(report: &Report, title: &str) -> String {
    let verdict = report.verdict();
    let sign = match verdict {
        Verdict::Measured => "no errors",
        Verdict::Passed => "✓ passed",
        Verdict::Failed => "✗ failed",
        Verdict::Interrupted => "… interrupted",
    };
    format!(
        "<header><h1>greet-load <span class=\"verdict {}\">{sign}</span></h1><p>{title}</p></header>\n",
        verdict.as_str(),
    )
}

fn push_judgements(body: &mut String, report: &Report) {
    let judgements = report.judgements();
    let lines = judgements.iter().map(|judgement| {
        let word = if judgement.failed { "FAILED" } else { "passed" };
        format!("{word}: {judgement}")
    });
    push_list(body, "Conditions", lines);
}

/// Appends the command, the machine and the server, so that a report can be repeated.
fn push_facts(body: &mut String, report: &Report) {
    let started = UNIX_EPOCH + Duration::from_secs(report.started_unix());
    let facts = [
        (
            "Command",
            format!("greet-load {}", report.command.join(" ")),
        ),
        ("Machine", report.machine.to_string()),
        ("Server", server(report.server)),
        ("Cores", cores(report.pinned)),
        (
            "Started",
            humantime::format_rfc3339_seconds(started).to_string(),
        ),
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    body.push_str("<footer><h2>How it was measured</h2><dl>");
    for (name, fact) in facts {
        let fact = match name {
            "Command" => format!("<code>{}</code>", escape(fact.trim_end())),
            _ => escape(&fact),
        };
        push(body, format_args!("<dt>{name}</dt><dd>{fact}</dd>"));
    }
    body.push_str(
        "</dl><p>Every byte of every answer was compared with what the name sent must yield.</p></footer>\n",
    );
}

fn server(server: Server) -> String {
    match server {
        Server::Own { pid } => format!("started for this, process {pid} on the same machine"),
        Server::Known { pid } => format!("process {pid} on the same machine"),
        Server::Unknown => "its process is not known".to_owned(),
    }
}

fn cores(pinned: Pinned) -> String {
    match (pinned.generator, pinned.server) {
        (Some(own), Some(server)) => format!("generator kept on {own}, server kept on {server}"),
        (Some(own), None) => format!("generator kept on {own}, server where the system put it"),
        (None, _) => "chosen by the system".to_owned(),
    }
}

const STYLE: &str = include_str!("page.css");
