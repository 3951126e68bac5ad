//! Whether two recordings can be compared at all, and what a reader has to know who does.

use crate::diagnose::ratio;
use crate::profile::{Meta, Profile};

use super::run::Run;
use super::statistics::FEWEST;

/// Why recordings cannot be compared.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// There is no sample.
    #[error("{0} has no sample; record for longer, while the program works")]
    Empty(String),
    /// They call different steps blocking.
    #[error(
        "{0} and {1} were recorded with different --threshold, so that their tags mean different \
         things; record both with the same"
    )]
    Thresholds(String, String),
    /// It is one recording twice.
    #[error("{0} and {1} are the same recording; name another one")]
    Same(String, String),
}

/// The least part of the asked rate that a good recording reaches.
const REACHED: f64 = 0.8;
/// The most samples that a good recording rejects.
const REJECTED: f64 = 0.05;
/// Usable CPUs that differ by less are the same.
const SAME_CPUS: f64 = 0.05;

/// Whether they can be compared.
pub(super) fn refuse(before: &[Run], after: &[Run]) -> Result<(), Refusal> {
    for run in before.iter().chain(after) {
        if run.profile.quality.samples == 0 {
            return Err(Refusal::Empty(run.name.clone()));
        }
    }
    for (one, other) in pairs(before, after) {
        let (a, b) = (&one.profile.meta, &other.profile.meta);
        if a.threshold != b.threshold {
            return Err(Refusal::Thresholds(one.name.clone(), other.name.clone()));
        }
        let same = |a: &Meta, b: &Meta| a.pid == b.pid && a.origin == b.origin;
        if same(a, b) && a.started_at == b.started_at {
            return Err(Refusal::Same(one.name.clone(), other.name.clone()));
        }
    }
    Ok(())
}

fn pairs<'a>(before: &'a [Run], after: &'a [Run]) -> impl Iterator<Item = (&'a Run, &'a Run)> {
    before.iter().flat_map(move |one| after.iter().map(move |other| (one, other)))
}

/// What differs besides the program, and what is too little to judge by.
pub(super) fn warnings(before: &[Run], after: &[Run]) -> Vec<String> {
    let mut warnings = Vec::new();
    let unlike = |what: &str, of: &dyn Fn(&Meta) -> String| {
        let texts = |side: &[Run]| -> Vec<String> {
            let mut texts: Vec<_> = side.iter().map(|run| of(&run.profile.meta)).collect();
            texts.sort();
            texts.dedup();
            texts
        };
        let (one, other) = (texts(before), texts(after));
        (one != other).then(|| {
            format!("{what} differs: {} before, {} after", one.join(", "), other.join(", "))
        })
    };
    warnings.extend(unlike("the rate", &|meta| rate(meta.rate)));
    warnings.extend(unlike("Python", &|meta| {
        let gil = if meta.free_threaded && !meta.gil { ", free-threaded" } else { "" };
        format!("{}{gil}", meta.python)
    }));
    warnings.extend(unlike("the number of usable CPUs", &|meta| {
        format!("{:.1}", (meta.usable_cpus / SAME_CPUS).round() * SAME_CPUS)
    }));
    warnings.extend(unlike("the version of pyconc", &|meta| meta.recorder.clone()));
    for run in before.iter().chain(after) {
        warnings.extend(weakness(&run.profile).map(|why| format!("{} {why}", run.name)));
        if run.stretches.list().len() < FEWEST {
            warnings.push(format!(
                "{} is shorter than {FEWEST} s: how far chance reaches cannot be told from it",
                run.name
            ));
        }
    }
    warnings
}

fn rate(rate: f64) -> String {
    if rate > 0.0 { format!("{rate} Hz") } else { "as fast as possible".to_owned() }
}

/// Why a recording is a weak witness.
fn weakness(profile: &Profile) -> Option<String> {
    let quality = &profile.quality;
    let reached = ratio(quality.samples as f64, quality.elapsed.seconds());
    let rejected =
        ratio(quality.rejected as f64, (quality.thread_samples + quality.rejected) as f64);
    if rejected > REJECTED {
        return Some(format!("has {:.0} % of its samples rejected", 100.0 * rejected));
    }
    let asked = profile.meta.rate;
    (asked > 0.0 && reached < REACHED * asked)
        .then(|| format!("reached {reached:.0} of {asked:.0} samples a second"))
}

/// CPUs within a program's reach that others took, on average: a difference that matters.
const OTHERS: f64 = 0.05;

/// What is to be said when other programs left this one clearly more CPU on one side.
pub(super) fn crowd(before: &[Run], after: &[Run]) -> Option<String> {
    let taken = |side: &[Run]| {
        let of = |run: &Run| {
            let measure = |name| run.diagnosis.verdict.measures.get(name);
            let seconds = measure("starvation").map_or(0.0, |it| it.value * it.denominator);
            ratio(seconds, measure("cpus_used").map_or(0.0, |it| it.denominator))
        };
        ratio(side.iter().map(of).sum(), side.len() as f64)
    };
    let (one, other) = (taken(before), taken(after));
    ((one - other).abs() > OTHERS).then(|| {
        format!(
            "others took {one:.2} CPUs within reach before, {other:.2} after: what depends on that is \
             not judged; compare on a quiet machine"
        )
    })
}
