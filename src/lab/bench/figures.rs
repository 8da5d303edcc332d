//! Numbers made of many: the median, percentiles, a histogram in text.

use std::fmt::Write as _;
use std::time::Duration;

/// The widest bar of a histogram, in characters.
const BAR_MAX: usize = 40;

/// A count as a number to reckon with.
#[allow(clippy::cast_precision_loss)] // nothing that is counted here comes near 2^52
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// The same for a length.
pub(super) fn length(count: usize) -> f64 {
    float(count as u64)
}

/// Milliseconds.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The number in the middle, or the mean of the two there. 0 if there is none.
pub(super) fn median(numbers: &[f64]) -> f64 {
    let sorted = sorted(numbers);
    match (sorted.get(sorted.len().saturating_sub(1) / 2), sorted.get(sorted.len() / 2)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => 0.0,
    }
}

/// The smallest of the numbers that `part` of them do not exceed: 0.99 for the 99th percentile. 0 if
/// there is none.
pub(super) fn percentile(numbers: &[f64], part: f64) -> f64 {
    let sorted = sorted(numbers);
    let found = sorted.iter().enumerate().find(|&(place, _)| {
        // A tenth of a number does not decide, so neither may how it was rounded.
        length(place + 1) >= part * length(sorted.len()) - 1e-6
    });
    found.map_or(0.0, |(_, number)| *number)
}

/// The mean; 0 of nothing.
pub(super) fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / length(numbers.len().max(1))
}

fn sorted(numbers: &[f64]) -> Vec<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// How many of these times, in milliseconds, lie between each bound and the next, a line each, with
/// bars.
pub(super) fn histogram(times_ms: &[f64]) -> String {
    const BOUNDS_MS: [f64; 12] =
        [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 50.0, f64::INFINITY];
    let mut low_ms = 0.0;
    let mut counts = Vec::new();
    for high_ms in BOUNDS_MS {
        let within = times_ms.iter().filter(|&&time| time >= low_ms && time < high_ms).count();
        counts.push((low_ms, high_ms, within));
        low_ms = high_ms;
    }
    let most = counts.iter().map(|&(_, _, count)| count).max().unwrap_or(0).max(1);
    let mut text = String::new();
    for (low_ms, high_ms, count) in counts.into_iter().filter(|&(_, _, count)| count > 0) {
        let bounds = if high_ms.is_finite() {
            format!("{low_ms} to {high_ms} ms")
        } else {
            format!("above {low_ms} ms")
        };
        let bar = "#".repeat((count * BAR_MAX).div_ceil(most));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    {bounds:>15} {count:>7} {bar}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn the_middle_and_the_tail() {
        assert!(is(median(&[3.0, 1.0, 2.0]), 2.0) && is(median(&[4.0, 1.0, 2.0, 3.0]), 2.5));
        assert!(is(median(&[]), 0.0) && is(percentile(&[], 0.5), 0.0) && is(mean(&[]), 0.0));
        let hundred: Vec<f64> = (1..=100).rev().map(float).collect();
        assert!(is(percentile(&hundred, 0.99), 99.0) && is(percentile(&hundred, 1.0), 100.0));
        assert!(is(percentile(&hundred, 0.5), 50.0) && is(mean(&hundred), 50.5));
    }

    #[test]
    fn a_histogram_shows_where_times_lie() {
        let text = histogram(&[0.06, 0.07, 0.08, 0.09, 60.0]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains("0.05 to 0.1 ms       4 ####"), "{text}");
        assert!(lines[1].ends_with("above 50 ms       1 ##########"), "{text}");
    }
}
