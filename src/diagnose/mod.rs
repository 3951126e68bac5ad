//! Verdict, findings, recommendation. Invariant: a finding always has numbers, evidence and advice.

mod bootstrap;
mod load;
mod measures;
mod site;
mod verdict;
mod words;

#[cfg(test)]
mod fixture;

use serde::Serialize;

use crate::catalog::Catalog;
use crate::profile::Profile;

pub use self::measures::{LoopMeasures, Measure, Measures, StepLengths, ThreadMeasures};
pub use self::verdict::{Verdict, Workload};

use self::bootstrap::Resamples;
use self::load::Load;

/// What a profile says about its program.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// What the program is held back by.
    pub verdict: Verdict,
    /// What every thread did, in the order in which they were met.
    pub threads: Vec<ThreadMeasures>,
    /// What every event loop did.
    pub loops: Vec<LoopMeasures>,
}

/// Judges a profile.
///
/// The same profile always gives the same diagnosis: nothing here reads a clock, and the
/// resampling behind the intervals is seeded.
#[must_use]
pub fn diagnose(profile: &Profile, _catalog: &Catalog) -> Diagnosis {
    let load = Load::of(profile);
    let resamples = Resamples::of(profile);
    Diagnosis {
        verdict: Verdict::of(&load, &resamples),
        threads: measures::threads(profile),
        loops: measures::loops(profile),
    }
}
