//! How well sampling went: shown with every output.

use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnose::words::{percent, ratio, rounded};
use crate::profile::Profile;

/// How well sampling went, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub(super) struct QualityNumbers {
    /// Samples of the process.
    samples: u64,
    /// Samples of threads.
    thread_samples: u64,
    /// Samples of the process a second.
    rate: f64,
    /// What was asked for; 0 for as many as possible.
    rate_asked: f64,
    /// Samples of threads that could not be read.
    rejected: u64,
    /// Rejected samples by all that were tried.
    rejected_share: f64,
    /// What it is a share of.
    rejected_share_of: &'static str,
    /// Ticks that came late or were left out.
    late: u64,
    /// Late ticks by all that were due.
    late_share: f64,
    /// What it is a share of.
    late_share_of: &'static str,
    /// CPU seconds of pyconc.
    own_cpu: f64,
    /// The same by the recording's seconds.
    own_cpu_share: f64,
    /// What it is a share of.
    own_cpu_share_of: &'static str,
    /// Seconds on the clock.
    seconds: f64,
}

impl QualityNumbers {
    pub(super) fn of(profile: &Profile) -> Self {
        let quality = &profile.quality;
        let seconds = quality.elapsed.seconds();
        let tried = quality.thread_samples.saturating_add(quality.rejected);
        let due = (profile.meta.rate * seconds).round().max(quality.samples as f64);
        Self {
            samples: quality.samples,
            thread_samples: quality.thread_samples,
            rate: rounded(ratio(quality.samples as f64, seconds)),
            rate_asked: profile.meta.rate,
            rejected: quality.rejected,
            rejected_share: rounded(ratio(quality.rejected as f64, tried as f64)),
            rejected_share_of: "thread samples that were tried",
            late: quality.late,
            late_share: rounded(ratio(quality.late as f64, due.max(quality.late as f64))),
            late_share_of: "ticks that were due",
            own_cpu: rounded(quality.own_cpu.seconds()),
            own_cpu_share: rounded(ratio(quality.own_cpu.seconds(), seconds)),
            own_cpu_share_of: "seconds of one CPU",
            seconds: rounded(seconds),
        }
    }
}

/// How well sampling went, in a line: samples, the rate that was reached, and what went wrong.
#[must_use]
pub fn quality_line(profile: &Profile) -> String {
    let numbers = QualityNumbers::of(profile);
    let percent = |share: f64| share * 100.0;
    format!(
        "{} samples in {:.1} s ({:.0}/s), {:.1} % of thread samples rejected, {:.1} % of ticks late, own CPU {:.1} % of one",
        numbers.samples,
        numbers.seconds,
        numbers.rate,
        percent(numbers.rejected_share),
        percent(numbers.late_share),
        percent(numbers.own_cpu_share),
    )
}

/// The same in few words, for one line of a screen.
#[must_use]
pub fn quality_brief(profile: &Profile) -> String {
    let numbers = QualityNumbers::of(profile);
    let asked = match numbers.rate_asked {
        rate if rate > 0.0 => format!(" of {rate:.0}"),
        _ => String::new(),
    };
    format!(
        "quality: {:.0}{asked} samples a second, {} rejected, {} late, own CPU {}",
        numbers.rate,
        percent(numbers.rejected_share),
        percent(numbers.late_share),
        percent(numbers.own_cpu_share)
    )
}

#[cfg(test)]
mod tests {
    use super::quality_line;
    use crate::model::Nanos;
    use crate::profile::Profile;

    #[test]
    fn the_line_says_what_went_wrong() {
        let mut profile = Profile::default();
        profile.meta.rate = 100.0;
        profile.quality.samples = 480;
        profile.quality.thread_samples = 990;
        profile.quality.rejected = 10;
        profile.quality.late = 20;
        profile.quality.elapsed = Nanos(5 * Nanos::SECOND.0);
        profile.quality.own_cpu = Nanos(100 * Nanos::MILLISECOND.0);
        assert_eq!(
            quality_line(&profile),
            "480 samples in 5.0 s (96/s), 1.0 % of thread samples rejected, 4.0 % of ticks late, own CPU 2.0 % of one"
        );
        assert!(quality_line(&Profile::default()).starts_with("0 samples in 0.0 s (0/s)"));
    }
}
