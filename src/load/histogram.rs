//! A distribution in a few rows.

use super::record::Latencies;

/// A row of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// Its upper bound, itself not included, in nanoseconds.
    pub(crate) below: u64,
    /// The number of values below it and not below the bound before.
    pub(crate) count: u64,
}

/// Counts `latencies` between round bounds at equal distances on a logarithmic scale, as fine as
/// `rows` allows. Empty if they do not fit.
pub(crate) fn buckets(latencies: &Latencies, rows: usize) -> Vec<Bucket> {
    let (low, high) = (latencies.min().max(1), latencies.max().max(1));
    let bounds = finest(low, high, rows);
    count(latencies, bounds.unwrap_or_default())
}

/// Counts `latencies` as [`buckets`] does, but with one row for the slowest in a thousand, and none
/// of their own for the fastest: so the other rows are finer.
pub(crate) fn condensed(latencies: &Latencies, rows: usize) -> Vec<Bucket> {
    let at = |quantile| latencies.value_at_quantile(quantile).max(1);
    let (low, high) = (at(0.001), at(0.999));
    let Some(mut bounds) = finest(low, high, rows.saturating_sub(1)) else {
        return Vec::new();
    };
    let max = latencies.max();
    if bounds.last().is_some_and(|&last| last <= max) {
        bounds.extend(self::bounds(SERIES[3], max, max).last());
    }
    count(latencies, bounds)
}

/// Returns the bounds of the finest series of which so many rows are enough.
fn finest(low: u64, high: u64, rows: usize) -> Option<Vec<u64>> {
    let mut all = SERIES.iter().map(|series| bounds(series, low, high));
    all.find(|bounds| bounds.len() <= rows)
}

/// Counts the values below each bound. The last bound must be above all of them.
fn count(latencies: &Latencies, bounds: Vec<u64>) -> Vec<Bucket> {
    let empty = |below| Bucket { below, count: 0 };
    let mut buckets: Vec<_> = bounds.into_iter().map(empty).collect();
    for recorded in latencies.iter_recorded() {
        let value = recorded.value_iterated_to().min(latencies.max());
        let place = buckets.partition_point(|bucket| bucket.below <= value);
        if let Some(bucket) = buckets.get_mut(place) {
            bucket.count += recorded.count_at_value();
        }
    }
    buckets
}

/// Returns the bounds of a series above `low`, to the first above `high`.
fn bounds(series: &[f64], low: u64, high: u64) -> Vec<u64> {
    let all = (0..).flat_map(|decade| series.iter().map(move |step| round(step, decade)));
    let mut bounds = Vec::new();
    for bound in all.skip_while(|&bound| bound <= low) {
        bounds.push(bound);
        if bound > high {
            break;
        }
    }
    bounds
}

fn round(step: &f64, decade: i32) -> u64 {
    (step * 10f64.powi(decade)).round() as u64
}

/// Round numbers at equal distances on a logarithmic scale, the finest first.
const SERIES: [&[f64]; 6] = [
    &[
        1.0, 1.12, 1.25, 1.4, 1.6, 1.8, 2.0, 2.25, 2.5, 2.8, 3.15, 3.55, 4.0, 4.5, 5.0, 5.6, 6.3,
        7.1, 8.0, 9.0,
    ],
    &[1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0],
    &[1.0, 1.6, 2.5, 4.0, 6.3],
    &[1.0, 2.0, 5.0],
    &[1.0, 3.0],
    &[1.0],
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;

    fn spread(values: &[u64]) -> Latencies {
        let mut latencies = record::latencies();
        for &value in values {
            latencies.saturating_record(value);
        }
        latencies
    }

    #[test]
    fn every_latency_is_in_one_of_so_many_rows() {
        for (low, high) in [(1, 1), (5, 9), (17_000, 8_000_000), (1, 3_000_000_000_000)] {
            for rows in [14, 20] {
                let buckets = buckets(&spread(&[low, low, high]), rows);
                assert!(!buckets.is_empty() && buckets.len() <= rows, "{buckets:?}");
                let counts = buckets.iter().map(|bucket| bucket.count);
                assert_eq!(counts.sum::<u64>(), 3);
                assert!(buckets[0].count >= 2, "{buckets:?}");
            }
        }
    }

    #[test]
    fn outliers_do_not_coarsen_the_other_rows() {
        let mut values: Vec<u64> = (0..10_000).map(|number| 1_000_000 + number * 200).collect();
        values.extend([1, 900_000_000]);
        let condensed = condensed(&spread(&values), 9);
        assert!(
            condensed.len() >= 5 && condensed.len() <= 9,
            "{condensed:?}"
        );
        assert_eq!(condensed.last().map(|row| row.count), Some(1));
        let counts = condensed.iter().map(|row| row.count);
        assert_eq!(counts.sum::<u64>(), 10_002);
    }

    #[test]
    fn distribution_that_does_not_fit_is_left_out() {
        assert_eq!(buckets(&spread(&[1, 1_000_000_000]), 3), []);
    }
}
