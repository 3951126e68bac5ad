//! Verdict, findings, recommendation. Invariant: a finding always has numbers, evidence and advice.

mod bootstrap;
mod event_loop;
mod findings;
mod gil;
mod load;
mod lock_use;
pub(crate) mod locks;
mod loops;
mod marked;
mod measures;
mod outside;
mod phases;
mod recommendation;
mod site;
mod task_load;
mod tasks;
mod thread_groups;
mod timeline;
mod totals;
mod verdict;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod fixture;

use schemars::JsonSchema;
use serde::Serialize;

use crate::catalog::Catalog;
use crate::profile::Profile;

pub use self::findings::{FINDINGS, Finding, Severity};
pub use self::gil::{GilFunction, GilMeasures, GilWait};
pub use self::lock_use::{LockHolder, LockMeasures, WaitingSite};
pub use self::loops::{EpisodeMeasures, LoopMeasures, StepQuantiles};
pub use self::measures::{Measure, Measures, Share, ThreadMeasures, ThreadTotals};
pub use self::outside::{Outside, OutsideKind};
pub use self::phases::{Phase, PhaseKind};
pub use self::recommendation::{Gain, Metric, Model, Recommendation, Rejected, Step};
pub use self::site::Site;
pub use self::tasks::{GroupMeasures, Lint, LintVerdict, LoopMoment, TaskMeasures};
pub use self::thread_groups::{ThreadGroup, kind as thread_kind};
pub use self::timeline::Moment;
pub use self::verdict::{Verdict, Workload};
pub(crate) use self::words::{percent, ratio, rounded, seconds};

use self::bootstrap::Resamples;
use self::load::Load;

/// What a profile says about its program.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Diagnosis {
    /// What the program is held back by.
    pub verdict: Verdict,
    /// What to do about it.
    pub recommendation: Recommendation,
    /// What stands out, gravest first.
    pub findings: Vec<Finding>,
    /// The stretches of time in which it did the same, one after the other.
    pub phases: Vec<Phase>,
    /// How it fared over time: at most sixty parts of the recording, oldest first.
    pub timeline: Vec<Moment>,
    /// What all threads did.
    pub totals: ThreadTotals,
    /// What every thread did, in the order in which they were met.
    pub threads: Vec<ThreadMeasures>,
    /// Threads of one kind as one, where there are many threads.
    pub thread_groups: Vec<ThreadGroup>,
    /// What every event loop did.
    pub loops: Vec<LoopMeasures>,
    /// Who waited for the GIL and who had it; none where there is no GIL.
    pub gil: Option<GilMeasures>,
    /// How much threads waited for each lock, and who had it.
    pub locks: Vec<LockMeasures>,
    /// What the tasks of asyncio did, and what each lint says of them.
    pub tasks: TaskMeasures,
}

/// Judges a profile.
///
/// The same profile always gives the same diagnosis: nothing here reads a clock, and the
/// resampling behind the intervals is seeded.
#[must_use]
pub fn diagnose(profile: &Profile, catalog: &Catalog) -> Diagnosis {
    let load = Load::of(profile);
    let phases = phases::phases(profile, &load);
    let judged = phases::judged(profile, &phases);
    let resamples = Resamples::of(profile, judged.clone());
    let verdict = Verdict::of(profile, &load.of_spans(profile, judged), &resamples, &phases);
    let findings = findings::find(profile, catalog, &load);
    let loops = loops::loops(profile, catalog);
    let threads = measures::threads(profile);
    Diagnosis {
        recommendation: Recommendation::of(profile, &load, &verdict, &findings, &loops),
        verdict,
        tasks: tasks::tasks(profile, &findings),
        findings,
        phases,
        timeline: timeline::timeline(profile),
        totals: ThreadTotals::of(&threads),
        thread_groups: thread_groups::groups(&threads),
        threads,
        loops,
        gil: GilMeasures::of(profile),
        locks: lock_use::measures(profile),
    }
}

#[cfg(test)]
mod tests {
    use super::{FINDINGS, Model, Workload};
    use crate::catalog::{TopicKind, topics};

    #[test]
    fn every_word_of_a_diagnosis_is_explained() {
        let topics = topics().unwrap();
        let sorted = |mut ids: Vec<&'static str>| {
            ids.sort_unstable();
            ids
        };
        for (kind, ids) in [
            (TopicKind::Finding, FINDINGS.to_vec()),
            (TopicKind::Verdict, Workload::ALL.map(Workload::name).to_vec()),
            (TopicKind::Model, Model::ALL.map(Model::name).to_vec()),
        ] {
            let of_kind = topics.iter().filter(|topic| topic.kind == kind);
            let mut explained: Vec<_> = of_kind.map(|topic| topic.id.as_str()).collect();
            explained.sort_unstable();
            assert_eq!(explained, sorted(ids));
        }
    }
}
