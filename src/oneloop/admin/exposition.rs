//! The text format of Prometheus, version 0.0.4.

use std::fmt::{self, Write};

use crate::service::inspect::Histogram;

/// Metrics in the text format of Prometheus, version 0.0.4.
///
/// ```
/// use oneloop::admin::Exposition;
///
/// let mut metrics = Exposition::default();
/// metrics.counter("greetings_total", "Greetings sent.").value(3);
/// metrics
///     .gauge("rooms", "Rooms by kind.")
///     .labelled(&[("kind", "open")], 7)
///     .labelled(&[("kind", "closed")], 1);
/// assert_eq!(
///     metrics.text(),
///     "# HELP greetings_total Greetings sent.\n\
///      ## TYPE greetings_total counter\n\
///      greetings_total 3\n\
///      ## HELP rooms Rooms by kind.\n\
///      ## TYPE rooms gauge\n\
///      rooms{kind=\"open\"} 7\n\
///      rooms{kind=\"closed\"} 1\n"
/// );
/// ```
///
/// A name, which begins with a letter and has letters, digits and underscores, is given once, with
/// all its samples.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    text: String,
}

/// The samples of one metric.
#[derive(Debug)]
pub struct Samples<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Exposition {
    /// Begins a metric that only increases. By convention its name ends with `_total`.
    pub fn counter<'a>(&'a mut self, name: &'a str, help: &str) -> Samples<'a> {
        self.metric(name, help, "counter")
    }

    /// Begins a metric that goes up and down.
    pub fn gauge<'a>(&'a mut self, name: &'a str, help: &str) -> Samples<'a> {
        self.metric(name, help, "gauge")
    }

    /// Adds a histogram of durations, in seconds. By convention its name ends with `_seconds`.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        let samples = self.metric(name, help, "histogram");
        for (bound, count) in histogram.cumulative() {
            let bound = bound.as_secs_f64();
            write(
                samples.text,
                format_args!("{name}_bucket{{le=\"{bound}\"}} {count}\n"),
            );
        }
        let (count, sum) = (histogram.count(), histogram.sum().as_secs_f64());
        write(
            samples.text,
            format_args!(
                "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}\n"
            ),
        );
    }

    /// Returns the text so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn metric<'a>(&'a mut self, name: &'a str, help: &str, kind: &str) -> Samples<'a> {
        let text = &mut self.text;
        write(
            text,
            format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
        );
        Samples { text, name }
    }
}

impl Samples<'_> {
    /// Adds the value of a metric without labels.
    pub fn value(self, value: impl fmt::Display) {
        write(self.text, format_args!("{} {value}\n", self.name));
    }

    /// Adds a value with labels: names, each with its value. A label's value may be any text, but
    /// not one that a peer sends: each makes another series.
    pub fn labelled(self, labels: &[(&str, &str)], value: impl fmt::Display) -> Self {
        let (text, name) = (self.text, self.name);
        write(text, format_args!("{name}"));
        for (number, (label, content)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let content = Escaped(content);
            write(text, format_args!("{before}{label}=\"{content}\""));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        write(text, format_args!("{end} {value}\n"));
        Samples { text, name }
    }
}

/// A label's value, escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

/// Appends to a string, which cannot fail.
fn write(text: &mut String, arguments: fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn label_value_is_escaped() {
        let mut metrics = Exposition::default();
        metrics
            .gauge("a", "b")
            .labelled(&[("c", "\"d\\\n"), ("e", "é")], 1.5);
        let sample = metrics.text().lines().last();
        assert_eq!(sample, Some(r#"a{c="\"d\\\n",e="é"} 1.5"#));
    }

    #[test]
    fn histogram_has_cumulative_buckets_in_seconds() {
        let mut histogram = Histogram::default();
        for millis in [0, 3, 5000] {
            histogram.record(Duration::from_millis(millis));
        }
        let mut metrics = Exposition::default();
        metrics.histogram("a_seconds", "b", &histogram);
        let lines: Vec<_> = metrics.text().lines().skip(2).collect();
        assert_eq!(lines.len(), 12 + 3);
        assert_eq!(lines[0], "a_seconds_bucket{le=\"0.00005\"} 1");
        assert_eq!(lines[6], "a_seconds_bucket{le=\"0.005\"} 2");
        assert_eq!(
            lines[11..],
            [
                "a_seconds_bucket{le=\"1\"} 2",
                "a_seconds_bucket{le=\"+Inf\"} 3",
                "a_seconds_sum 5.003",
                "a_seconds_count 3",
            ]
        );
    }
}
