//! Numbers and times as they stand in a sentence, and where a line of code belongs.

/// A share as a percentage: `38 %`, below ten with a decimal, `100 %` only for all of it.
pub(crate) fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value >= 99.95 || value.abs() < 0.05 || (10.0..99.5).contains(&value) {
        format!("{value:.0} %")
    } else {
        format!("{value:.1} %")
    }
}

/// A length of time: `250 ms` below a second, `1.2 s` above.
pub(crate) fn seconds(length: f64) -> String {
    if length < 0.009_95 {
        format!("{:.1} ms", length * 1e3)
    } else if length < 0.9995 {
        format!("{:.0} ms", length * 1e3)
    } else {
        format!("{length:.1} s")
    }
}

/// A count with its noun: `1 thread`, `3 threads`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A value rounded to thousandths, so that a report does not feign precision.
pub(crate) fn rounded(value: f64) -> f64 {
    // An empty sum is a negative zero.
    (value * 1e3).round() / 1e3 + 0.0
}

/// `part` of `whole`; zero of nothing is zero.
pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// How far `value` is on the way from `none` to `full`, between 0 and 1.
///
/// Half way is the threshold of a rule, so that a rule says not only whether it holds but also
/// how clearly.
pub(crate) fn ramp(value: f64, none: f64, full: f64) -> f64 {
    ((value - none) / (full - none)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::{counted, percent, ramp, seconds};

    #[test]
    fn numbers_read_well() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.012), "1.2 %");
        assert_eq!(percent(0.38), "38 %");
        assert_eq!(percent(0.999), "99.9 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(seconds(0.25), "250 ms");
        assert_eq!(seconds(12.34), "12.3 s");
        assert_eq!(counted(1, "thread"), "1 thread");
        assert_eq!(counted(0, "thread"), "0 threads");
    }

    #[test]
    fn a_ramp_stays_between_nought_and_one() {
        assert_eq!(ramp(0.1, 0.2, 0.8), 0.0);
        assert_eq!(ramp(9.0, 0.2, 0.8), 1.0);
        assert!((ramp(0.5, 0.2, 0.8) - 0.5).abs() < 1e-9);
    }
}
