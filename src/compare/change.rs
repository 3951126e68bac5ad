//! A number before and after, with how far chance reaches.

use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnose::{Site, ratio, rounded};

use super::run::Summed;
use super::statistics::{ALPHA, Observed, adjusted};

/// What a number is a number of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A ratio between 0 and 1; a hundredth is a point.
    Share,
    /// A number of threads, on average.
    Threads,
    /// A number of CPUs, on average.
    Cpus,
    /// Seconds.
    Seconds,
}

impl Unit {
    /// The least difference that is worth a word, and the least part of the larger number that it has
    /// to be: two runs of one program differ by more than chance lets one run differ from itself.
    const fn least(self) -> (f64, f64) {
        match self {
            Self::Share => (0.02, 0.05),
            // These depend on who else uses the machine.
            Self::Threads => (0.25, 0.25),
            Self::Cpus => (0.1, 0.1),
            Self::Seconds => (0.001, 0.2),
        }
    }
}

/// Which way a number should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// Less of it is better.
    Down,
    /// It depends.
    None,
}

/// A number before and after.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Change {
    /// Its stable id; of a function or line, its name.
    pub id: String,
    /// What it is, in a few words.
    pub name: String,
    /// What is divided by what.
    pub of: &'static str,
    /// What it is measured in.
    pub unit: Unit,
    /// Which way it should go.
    pub aim: Aim,
    /// Where it is in the code, for functions and lines.
    #[serde(rename = "where")]
    pub site: Option<Site>,
    /// Before.
    pub before: f64,
    /// After.
    pub after: f64,
    /// After less before.
    pub difference: f64,
    /// Lower end of the interval that holds the difference in 95 of 100 such pairs of recordings;
    /// none when a recording is too short to tell.
    pub low: Option<f64>,
    /// Upper end of it.
    pub high: Option<f64>,
    /// How likely so large a difference is when there is none.
    pub p: Option<f64>,
    /// The same, corrected for the number of numbers that were compared.
    pub p_adjusted: Option<f64>,
    /// Whether the difference is neither chance nor too small to matter.
    pub significant: bool,
}

impl Change {
    /// Whether it got better (negative), worse (positive) or neither for certain.
    #[must_use]
    pub fn worse_by(&self) -> f64 {
        if self.significant && self.aim == Aim::Down { self.difference } else { 0.0 }
    }
}

/// What is asked of two sides: a ratio of sums.
pub(super) struct Question {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) of: &'static str,
    pub(super) unit: Unit,
    pub(super) aim: Aim,
    pub(super) site: Option<Site>,
    /// Whether numerator and denominator are counts of samples, the former a part of the latter.
    pub(super) counted: bool,
}

/// A numerator and a denominator for each stretch of each run.
pub(super) type Parts = Vec<Vec<(f64, f64)>>;

/// The fewest runs of a side that are observations themselves.
const ENOUGH_RUNS: usize = super::statistics::FEWEST;

/// The parts of a side by any rule.
pub(super) fn parts(side: &[Summed<'_>], of: impl Fn(&super::run::Sums) -> (f64, f64)) -> Parts {
    side.iter().map(|run| run.sums.iter().map(&of).collect()).collect()
}

/// Answers questions that are looked at together.
pub(super) fn answer(questions: Vec<(Question, Parts, Parts)>) -> Vec<Change> {
    let mut changes: Vec<_> = questions
        .into_iter()
        .map(|(question, before, after)| change(question, (&before, &after)))
        .collect();
    let tested: Vec<f64> = changes.iter().filter_map(|change| change.p).collect();
    let mut corrected = adjusted(&tested).into_iter();
    for change in changes.iter_mut().filter(|change| change.p.is_some()) {
        change.p_adjusted = corrected.next();
        change.significant = change.p_adjusted.is_some_and(|p| p < ALPHA) && matters(change);
    }
    for change in &mut changes {
        change.p = change.p.map(significant_digits);
        change.p_adjusted = change.p_adjusted.map(significant_digits);
    }
    changes
}

fn change(question: Question, (before, after): (&Parts, &Parts)) -> Change {
    let by_run = before.len() >= ENOUGH_RUNS && after.len() >= ENOUGH_RUNS;
    let observed = |parts: &Parts| {
        let all: Vec<_> =
            if by_run { parts.iter().map(|run| total(run)).collect() } else { parts.concat() };
        Observed::of(&all, question.counted)
    };
    let (one, other) = (observed(before), observed(after));
    let difference = one.differs(&other);
    let chance = difference.chance;
    let Question { id, name, of, unit, aim, site, .. } = question;
    // No share changes by more than all of it.
    let bound = |value: f64| if unit == Unit::Share { value.clamp(-1.0, 1.0) } else { value };
    Change {
        id,
        name,
        of,
        unit,
        aim,
        site,
        before: precise(one.value),
        after: precise(other.value),
        difference: precise(difference.value),
        low: chance.map(|it| precise(bound(it.low))),
        high: chance.map(|it| precise(bound(it.high))),
        p: chance.map(|it| it.p),
        p_adjusted: None,
        significant: false,
    }
}

fn total(parts: &[(f64, f64)]) -> (f64, f64) {
    parts.iter().fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
}

/// Whether a difference is large enough to matter.
fn matters(change: &Change) -> bool {
    let (least, part) = change.unit.least();
    let size = change.difference.abs();
    size >= least && ratio(size, change.before.abs().max(change.after.abs())) >= part
}

/// Rounded to hundredths of a thousandth: delays are fractions of a millisecond.
fn precise(value: f64) -> f64 {
    rounded(value * 100.0) / 100.0
}

/// Rounded to three significant digits.
fn significant_digits(p: f64) -> f64 {
    format!("{p:.2e}").parse().unwrap_or(p)
}
