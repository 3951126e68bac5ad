//! Two profiles, or several of each, and what differs between them. Invariant: a difference is told
//! with how far chance reaches, or it is said that this cannot be told.

mod advice;
mod change;
mod findings;
#[cfg(test)]
pub(crate) mod fixture;
mod functions;
mod measures;
mod outcome;
mod run;
mod settings;
mod statistics;
mod steps;

use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnose::{Model, Workload, ratio, rounded};

pub use self::advice::AdviceTaken;
pub use self::change::{Aim, Change, Unit};
pub use self::findings::{FindingChanges, FoundOnce};
pub use self::functions::{CodeChanges, OneSided};
pub use self::outcome::Outcome;
pub use self::run::Run;
pub use self::settings::Refusal;
pub use self::steps::{StepChanges, StepTimes};

pub(crate) use self::outcome::{signed, value};

use self::run::Summed;

/// How it is told what is chance.
const METHOD: &str = "ratios of sums over stretches of a second or longer; variance from the \
                      residuals, inflated for autocorrelation; Welch's test; Benjamini-Hochberg at \
                      5 % among the measures, the functions and the lines each; with four or more \
                      recordings of each side, these are the observations";

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SideSummary {
    /// The recordings.
    pub files: Vec<String>,
    /// The command line of the first.
    pub command: String,
    /// Its version of Python.
    pub python: String,
    /// Seconds recorded.
    pub seconds: f64,
    /// Samples of the process.
    pub samples: u64,
    /// Samples a second.
    pub rate: f64,
    /// Threads that were met, on average.
    pub threads: f64,
    /// The verdict: with several recordings, that of most of them.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub verdict: Workload,
    /// How certain it is.
    pub confidence: f64,
    /// The advice.
    pub recommendation: Model,
    /// How long the program ran in seconds, when the recordings have all of it.
    pub ran: Option<f64>,
}

fn by_name<S: serde::Serializer>(workload: &Workload, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(workload.name())
}

/// Two sides compared.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// What became of the program.
    pub outcome: Outcome,
    /// The same in a sentence.
    pub sentence: String,
    /// Why it is better.
    pub better: Vec<String>,
    /// Why it is worse.
    pub worse: Vec<String>,
    /// The first side.
    pub before: SideSummary,
    /// The second side.
    pub after: SideSummary,
    /// What has to be known besides.
    pub warnings: Vec<String>,
    /// The numbers of the process as a whole.
    pub changes: Vec<Change>,
    /// The lengths of the event loops' steps; none unless both sides have some.
    pub steps: Option<StepChanges>,
    /// The findings that went and came.
    pub findings: FindingChanges,
    /// Functions, lines, stacks.
    pub code: CodeChanges,
    /// What became of the advice that BEFORE got; none when it was to be left as it was.
    pub advice: Option<AdviceTaken>,
    /// How it is told what is chance.
    pub method: &'static str,
}

/// Compares two sides, each of one recording or more.
///
/// The same recordings always give the same comparison.
///
/// # Errors
/// When they cannot be compared.
pub fn compare(before: &[Run], after: &[Run]) -> Result<Comparison, Refusal> {
    settings::refuse(before, after)?;
    let crowd = settings::crowd(before, after);
    let warnings = crowd.iter().cloned().chain(settings::warnings(before, after)).collect();
    let (before, after) = (summed(before), summed(after));
    let mut comparison = Comparison {
        outcome: Outcome::Unchanged,
        sentence: String::new(),
        better: Vec::new(),
        worse: Vec::new(),
        warnings,
        changes: measures::changes(&before, &after),
        steps: steps::changes(&before, &after),
        findings: FindingChanges::of(&before, &after),
        code: functions::changes(&before, &after),
        advice: AdviceTaken::of(&before, &after),
        before: summary(&before),
        after: summary(&after),
        method: METHOD,
    };
    if crowd.is_some() {
        let changes = comparison.changes.iter_mut();
        let theirs = changes.filter(|it| measures::LEFT_BY_OTHERS.contains(&it.id.as_str()));
        theirs.for_each(|change| change.significant = false);
        comparison.findings.doubt(findings::LEFT_BY_OTHERS);
        let advice = comparison.advice.as_mut().filter(|it| it.model == Model::MoreCpus);
        advice.into_iter().for_each(|it| it.settled = false);
    }
    (comparison.better, comparison.worse) = outcome::reasons(&comparison);
    comparison.outcome = outcome::outcome(&comparison);
    comparison.sentence = outcome::sentence(&comparison);
    Ok(comparison)
}

fn summed(side: &[Run]) -> Vec<Summed<'_>> {
    side.iter().map(Summed::new).collect()
}

