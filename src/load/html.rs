//! The report as one page that needs nothing else: no script, no font, no network.

use std::fmt::Write;
use std::time::Duration;

use super::chart::{Axis, Chart, Scale};
use super::errors::Faults;
use super::figures;
use super::outcome::Outcome;
use super::record::{Latencies, percentile};
use super::report::{Report, Server, Shape, Verdict};
use super::text::{self, PERCENTILES};

/// The whole page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut body = header(report);
    match &report.shape {
        Shape::Single | Shape::Ramp(_) | Shape::Comparison(_) => {
            for run in &report.runs {
                push_run(&mut body, run);
            }
        }
        Shape::Sweep => push_sweep(&mut body, &report.runs),
    }
    push_judgements(&mut body, report);
    push_footer(&mut body, report);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>greet-load: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        report.verdict().as_str()
    )
}

fn header(report: &Report) -> String {
    let verdict = report.verdict();
    let sign = match verdict {
        Verdict::Measured => "no errors",
        Verdict::Passed => "✓ passed",
        Verdict::Failed => "✗ failed",
        Verdict::Interrupted => "… interrupted",
    };
    let what = report
        .runs
        .first()
        .map_or(String::new(), |run| match &report.shape {
            Shape::Single | Shape::Ramp(_) | Shape::Comparison(_) => text::describe(run),
            Shape::Sweep => {
                let scenario = run.plan.scenario.as_str();
                format!(
                    "{scenario}: the same with more and more connections, to {}",
                    run.plan.target
                )
            }
        });
    format!(
        "<header><h1>greet-load <span class=\"verdict {}\">{sign}</span></h1><p>{}</p></header>\n",
        verdict.as_str(),
        escape(&what)
    )
}

/// One run: its figures, its charts, its findings.
fn push_run(body: &mut String, run: &Outcome) {
    push_tiles(body, run);
    push_findings(
        body,
        run.findings()
            .iter()
            .map(|f| (f.weight.word(), f.text.clone())),
    );
    push_faults(body, &run.faults);
    push_run_charts(body, run);
    push_percentiles(body, run);
}

fn push_run_charts(body: &mut String, run: &Outcome) {
    let unit = run.plan.scenario.unit();
    if run.plan.active() > 0 {
        let title = format!("{unit}s a second over time");
        push_figure(body, &title, &[], &throughput_over_time(run));
    }
    let names = ["median", "99th percentile", "highest"];
    push_figure(body, "Latency over time", &names, &latency_over_time(run));
    let known = text::distributions(run);
    let names: Vec<_> = known.iter().map(|&(name, _)| name).collect();
    push_figure(body, "Latency by percentile", &names, &distribution(&known));
}

/// The figures that matter most, large.
fn push_tiles(body: &mut String, run: &Outcome) {
    let at = |p| figures::duration_or_dash(percentile(&run.latency, p));
    let unit = run.plan.scenario.unit();
    let rate = match run.throughput() {
        Some(rate) => (format!("{unit}s a second"), figures::rate(rate)),
        None => (
            "proved alive".to_owned(),
            figures::count(run.connections.proved.into()),
        ),
    };
    let tiles = [
        rate,
        ("median".to_owned(), at(50.0)),
        ("99 % are faster than".to_owned(), at(99.0)),
        ("highest".to_owned(), at(100.0)),
        (
            format!("server CPU per {unit}"),
            figures::duration_or_dash(run.costs.server_each()),
        ),
        ("errors".to_owned(), figures::count(run.faults.total())),
    ];
    body.push_str("<section class=\"tiles\">");
    for (name, value) in tiles {
        push(
            body,
            format_args!("<div><b>{value}</b><span>{}</span></div>", escape(&name)),
        );
    }
    body.push_str("</section>\n");
}

/// The curve, the table, and each step behind it.
fn push_sweep(body: &mut String, runs: &[Outcome]) {
    let unit = runs
        .first()
        .map_or("exchange", |run| run.plan.scenario.unit());
    push_findings(body, sweep_findings(runs));
    push_figure(
        body,
        &format!("{unit}s a second, by connections"),
        &[],
        &scaling(runs),
    );
    let names = ["median", "99th percentile", "highest"];
    push_figure(
        body,
        "Latency, by connections",
        &names,
        &latency_scaling(runs),
    );
    let names = ["server", "generator"];
    push_figure(
        body,
        &format!("CPU time per {unit}, by connections"),
        &names,
        &cpu_scaling(runs),
    );
    push_sweep_table(body, runs);
    for run in runs {
        let connections = figures::plural(run.plan.connections.into(), "connection");
        push(
            body,
            format_args!("<details><summary>{connections}</summary>\n"),
        );
        push_tiles(body, run);
        push_faults(body, &run.faults);
        push_run_charts(body, run);
        push_percentiles(body, run);
        body.push_str("</details>\n");
    }
}

fn sweep_findings(runs: &[Outcome]) -> impl Iterator<Item = (&'static str, String)> {
    text::sweep_findings(runs)
        .into_iter()
        .map(|(weight, steps, text)| (weight.word(), format!("{steps}{text}")))
}

