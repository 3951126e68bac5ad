//! How the process fared over time, in at most sixty moments.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{Cause, Nanos, ThreadId};
use crate::profile::{Profile, Span};

use super::totals::{Adder, Totals};
use super::words::{ratio, rounded};

/// The most moments.
const MOST: usize = 60;

/// A part of the recording; all are of one length, but for the last.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Moment {
    /// When it began, in seconds from the recording's start.
    pub start: f64,
    /// How long it was, in seconds.
    pub seconds: f64,
    /// Samples of the process in it.
    pub samples: u64,
    /// Python threads that were seen in it.
    pub threads: usize,
    /// The most tasks that a look in it saw; none where there was no look.
    pub tasks: Option<u32>,
    /// CPUs that were used.
    pub cpus_used: f64,
    /// Mean numbers of threads by cause; a cause with less than a hundredth is absent.
    pub causes: BTreeMap<&'static str, f64>,
}

/// The moments of a recording, oldest first.
pub(super) fn timeline(profile: &Profile) -> Vec<Moment> {
    let adder = Adder::new(profile);
    let spans: Vec<&Span> = profile.spans.iter().collect();
    let stride = spans.len().div_ceil(MOST).max(1);
    let each = stride as u64 * profile.spans.seconds();
    let moments = spans.chunks(stride).enumerate().map(|(index, spans)| {
        let sums: Vec<Totals> = spans.iter().map(|span| adder.span(span)).collect();
        let totals: Totals = sums.iter().sum();
        let seconds = index as u64 * each..(index as u64 + 1) * each;
        let causes = Cause::ALL
            .iter()
            .map(|&cause| (cause.name(), rounded(ratio(totals.of_cause(cause), totals.samples))));
        Moment {
            start: seconds.start as f64,
            seconds: rounded(totals.elapsed),
            samples: totals.samples as u64,
            threads: threads(profile, spans),
            tasks: tasks(profile, seconds),
            cpus_used: rounded(ratio(totals.cpu, totals.elapsed)),
            causes: causes.filter(|(_, mean)| *mean >= 0.01).collect(),
        }
    });
    moments.collect()
}

/// How many Python threads were seen in some spans.
fn threads(profile: &Profile, spans: &[&Span]) -> usize {
    let is_python = |id: &ThreadId| profile.tables.thread(*id).is_some_and(|thread| thread.python);
    let seen = spans.iter().flat_map(|span| span.kinds.keys().map(|(thread, _)| *thread));
    seen.filter(is_python).collect::<BTreeSet<_>>().len()
}

/// The most tasks that were seen in some seconds of the recording.
fn tasks(profile: &Profile, seconds: std::ops::Range<u64>) -> Option<u32> {
    let second = |time: Nanos| time.since(profile.meta.origin).0 / Nanos::SECOND.0;
    let points = profile.tasks.alive.points().iter();
    points.filter(|(time, _)| seconds.contains(&second(*time))).map(|(_, tasks)| *tasks).max()
}

#[cfg(test)]
mod tests {
    use super::timeline;
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::model::Cause;

    #[test]
    fn a_long_recording_has_sixty_moments_at_most_and_all_its_samples() {
        for seconds in [1, 59, 60, 61, 1000] {
            let mut fixture = Fixture::new(seconds);
            let thread = fixture.thread("MainThread");
            fixture.spend(thread, 50, &Doing::new(Cause::Python, &["app.py:work:1"]));
            let moments = timeline(&fixture.profile);
            assert!(moments.len() <= 60 && moments.len() as u64 * 18 > seconds);
            let samples: u64 = moments.iter().map(|moment| moment.samples).sum();
            assert_eq!(samples, fixture.profile.quality.samples);
            assert!(moments.iter().all(|it| it.threads == 1 && it.causes["python"] == 0.5));
        }
    }
}
