//! The lengths of an event loop's steps, before and after.

use schemars::JsonSchema;
use serde::Serialize;

use crate::profile::{StepLengths, Stretch};

use super::run::Summed;
use super::statistics::{ALPHA, FEWEST};

/// Lengths of steps in seconds, of those that some sample saw.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct StepTimes {
    /// How many were seen.
    pub count: u64,
    /// The length that half of them reach.
    pub p50: f64,
    /// The length that one in a hundred reaches.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// How the lengths of steps changed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StepChanges {
    /// Before.
    pub before: StepTimes,
    /// After.
    pub after: StepTimes,
    /// Lower end of the interval that holds the ratio of the p99, after by before, in 95 of 100 such
    /// pairs of recordings; none when a recording is too short to tell.
    pub ratio_low: Option<f64>,
    /// Upper end of it.
    pub ratio_high: Option<f64>,
    /// Whether that interval leaves out 1, and by how much the p99 changed matters.
    pub significant: bool,
}

/// How often each side is drawn anew.
const DRAWS: usize = 200;
/// The fewest steps that have a p99.
const FEWEST_STEPS: u64 = 20;
/// A p99 that changed by less, as a ratio, does not matter.
const LEAST: f64 = 1.2;

/// None unless both sides have an event loop.
pub(super) fn changes(before: &[Summed<'_>], after: &[Summed<'_>]) -> Option<StepChanges> {
    let (one, other) = (stretches(before), stretches(after));
    let (all_before, all_after) = (merged(one.iter().copied()), merged(other.iter().copied()));
    if all_before.count() == 0 || all_after.count() == 0 {
        return None;
    }
    let enough = one.len().min(other.len()) >= FEWEST
        && all_before.count().min(all_after.count()) >= FEWEST_STEPS;
    let ratios = enough.then(|| draws(&one, &other));
    let quantile =
        |ratios: &Vec<f64>, share: f64| ratios.get((share * ratios.len() as f64) as usize).copied();
    let low = ratios.as_ref().and_then(|it| quantile(it, ALPHA / 2.0));
    let high = ratios.as_ref().and_then(|it| quantile(it, 1.0 - ALPHA / 2.0));
    let (before, after) = (times(&all_before), times(&all_after));
    let matters = after.p99 > LEAST * before.p99 || before.p99 > LEAST * after.p99;
    let certain = low.is_some_and(|low| low > 1.0) || high.is_some_and(|high| high < 1.0);
    Some(StepChanges {
        before,
        after,
        ratio_low: low,
        ratio_high: high,
        significant: matters && certain,
    })
}

fn stretches<'a>(side: &'a [Summed<'_>]) -> Vec<&'a Stretch> {
    side.iter().flat_map(|run| run.run.stretches.list()).collect()
}

fn merged<'a>(stretches: impl Iterator<Item = &'a Stretch>) -> StepLengths {
    let mut all = StepLengths::default();
    stretches.for_each(|stretch| all.merge(&stretch.steps));
    all
}

fn times(steps: &StepLengths) -> StepTimes {
    StepTimes {
        count: steps.count(),
        p50: steps.quantile(0.5).seconds(),
        p99: steps.quantile(0.99).seconds(),
        max: steps.max().seconds(),
    }
}

/// Ratios of the p99 of recordings that might as well have been made, sorted: stretches are drawn
/// with replacement.
fn draws(before: &[&Stretch], after: &[&Stretch]) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(0x70_79_63_6f_6e_63);
    let mut p99 = |side: &[&Stretch]| {
        let drawn = (0..side.len()).filter_map(|_| side.get(random.usize(..side.len())).copied());
        merged(drawn).quantile(0.99).seconds().max(1e-6)
    };
    let mut ratios: Vec<f64> = (0..DRAWS).map(|_| p99(after) / p99(before)).collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}