fn push_sweep_table(body: &mut String, runs: &[Outcome]) {
    let unit = runs
        .first()
        .map_or("exchange", |run| run.plan.scenario.unit());
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
        vec![
            figures::count(run.plan.connections.into()),
            run.throughput()
                .map_or_else(|| "-".to_owned(), figures::rate),
            at(50.0),
            at(99.0),
            at(99.9),
            at(100.0),
            figures::duration_or_dash(run.costs.server_each()),
            figures::duration_or_dash(run.costs.generator_each()),
            figures::count(run.faults.total()),
        ]
    });
    push_table(body, &heads, rows);
}

fn push_percentiles(body: &mut String, run: &Outcome) {
    let heads = [""].into_iter().chain(PERCENTILES.map(|(name, _)| name));
    let heads: Vec<_> = heads.chain(["count"]).collect();
    let mut times = text::distributions(run);
    times[0].0 = "latency";
    times.push(("connect", &run.connect));
    let rows = times.into_iter().map(|(name, latencies)| {
        let values = PERCENTILES.map(|(_, p)| figures::duration_or_dash(percentile(latencies, p)));
        let mut row = vec![name.to_owned()];
        row.extend(values);
        row.push(figures::count(latencies.len()));
        row
    });
    push_table(body, &heads, rows);
    push(
        body,
        format_args!(
            "<p class=\"small\">Latency is {}.</p>\n",
            text::latency_is(run)
        ),
    );
}

fn push_table(body: &mut String, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    body.push_str("<div class=\"wide\"><table><thead><tr>");
    for head in heads {
        push(body, format_args!("<th>{}</th>", escape(head)));
    }
    body.push_str("</tr></thead><tbody>");
    for row in rows {
        body.push_str("<tr>");
        for cell in row {
            push(body, format_args!("<td>{}</td>", escape(&cell)));
        }
        body.push_str("</tr>");
    }
    body.push_str("</tbody></table></div>\n");
}

fn push_faults(body: &mut String, faults: &Faults) {
    if faults.total() == 0 {
        return;
    }
    body.push_str("<section class=\"faults\"><h2>Errors</h2><ul>");
    for told in text::faults(faults) {
        push(body, format_args!("<li>{}</li>", escape(&told)));
    }
    body.push_str("</ul></section>\n");
}

fn push_findings(body: &mut String, findings: impl Iterator<Item = (&'static str, String)>) {
    for (word, text) in findings {
        push(
            body,
            format_args!(
                "<p class=\"finding {word}\"><b>{word}</b> {}</p>\n",
                escape(&text)
            ),
        );
    }
}

fn push_judgements(body: &mut String, report: &Report) {
    let judgements = report.judgements();
    if judgements.is_empty() {
        return;
    }
    body.push_str("<section><h2>Judged</h2><ul>");
    for judgement in judgements {
        push(
            body,
            format_args!("<li>{}</li>", escape(&judgement.to_string())),
        );
    }
    body.push_str("</ul></section>\n");
}

fn push_footer(body: &mut String, report: &Report) {
    let server = match report.server {
        Server::Own { .. } => "a server of its own, on the same machine",
        Server::Known { .. } => "a server on the same machine",
        Server::Unknown => "a server that was there",
    };
    let started = Duration::from_secs(report.started_unix());
    let started = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + started);
    push(
        body,
        format_args!(
            "<footer><p><code>greet-load {}</code></p><p>{started}, greet-load {} on {}, against {server}. \
         Every byte of every answer was compared with what the name sent must yield.</p></footer>\n",
            escape(&report.command.join(" ")),
            env!("CARGO_PKG_VERSION"),
            escape(&report.machine.to_string()),
        ),
    );
}

/// A chart in two sizes, of which the page shows the one that fits.
fn push_figure(body: &mut String, title: &str, names: &[&str], chart: &Chart<'_>) {
    let drawn = [("broad", (880, 300)), ("slim", (370, 260))].map(|(class, size)| {
        let chart = Chart {
            size,
            lines: chart.lines.clone(),
            ..*chart
        };
        chart.svg().map(|svg| (class, svg))
    });
    let title = escape(title);
    push(body, format_args!("<figure><figcaption><b>{title}</b>"));
    for (place, name) in names.iter().enumerate().filter(|_| names.len() > 1) {
        let number = place + 1;
        push(
            body,
            format_args!(" <span class=\"key line-{number}\">{}</span>", escape(name)),
        );
    }
    body.push_str("</figcaption>");
    for (class, svg) in drawn.iter().flatten() {
        push(
            body,
            format_args!("<div class=\"{class}\" aria-label=\"{title}\">{svg}</div>"),
        );
    }
    if drawn[0].is_none() {
        body.push_str("<p class=\"small\">Nothing was measured.</p>");
    }
    body.push_str("</figure>\n");
}

