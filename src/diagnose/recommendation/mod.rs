//! What to do about it: a concurrency model, what it would gain, what it costs.

mod choice;
mod computing;
mod elsewhere;
mod gain;
mod model;
mod rewrite;
mod service;
mod steps;
mod trouble;
mod veto;
mod waiting;

use schemars::JsonSchema;
use serde::Serialize;

use crate::profile::Profile;

use super::findings::Finding;
use super::load::Load;
use super::loops::LoopMeasures;
use super::verdict::Verdict;

pub use self::gain::{Gain, Metric};
pub use self::model::Model;
pub use self::steps::Step;

use self::choice::{Choice, Situation};

/// A concurrency model that would serve the program better than its present one, or the reasons
/// to leave it as it is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Recommendation {
    /// The model.
    pub model: Model,
    /// What it would gain; none when the recording does not tell.
    pub gain: Option<Gain>,
    /// Why, and from which numbers.
    pub why: Vec<String>,
    /// The steps to take, with code.
    pub steps: Vec<Step>,
    /// What it costs.
    pub tradeoffs: Vec<&'static str>,
    /// What to do besides, so that the change is safe.
    pub controls: Vec<&'static str>,
    /// What would not help, and why.
    pub rejected: Vec<Rejected>,
    /// The command that shows whether it helped.
    pub verify: Option<String>,
}

/// A model that would not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rejected {
    /// The model.
    pub model: Model,
    /// Why not.
    pub why: String,
}

impl Recommendation {
    /// What to do about a verdict.
    pub(super) fn of(
        profile: &Profile,
        load: &Load,
        verdict: &Verdict,
        findings: &[Finding],
        loops: &[LoopMeasures],
    ) -> Self {
        let situation = Situation { profile, load, findings, loops };
        let choice = choice::choose(verdict.workload, &situation);
        let steps = steps::steps(&situation, &choice);
        let Choice { model, gain, why, rejected, .. } = choice;
        Self {
            model,
            gain,
            why,
            steps,
            tradeoffs: model.tradeoffs().to_vec(),
            controls: model.controls().to_vec(),
            rejected,
            verify: (model != Model::Keep).then(|| verify(profile)),
        }
    }
}

/// How a change is proved: the same report after it, of the same command where that is short enough to be
/// written again and does by itself what it did. What serves has to be put under the same load first.
fn verify(profile: &Profile) -> String {
    /// The longest command that is repeated.
    const LONGEST: usize = 100;
    let plain = |word: &String| {
        !word.is_empty()
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c))
    };
    let command = profile.meta.command.join(" ");
    if service::listens(profile) {
        return "pyconc report -d 30 --pid PID".to_owned();
    }
    if command.is_empty() || command.len() > LONGEST || !profile.meta.command.iter().all(plain) {
        return "pyconc report -d 30 --pid PID".to_owned();
    }
    format!("pyconc report -d 30 -- {command}")
}

#[cfg(test)]
mod tests {
    use super::{Model, Recommendation};
    use crate::catalog::Catalog;
    use crate::diagnose::diagnose;
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::model::Cause;

    fn alike(count: usize, causes: &[(Cause, u64)], cpus: f64) -> Fixture {
        let mut fixture = Fixture::new(5);
        for _ in 0..count {
            let thread = fixture.thread("worker");
            for &(cause, samples) in causes {
                fixture.spend(thread, samples, &Doing::new(cause, &["app.py:work:1"]));
            }
        }
        fixture.cpus(cpus, 0.0);
        fixture
    }

    #[track_caller]
    fn recommended(model: Model, fixture: &Fixture) -> Recommendation {
        let recommendation = diagnose(&fixture.profile, &Catalog::default()).recommendation;
        assert_eq!(recommendation.model, model, "{:#?}", recommendation.why);
        assert!(!recommendation.why.is_empty());
        assert!(recommendation.rejected.iter().all(|rejected| rejected.model != model));
        assert_eq!(recommendation.verify.is_some(), model != Model::Keep);
        let sane = recommendation
            .gain
            .as_ref()
            .is_none_or(|gain| gain.low <= gain.high && gain.high <= 2.0 * gain.low + 1e-3);
        assert!(sane, "{:?}", recommendation.gain);
        recommendation
    }

