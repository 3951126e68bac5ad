//! How well sampling went, in one line.

use crate::profile::Profile;

/// `500 samples at 99.8/s (asked for 100), rejected 0.0 %, late 0.2 %, own CPU 0.6 %`: the share
/// rejected is of the threads' samples, the share late of the planned ticks, the CPU of one core.
#[must_use]
pub fn quality_line(profile: &Profile) -> String {
    let quality = &profile.quality;
    let seconds = quality.elapsed.seconds();
    let rate = if seconds > 0.0 { quality.samples as f64 / seconds } else { 0.0 };
    let asked = match profile.meta.rate {
        rate if rate > 0.0 => format!("asked for {rate}"),
        _ => "as many as possible".to_owned(),
    };
    let rejected = share(quality.rejected, quality.thread_samples + quality.rejected);
    let late = share(quality.late, quality.samples.max(quality.late));
    let own = if seconds > 0.0 { 100.0 * quality.own_cpu.seconds() / seconds } else { 0.0 };
    format!(
        "{} samples at {rate:.1}/s ({asked}), rejected {rejected:.1} %, late {late:.1} %, own CPU {own:.1} %",
        quality.samples
    )
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}
