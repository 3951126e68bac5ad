//! Where the workload changes during the recording: its start, what it settles into, its end.
//!
//! The spans of the recording (seconds, or more of a long one) are divided so that each part is as
//! uniform as possible, at a price for each further part: optimal partitioning by dynamic
//! programming (Jackson et al. 2005, "An algorithm for optimal partitioning of data on an
//! interval"). What is compared are the mean numbers of threads by cause.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Cause;
use crate::profile::Profile;

use super::load::Load;
use super::totals::{Adder, Totals};
use super::verdict::{Workload, workload_of};
use super::words::{ratio, rounded};

/// The price of a part, in squared threads times spans: a change by less than half a thread over three
/// spans is none.
const PRICE: f64 = 0.75;

/// Spans that are divided: of longer recordings, neighbours are taken together.
const MOST: usize = 256;

/// What a phase is in the life of its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseKind {
    /// The program starts: it was young, and did something else at first.
    StartUp,
    /// It works, or waits for work.
    Steady,
    /// It ends.
    Shutdown,
}

/// A stretch of the recording in which the program did the same.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Phase {
    /// What it is.
    pub kind: PhaseKind,
    /// When it began, in seconds from the recording's start.
    pub start: f64,
    /// When it ended.
    pub end: f64,
    /// The kind of workload that it was, taken for itself.
    pub workload: Workload,
    /// CPUs that were used.
    pub cpus_used: f64,
    /// Mean numbers of threads by cause; a cause with less than a hundredth is absent.
    pub threads: std::collections::BTreeMap<&'static str, f64>,
}

/// The phases of a recording; one where it did the same all the time.
pub(super) fn phases(profile: &Profile, whole: &Load) -> Vec<Phase> {
    let adder = Adder::new(profile);
    let each = profile.spans.seconds() as f64;
    let spans: Vec<Totals> = profile.spans.iter().map(|span| adder.span(span)).collect();
    let stride = spans.len().div_ceil(MOST).max(1);
    let sums: Vec<Totals> = spans.chunks(stride).map(added).collect();
    let elapsed = profile.quality.elapsed.seconds();
    let mut parts = divide(&sums);
    join_a_scrap(&mut parts, elapsed / each / stride as f64);
    let load_of =
        |&(from, to): &(usize, usize)| whole.with(added(sums.get(from..to).unwrap_or_default()));
    // Parts that differ in how much they do and not in what are one.
    parts.dedup_by(|later, part| {
        let same = workload_of(&load_of(later)) == workload_of(&load_of(part));
        if same {
            part.1 = later.1;
        }
        same
    });
    let count = parts.len();
    let told = parts.into_iter().enumerate().map(|(index, (from, to))| {
        let load = load_of(&(from, to));
        let start = (from * stride) as f64 * each;
        let end = ((to * stride) as f64 * each).min(elapsed);
        let threads = Cause::ALL.iter().map(|&cause| (cause.name(), rounded(load.mean(cause))));
        Phase {
            kind: kind(profile, index, count, start),
            start: rounded(start.min(elapsed)),
            end: rounded(if index + 1 == count { elapsed } else { end }),
            workload: workload_of(&load),
            cpus_used: rounded(load.cpus_used()),
            threads: threads.filter(|(_, mean)| *mean >= 0.01).collect(),
        }
    });
    told.collect()
}

/// The spans of the recording that the verdict is about: all but its program's start and end, where what
/// is left is at least half of them.
pub(super) fn judged(profile: &Profile, phases: &[Phase]) -> Range<usize> {
    let each = profile.spans.seconds() as f64;
    let count = profile.spans.iter().count();
    let steady = || phases.iter().filter(|phase| phase.kind == PhaseKind::Steady);
    let index = |seconds: f64| (seconds / each).round() as usize;
    let start = steady().next().map_or(0, |phase| index(phase.start));
    let end =
        steady().next_back().map_or(count, |phase| (phase.end / each).ceil() as usize).min(count);
    if start < end && 2 * (end - start) >= count { start..end } else { 0..count }
}