    #[test]
    fn gil_waiters_want_processes_and_gain_as_many_cpus_as_there_are() {
        let each = [(Cause::Python, 25), (Cause::Gil, 75)];
        let mut fixture = alike(4, &each, 1.0);
        let gain = recommended(Model::Processes, &fixture).gain.unwrap();
        assert_eq!((gain.low, gain.high), (2.95, 4.75), "four times at best");
        fixture.profile.meta.usable_cpus = 2.0;
        assert_eq!(recommended(Model::Processes, &fixture).gain.unwrap().high, 2.25);
        fixture.profile.meta.usable_cpus = 1.0;
        recommended(Model::Native, &fixture);
    }

    #[test]
    fn one_busy_thread_wants_processes_or_threads_by_what_it_runs() {
        let gain = recommended(Model::Processes, &alike(1, &[(Cause::Python, 100)], 1.0)).gain;
        assert_eq!(gain.map(|gain| (gain.low, gain.high)), Some((2.5, 4.75)));
        recommended(Model::Threads, &alike(1, &[(Cause::Native, 100)], 1.0));
    }

    #[test]
    fn waits_overlap_by_littles_law_until_the_cpu_is_the_limit() {
        let waits = |computes| {
            let causes = [(Cause::Network, 100 - computes), (Cause::Python, computes)];
            let fixture = alike(1, &causes, computes as f64 / 100.0);
            recommended(Model::Asyncio, &fixture).gain.map(|gain| (gain.low, gain.high)).unwrap()
        };
        assert_eq!(waits(2), (4.4, 8.4), "eight in flight");
        assert_eq!(waits(10), (4.4, 8.4));
        assert_eq!(waits(25), (2.2, 4.2), "a quarter of the time is work");
    }

    #[test]
    fn what_overlaps_already_is_kept() {
        recommended(Model::Keep, &alike(8, &[(Cause::Network, 98), (Cause::Python, 2)], 0.16));
        recommended(Model::Keep, &alike(4, &[(Cause::Native, 98), (Cause::Python, 2)], 3.9));
        recommended(Model::Keep, &alike(4, &[(Cause::Parked, 100)], 0.0));
        recommended(Model::Keep, &alike(1, &[(Cause::Network, 100)], 0.0));
    }

    #[test]
    fn a_blocked_loop_awaits_waits_and_offloads_work() {
        let gain = recommended(Model::Asyncio, &Fixture::blocked_by_sleep()).gain.unwrap();
        assert_eq!((gain.low, gain.high), (0.032, 0.054), "45 ms");
        for cause in [Cause::Python, Cause::Native] {
            let mut fixture = alike(1, &[(Cause::Parked, 60)], 0.4);
            let thread = crate::model::ThreadId(0);
            fixture.block(thread, 40, &Doing::new(cause, &["app.py:work:1"]));
            recommended(Model::OffloadToExecutor, &fixture);
        }
    }

    #[test]
    fn other_workloads_have_their_models() {
        let mut starved = alike(1, &[(Cause::Python, 50), (Cause::CpuWait, 50)], 0.5);
        starved.cpus(0.5, 0.5);
        let gain = recommended(Model::MoreCpus, &starved).gain.unwrap();
        assert_eq!((gain.low, gain.high), (1.6, 2.25));
        let mut locked = alike(3, &[(Cause::Lock, 100)], 0.0);
        let holder = locked.thread("holder");
        locked.spend(holder, 100, &Doing::new(Cause::Sleep, &["app.py:save:5"]));
        recommended(Model::ReduceLockScope, &locked);
        recommended(Model::Threads, &alike(1, &[(Cause::Network, 50), (Cause::Python, 50)], 0.5));
    }
}