fn throughput_over_time(run: &Outcome) -> Chart<'static> {
    let whole = run.series.iter().map(|interval| interval.lasted).max();
    // Answers to what was under way at the end make a last interval of their own.
    let full = run
        .series
        .iter()
        .filter(|interval| interval.start < run.measured && Some(interval.lasted * 2) > whole);
    let rate = full.map(|interval| {
        let rate = interval.completed as f64 / interval.lasted.as_secs_f64();
        (middle(interval), rate)
    });
    let y = axis(Scale::Linear, "a second", &thousands);
    chart(SECONDS, y, vec![rate.collect()])
}

fn latency_over_time(run: &Outcome) -> Chart<'static> {
    let line = |of: fn(super::record::Spread) -> Duration| {
        let points = run
            .series
            .iter()
            .filter_map(|interval| Some((middle(interval), above_zero(of(interval.latency?)))));
        points.collect::<Vec<_>>()
    };
    let lines = vec![line(|s| s.p50), line(|s| s.p99), line(|s| s.max)];
    chart(SECONDS, LATENCY, lines)
}

fn middle(interval: &super::record::Interval) -> f64 {
    (interval.start + interval.lasted / 2).as_secs_f64()
}

/// For each percentile how slow it is, stretched so that each further nine has as much room.
fn distribution(known: &[(&str, &Latencies)]) -> Chart<'static> {
    let line = |latencies: &Latencies| {
        let finest = (latencies.len() as f64).log10().max(1.0);
        let steps = (0..=(finest * 10.0) as u32).map(|step| f64::from(step) / 10.0);
        let points = steps.filter_map(|nines| {
            let rest = 10f64.powf(-nines);
            let latency = percentile(latencies, (1.0 - rest) * 100.0)?;
            Some((1.0 / rest, above_zero(latency)))
        });
        points.collect::<Vec<_>>()
    };
    let lines = known
        .iter()
        .map(|&(_, latencies)| line(latencies))
        .collect();
    chart(
        axis(Scale::Logarithmic, "percentile", &nines),
        LATENCY,
        lines,
    )
}

fn scaling(runs: &[Outcome]) -> Chart<'static> {
    let points = runs
        .iter()
        .filter_map(|run| Some((connections(run), run.throughput()?)));
    chart(
        CONNECTIONS,
        axis(Scale::Linear, "a second", &thousands),
        vec![points.collect()],
    )
}

fn latency_scaling(runs: &[Outcome]) -> Chart<'static> {
    let line = |p: f64| {
        let points = runs
            .iter()
            .filter_map(|run| Some((connections(run), above_zero(percentile(&run.latency, p)?))));
        points.collect::<Vec<_>>()
    };
    chart(CONNECTIONS, LATENCY, [50.0, 99.0, 100.0].map(line).to_vec())
}

fn cpu_scaling(runs: &[Outcome]) -> Chart<'static> {
    let line = |of: fn(&Outcome) -> Option<Duration>| {
        let points = runs
            .iter()
            .filter_map(|run| Some((connections(run), of(run)?.as_secs_f64())));
        points.collect::<Vec<_>>()
    };
    let lines = vec![
        line(|run| run.costs.server_each()),
        line(|run| run.costs.generator_each()),
    ];
    chart(CONNECTIONS, axis(Scale::Linear, "CPU time", &time), lines)
}

fn connections(run: &Outcome) -> f64 {
    f64::from(run.plan.connections)
}

fn chart<'a>(x: Axis<'a>, y: Axis<'a>, lines: Vec<Vec<(f64, f64)>>) -> Chart<'a> {
    Chart {
        x,
        y,
        lines,
        size: (0, 0),
    }
}

const fn axis<'a>(scale: Scale, label: &'a str, show: &'a dyn Fn(f64) -> String) -> Axis<'a> {
    Axis { scale, label, show }
}

const SECONDS: Axis<'static> = axis(Scale::Linear, "seconds", &plain);
const CONNECTIONS: Axis<'static> = axis(Scale::Logarithmic, "connections", &thousands);
const LATENCY: Axis<'static> = axis(Scale::Decades, "latency", &time);

fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn thousands(value: f64) -> String {
    match value {
        v if v >= 10_000.0 => format!("{}k", plain(v / 1000.0)),
        v => plain(v),
    }
}

fn time(seconds: f64) -> String {
    figures::duration(Duration::from_secs_f64(seconds.max(0.0)))
}

/// 1 is the 0th percentile, 10 the 90th, 100 the 99th.
fn nines(one_in: f64) -> String {
    let percent = (1.0 - 1.0 / one_in) * 100.0;
    let digits = (one_in.log10() - 2.0).max(0.0).ceil() as usize;
    format!("{percent:.digits$}")
}

fn above_zero(duration: Duration) -> f64 {
    duration.max(Duration::from_nanos(1)).as_secs_f64()
}

fn push(body: &mut String, part: std::fmt::Arguments<'_>) {
    body.write_fmt(part).expect("a string grows");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const STYLE: &str = include_str!("page.css");
