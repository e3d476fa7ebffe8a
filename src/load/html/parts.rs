//! The parts of a page: tables, figures, findings, lists.

use std::fmt::{Arguments, Write};

use super::chart::Chart;
use crate::errors::Faults;
use crate::findings::Weight;
use crate::text;

/// Appends figures in large type: the value, and its name.
pub(super) fn push_tiles(body: &mut String, tiles: impl IntoIterator<Item = (String, String)>) {
    body.push_str("<section class=\"tiles\">");
    for (name, value) in tiles {
        let (name, value) = (escape(&name), escape(&value));
        push(
            body,
            format_args!("<div><b>{value}</b><span>{name}</span></div>"),
        );
    }
    body.push_str("</section>\n");
}

/// Appends a table, which scrolls by itself where the page is too narrow for it. A row can have a
/// class.
pub(super) fn push_table<'a>(
    body: &mut String,
    heads: &[&str],
    rows: impl Iterator<Item = (&'a str, Vec<String>)>,
) {
    body.push_str("<div class=\"wide\" tabindex=\"0\"><table><thead><tr>");
    for head in heads {
        push(body, format_args!("<th>{}</th>", escape(head)));
    }
    body.push_str("</tr></thead><tbody>");
    for (class, row) in rows {
        push(body, format_args!("<tr class=\"{class}\">"));
        for cell in row {
            push(body, format_args!("<td>{}</td>", escape(&cell)));
        }
        body.push_str("</tr>");
    }
    body.push_str("</tbody></table></div>\n");
}

/// Appends a chart in two sizes, of which the page shows the one that fits.
pub(super) fn push_figure(body: &mut String, title: &str, names: &[&str], chart: &Chart<'_>) {
    let drawn = [("broad", (880, 300)), ("slim", (370, 260))]
        .map(|(class, size)| chart.svg(size).map(|svg| (class, svg)));
    let title = escape(title);
    push(body, format_args!("<figure><figcaption><b>{title}</b>"));
    for (place, name) in names.iter().enumerate().filter(|_| names.len() > 1) {
        let number = place + 1;
        push(
            body,
            format_args!(" <span class=\"key line-{number}\">{}</span>", escape(name)),
        );
    }
    if chart.knee.is_some() {
        body.push_str(" <span class=\"key knee\">knee</span>");
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

/// Appends findings.
pub(super) fn push_findings(
    body: &mut String,
    findings: impl IntoIterator<Item = (Weight, String)>,
) {
    for (weight, text) in findings {
        let (word, text) = (weight.word(), with_options(&escape(&text)));
        push(
            body,
            format_args!("<p class=\"finding {word}\"><b>{word}</b> {text}</p>\n"),
        );
    }
}

/// Marks the options of the command line, which must not break at their hyphens.
fn with_options(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.starts_with("--") {
        true => format!("<code>{word}</code>"),
        false => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Appends the errors by kind, if there are any.
pub(super) fn push_faults(body: &mut String, faults: &Faults) {
    if faults.total() > 0 {
        body.push_str("<div class=\"faults\">");
        push_list(body, "Errors", text::faults(faults));
        body.push_str("</div>\n");
    }
}

/// Appends a list below a heading; neither if it is empty.
pub(super) fn push_list(body: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    push(body, format_args!("<section><h2>{title}</h2><ul>"));
    for line in lines {
        push(body, format_args!("<li>{}</li>", escape(&line)));
    }
    body.push_str("</ul></section>\n");
}

pub(super) fn push(body: &mut String, part: Arguments<'_>) {
    body.write_fmt(part).expect("a string grows");
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
