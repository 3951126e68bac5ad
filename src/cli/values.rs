//! Values of options that need more than a number.

use std::time::Duration;

/// The number of a process.
pub(super) fn parse_pid(text: &str) -> Result<i32, String> {
    let parsed = text.parse().ok().filter(|pid| *pid > 0);
    parsed.ok_or_else(|| "not the number of a process; `pyconc ps` lists them".to_owned())
}

/// Samples a second: `100`, `1k`, `max` (0).
pub(super) fn parse_rate(text: &str) -> Result<f64, String> {
    if text == "max" {
        return Ok(0.0);
    }
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1000.0),
        None => (text, 1.0),
    };
    match digits.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate * factor <= 1e6 => Ok(rate * factor),
        _ => Err("a number of samples a second above 0, at most 1000k, or max".to_owned()),
    }
}

/// A length of time: `30` (seconds), `100ms`, `5m`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    parsed
        .filter(|length| !length.is_zero() && *length < Duration::from_secs(366 * 86_400))
        .ok_or_else(|| "a length of time, as 30, 100ms or 5m".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse_duration, parse_pid, parse_rate};

    #[test]
    fn numbers_of_processes() {
        assert_eq!(parse_pid("1234"), Ok(1234));
        for wrong in ["0", "-1", "", "x", "99999999999"] {
            assert!(parse_pid(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(parse_rate("100"), Ok(100.0));
        assert_eq!(parse_rate("1.5k"), Ok(1500.0));
        assert_eq!(parse_rate("max"), Ok(0.0));
        for wrong in ["0", "-1", "", "k", "nan", "inf", "1e9"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["0", "-1", "", "x", "nan", "inf", "1e30"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
