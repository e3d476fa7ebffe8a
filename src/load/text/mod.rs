//! The report for people.

pub(crate) mod comparison;
mod page;
mod ramp;
mod run;
mod sweep;
mod table;

pub(crate) use page::Style;
pub use page::{Ink, Page};
pub(crate) use ramp::describe as describe_ramp;
pub use run::step;
pub(crate) use run::{PERCENTILES, describe, distributions, faults, latency_is};
pub(crate) use sweep::{describe as describe_sweep, sweep_findings};

use super::figures;
use super::findings::Weight;
use super::outcome::Outcome;
use super::report::{Report, Shape, Verdict};

/// Returns the whole report.
#[must_use]
pub fn report(report: &Report, page: &Page) -> String {
    let more = setting(report, page);
    let text = match &report.shape {
        Shape::Single => report
            .runs
            .iter()
            .map(|run| run::run(run, &more, page))
            .collect(),
        Shape::Sweep => sweep::sweep(&report.runs, &more, page),
        Shape::Ramp(ramp) => ramp::ramp(ramp, &report.runs, &more, page),
        Shape::Comparison(comparison) => {
            comparison::comparison(comparison, &report.runs, &more, page)
        }
    };
    let text = text.trim_end().to_owned();
    match page.height {
        Some(height) if text.lines().count() > height => repeat_headline(&text),
        _ => text,
    }
}

/// Appends findings, as many as fit below the lines of `text` and `others` more.
fn push_findings(
    text: &mut String,
    findings: impl IntoIterator<Item = (Weight, String)>,
    others: usize,
    page: &Page,
) {
    let taken = others + text.lines().count();
    let room = page
        .height
        .map_or(usize::MAX, |height| height.saturating_sub(taken));
    let blocks = findings.into_iter().map(|(weight, finding)| {
        let mut block = String::new();
        page.push_labelled(&mut block, weight.style(), weight.word(), &finding);
        block
    });
    let blocks: Vec<String> = blocks.collect();
    let lines = |blocks: &[String]| {
        blocks
            .iter()
            .map(|block| block.lines().count())
            .sum::<usize>()
    };
    let mut shown = blocks.len();
    // The last line is then for the number of those that are not shown.
    while shown > 0 && lines(&blocks[..shown]) + usize::from(shown < blocks.len()) > room {
        shown -= 1;
    }
    text.extend(blocks[..shown].iter().map(String::as_str));
    if shown < blocks.len() {
        let more = figures::plural((blocks.len() - shown) as u64, "more remark");
        let more = format!("{more}: see --html or --json");
        page.push_labelled(text, Style::Faint, "", &more);
    }
}

/// Repeats the text before the first empty line at the end of a report that is too long, because
/// it must not be out of sight.
fn repeat_headline(text: &str) -> String {
    let headline = text.split("\n\n").next().unwrap_or_default();
    format!("{text}\n\n{headline}")
}

/// Returns the machine and the conditions.
fn setting(report: &Report, page: &Page) -> String {
    let mut text = String::new();
    let machine = report.machine.to_string();
    page.push_labelled(&mut text, Style::Faint, "machine", &machine);
    for judgement in report.judgements() {
        let (style, word) = match judgement.failed {
            true => (Style::Bad, "FAILED"),
            false => (Style::Good, "passed"),
        };
        page.push_labelled(&mut text, style, word, &judgement.to_string());
    }
    if report.verdict() == Verdict::Interrupted {
        let partial = "INTERRUPTED before its end";
        page.push_labelled(&mut text, Style::Warning, "partial", partial);
    }
    text
}

/// Returns the part of a report that is about one run.
#[must_use]
pub fn run(outcome: &Outcome, page: &Page) -> String {
    run::run(outcome, "", page)
}

impl Weight {
    /// Returns the word in front of a finding.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Note => Style::Faint,
            Self::Warning => Style::Warning,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_that_do_not_fit_are_counted() {
        let findings = || (0..6).map(|number| (Weight::Warning, format!("remark {number}")));
        for (height, shown) in [
            (None, 6),
            (Some(20), 6),
            (Some(8), 6),
            (Some(7), 4),
            (Some(2), 0),
        ] {
            let page = Page {
                height,
                ..Page::PLAIN
            };
            let mut text = "headline\n".to_owned();
            push_findings(&mut text, findings(), 1, &page);
            assert_eq!(text.matches("warning").count(), shown, "{text}");
            let counted = format!("{} more remarks", 6 - shown);
            assert_eq!(text.contains(&counted), shown < 6, "{text}");
        }
    }
}