fn summary(side: &[Summed<'_>]) -> SideSummary {
    let profiles = || side.iter().map(|run| &run.run.profile);
    let seconds: f64 = profiles().map(|it| it.quality.elapsed.seconds()).sum();
    let samples: u64 = profiles().map(|it| it.quality.samples).sum();
    let threads = profiles().map(|it| it.threads.iter().filter(|it| it.samples > 0).count() as f64);
    let verdicts = || side.iter().map(|run| &run.run.diagnosis.verdict);
    let count = |workload| verdicts().filter(|it| it.workload == workload).count();
    // Of equals, the first.
    let verdict = verdicts().rev().max_by_key(|it| count(it.workload));
    let first = side.first();
    SideSummary {
        files: side.iter().map(|run| run.run.name.clone()).collect(),
        command: first.map_or_else(String::new, |run| run.run.profile.meta.command.join(" ")),
        python: first.map_or_else(String::new, |run| run.run.profile.meta.python.clone()),
        seconds: rounded(seconds),
        samples,
        rate: rounded(ratio(samples as f64, seconds)),
        threads: rounded(ratio(threads.sum(), side.len() as f64)),
        verdict: verdict.map_or(Workload::InsufficientData, |it| it.workload),
        confidence: verdict.map_or(0.0, |it| rounded(it.confidence)),
        recommendation: first.map_or(Model::Keep, |run| run.run.diagnosis.recommendation.model),
        ran: advice::ran(side).map(rounded),
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::{Does, recorded, run};
    use super::{Comparison, Outcome, Refusal, compare};
    use crate::model::Cause;

    const WAITS: Does<'_> = &[("render", Cause::Gil, 0.9), ("render", Cause::Python, 0.1)];
    const SLEEPS: Does<'_> = &[("nap", Cause::Sleep, 0.9), ("render", Cause::Python, 0.1)];

    fn compared(before: Does<'_>, after: Does<'_>) -> Comparison {
        let (before, after) = (run("a", 10, before, 1), run("b", 10, after, 2));
        compare(&[before], &[after]).unwrap()
    }

    #[test]
    fn a_convoy_that_is_gone_is_an_improvement_and_one_that_comes_a_regression() {
        let better = compared(WAITS, SLEEPS);
        assert_eq!(better.outcome, Outcome::Improved, "{better:#?}");
        assert!(better.sentence.starts_with("GIL wait 4"), "{}", better.sentence);
        assert!(better.worse.is_empty(), "{:?}", better.worse);
        let worse = compared(SLEEPS, WAITS);
        assert_eq!(worse.outcome, Outcome::Regressed, "{:?}", worse.better);
        let gil = worse.changes.iter().find(|change| change.id == "cause-gil").unwrap();
        assert!((0.40..0.50).contains(&gil.difference), "{gil:?}");
        assert!(gil.low.unwrap() < gil.difference && gil.difference < gil.high.unwrap());
        let render = worse.code.functions.iter().find(|it| it.id == "render").unwrap();
        assert!(render.significant && render.difference > 0.4, "{render:?}");
        assert!(worse.code.gone.iter().any(|stack| stack.functions == ["run", "nap"]));
        assert!(worse.code.new.is_empty(), "render was there before: {:?}", worse.code.new);
    }

    #[test]
    fn the_same_program_is_unchanged() {
        for seed in 0..20 {
            let (before, after) = (run("a", 10, WAITS, seed), run("b", 10, WAITS, seed + 100));
            let both = compare(&[before], &[after]).unwrap();
            assert_eq!(both.outcome, Outcome::Unchanged, "{:?} {:?}", both.better, both.worse);
            assert!(both.code.functions.iter().all(|change| !change.significant));
            assert!(both.warnings.is_empty(), "{:?}", both.warnings);
        }
    }

    #[test]
    fn several_recordings_of_each_side_are_the_observations() {
        let side = |does, from: u64| -> Vec<_> {
            (from..from + 4).map(|seed| run("x", 5, does, seed)).collect()
        };
        let two = compare(&side(WAITS, 0), &side(SLEEPS, 50)).unwrap();
        assert_eq!(two.outcome, Outcome::Improved);
        assert_eq!(two.before.files.len(), 4);
        let one = compare(&side(WAITS, 0), &side(WAITS, 50)).unwrap();
        assert_eq!(one.outcome, Outcome::Unchanged);
    }

    #[test]
    fn what_cannot_be_compared_is_refused_and_what_is_weak_is_named() {
        let (one, other) = (run("a", 10, WAITS, 1), recorded("b", 10, WAITS, 2, 50));
        let refused = compare(&[one], &[other]).unwrap_err();
        assert!(matches!(refused, Refusal::Thresholds(..)), "{refused}");
        let twice = [run("a", 10, WAITS, 1)];
        assert!(matches!(compare(&twice, &twice), Err(Refusal::Same(..))));
        let empty = run("none", 0, WAITS, 3);
        assert!(matches!(compare(&twice, &[empty]), Err(Refusal::Empty(_))));
        let short = compare(&twice, &[run("short", 2, SLEEPS, 4)]).unwrap();
        assert!(short.changes.iter().all(|change| change.p.is_none() && !change.significant));
        assert!(short.warnings.iter().any(|it| it.contains("shorter")), "{:?}", short.warnings);
    }
}