fn kind(profile: &Profile, index: usize, count: usize, start: f64) -> PhaseKind {
    /// A program that is this young may still be starting.
    const YOUNG: f64 = 5.0;
    if count > 1 && index == 0 && profile.meta.age.seconds() < YOUNG {
        return PhaseKind::StartUp;
    }
    let origin = profile.meta.origin;
    let ends = profile
        .shutdowns()
        .map(|shutdown| shutdown.since.since(origin).seconds())
        .min_by(f64::total_cmp);
    if count > 1 && index + 1 == count && ends.is_some_and(|ends| ends <= start + 1.0) {
        return PhaseKind::Shutdown;
    }
    PhaseKind::Steady
}

/// The last span is cut where the recording ends: what is left of it, if it is less than half of one, is no
/// phase of its own. `length` is the recording's, in spans.
fn join_a_scrap(parts: &mut Vec<(usize, usize)>, length: f64) {
    if let Some((_, end)) = parts.pop_if(|(start, _)| *start as f64 > length - 0.5)
        && let Some((_, before)) = parts.last_mut()
    {
        *before = end;
    }
}

fn added(spans: &[Totals]) -> Totals {
    spans.iter().sum()
}

/// The parts, as ranges of spans.
fn divide(spans: &[Totals]) -> Vec<(usize, usize)> {
    let means: Vec<[f64; Cause::ALL.len()]> =
        spans.iter().map(|span| span.causes.map(|sum| ratio(sum, span.samples))).collect();
    // The best division of the first so many spans: its price, and where its last part begins.
    let mut best: Vec<(f64, usize)> = vec![(0.0, 0)];
    for end in 1..=means.len() {
        let mut sum = [0.0; Cause::ALL.len()];
        let mut squares = 0.0;
        let mut found = (f64::INFINITY, 0);
        for start in (0..end).rev() {
            let Some(mean) = means.get(start) else { continue };
            for (sum, value) in sum.iter_mut().zip(mean) {
                *sum += value;
                squares += value * value;
            }
            let length = (end - start) as f64;
            let spread = squares - sum.iter().map(|sum| sum * sum).sum::<f64>() / length;
            let before = best.get(start).map_or(f64::INFINITY, |(price, _)| *price);
            let price = before + spread.max(0.0) + PRICE;
            if price < found.0 {
                found = (price, start);
            }
        }
        best.push(found);
    }
    let mut parts = Vec::new();
    let mut end = means.len();
    while end > 0 {
        let start = best.get(end).map_or(0, |(_, start)| *start).min(end - 1);
        parts.push((start, end));
        end = start;
    }
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use super::{PhaseKind, phases};
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::diagnose::load::Load;
    use crate::diagnose::verdict::Workload;
    use crate::model::{Cause, Nanos};

    /// Twelve seconds of one thread, of which the first so many do something else.
    fn changing(first: Cause, seconds: usize, then: Cause) -> Fixture {
        let mut fixture = Fixture::new(12);
        let thread = fixture.thread("MainThread");
        let stack = ["app.py:work:3"];
        fixture.spend(thread, 50, &Doing::new(first, &stack));
        fixture.spend(thread, 50, &Doing::new(then, &stack));
        for (index, span) in fixture.profile.spans.iter_mut().enumerate() {
            let early = index < seconds;
            for ((_, kind), samples) in &mut span.kinds {
                let is_first = kind.cause == first;
                *samples = if is_first == early { 100 } else { 0 };
            }
            span.usage.cpu = if early && first == Cause::Python { Nanos::SECOND } else { Nanos(0) };
        }
        fixture
    }

    #[test]
    fn a_change_of_the_workload_is_found_where_it_is() {
        let fixture = changing(Cause::Python, 4, Cause::Network);
        let found = phases(&fixture.profile, &Load::of(&fixture.profile));
        let told: Vec<_> = found.iter().map(|it| (it.start, it.end, it.workload)).collect();
        assert_eq!(told, [(0.0, 4.0, Workload::CpuBound), (4.0, 12.0, Workload::IoBound)]);
        assert!(found.iter().all(|it| it.kind == PhaseKind::StartUp || it.start > 0.0));
    }

    #[test]
    fn what_stays_the_same_is_one_phase() {
        let fixture = changing(Cause::Python, 12, Cause::Network);
        let found = phases(&fixture.profile, &Load::of(&fixture.profile));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].kind, PhaseKind::Steady);
        assert_eq!(phases(&Fixture::new(0).profile, &Load::of(&Fixture::new(0).profile)), []);
    }
}
