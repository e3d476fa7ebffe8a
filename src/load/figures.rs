//! Figures as people read them.

use std::time::Duration;

/// Returns a duration with three digits and a unit.
pub(crate) fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos() as f64;
    let (value, unit) = match nanos {
        n if n < 1e3 => return format!("{n:.0} ns"),
        n if n < 999.5e3 => (n / 1e3, "µs"),
        n if n < 999.5e6 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// Returns a duration, or a dash.
pub(crate) fn duration_or_dash(known: Option<Duration>) -> String {
    known.map_or_else(|| "-".to_owned(), duration)
}

/// Returns a whole number in groups of three digits.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Returns a rate: whole from 100 on.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second >= 99.5 {
        count(per_second.round() as u64)
    } else {
        three_digits(per_second)
    }
}

/// Returns a part of one, in percent.
pub(crate) fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// Returns a part of a whole in percent, precise where it is small.
pub(crate) fn share(part: u64, whole: u64) -> String {
    let percent = part as f64 / whole.max(1) as f64 * 100.0;
    match percent {
        _ if part == 0 => "0 %".to_owned(),
        p if p < 0.01 => "<0.01 %".to_owned(),
        p if p < 9.995 => format!("{p:.2} %"),
        p => format!("{p:.1} %"),
    }
}

/// Returns a number of bytes.
pub(crate) fn bytes(bytes: f64) -> String {
    match bytes {
        b if b < 10_000.0 => format!("{b:.0} B"),
        b if b < 10_000_000.0 => format!("{:.0} KiB", b / 1024.0),
        b => format!("{:.0} MiB", b / 1024.0 / 1024.0),
    }
}

/// Returns a number with its unit: `1 exchange`, `2 exchanges`.
pub(crate) fn plural(number: u64, unit: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {unit}{ending}", count(number))
}

fn three_digits(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        for (nanos, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (53_840, "53.8 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (12_746_751, "12.7 ms"),
            (1_004_000_000, "1.00 s"),
            (125_000_000_000, "125 s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn counts_are_grouped() {
        let counts = [0, 999, 1000, 19_000, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "19,000", "1,234,567"]);
        assert_eq!([0.5, 54_155.6].map(rate), ["0.50", "54,156"]);
    }
}
