//! A recording that takes part in a comparison, and what its samples are samples of.

use rustc_hash::FxHashMap;

use crate::diagnose::Diagnosis;
use crate::model::{Cause, ProcessEnd, StateId, Tag};
use crate::profile::{Profile, StateKind, Stretch, Stretches};

/// A recording that takes part in a comparison.
#[derive(Debug)]
pub struct Run {
    /// What the user calls it: its file.
    pub name: String,
    /// All of it, counted.
    pub profile: Profile,
    /// What it held stretch by stretch.
    pub stretches: Stretches,
    /// What it says about the program.
    pub diagnosis: Diagnosis,
    /// What each of its halves says by itself.
    pub halves: [Diagnosis; 2],
}

/// The same, with its stretches added up.
pub(super) struct Summed<'a> {
    pub(super) run: &'a Run,
    pub(super) sums: Vec<Sums>,
}

impl<'a> Summed<'a> {
    pub(super) fn new(run: &'a Run) -> Self {
        Self { run, sums: sums(run) }
    }

    /// How long the program ran, when the recording has all of it: in seconds. Who was killed has
    /// not done its work.
    pub(super) fn ran(&self) -> Option<f64> {
        let profile = &self.run.profile;
        let ended = profile.end == Some(ProcessEnd::Exited);
        let all = ended && profile.meta.age.seconds() < FROM_ITS_START;
        all.then(|| profile.quality.elapsed.seconds())
    }
}

/// A recording that begins with a process younger than this, in seconds, has all of it.
const FROM_ITS_START: f64 = 1.0;

/// What shares are shares of. Threads that are idle by design do not dilute what the others do; a
/// program that is idle for most of the time is not told as if there were only the rest.
pub(super) const WHOLE: &str =
    "thread samples that are not idle by design, or samples where these are more";

/// What a stretch of a recording adds up to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    /// Samples of the process.
    pub(super) samples: f64,
    /// Samples of threads.
    pub(super) threads: f64,
    /// Those by cause, in the order of [`Cause::ALL`].
    pub(super) causes: [f64; Cause::ALL.len()],
    /// Those that are not parked, by tag, in the order of [`Tag::ALL`].
    pub(super) tags: [f64; Tag::ALL.len()],
    /// Those that are kept from going on by another thread, or keep a loop from going on.
    pub(super) held_back: f64,
    /// Those that wait to enter a critical section.
    pub(super) entering: f64,
    /// Samples at which threads had the GIL.
    pub(super) held: f64,
    /// Time on the clock, on CPUs and in run queues, in seconds.
    pub(super) elapsed: f64,
    pub(super) cpu: f64,
    pub(super) queued: f64,
    /// The sum of the squares of the lengths of the loops' steps.
    pub(super) squares: f64,
}

impl Sums {
    /// Thread samples that are not parked.
    pub(super) fn work(&self) -> f64 {
        self.tags.iter().sum()
    }

    /// What shares are shares of: see [`WHOLE`].
    pub(super) fn whole(&self) -> f64 {
        self.work().max(self.samples)
    }

    pub(super) fn cause(&self, cause: Cause) -> f64 {
        self.causes.get(cause as usize).copied().unwrap_or_default()
    }

    pub(super) fn tag(&self, tag: Tag) -> f64 {
        let place = Tag::ALL.iter().position(|it| *it == tag);
        place.and_then(|place| self.tags.get(place)).copied().unwrap_or_default()
    }
}

fn sums(run: &Run) -> Vec<Sums> {
    let tables = &run.profile.tables;
    let mut kinds: FxHashMap<StateId, (StateKind, Tag)> = FxHashMap::default();
    for (id, state) in tables.states.iter() {
        kinds.insert(id, (StateKind::of(tables, state), state.tag));
    }
    run.stretches.list().iter().map(|stretch| of_stretch(stretch, &kinds)).collect()
}

fn of_stretch(stretch: &Stretch, kinds: &FxHashMap<StateId, (StateKind, Tag)>) -> Sums {
    let mut sums = Sums {
        samples: stretch.samples as f64,
        held: stretch.held as f64,
        elapsed: stretch.elapsed.seconds(),
        cpu: stretch.usage.cpu.seconds(),
        queued: stretch.usage.queued.seconds(),
        squares: stretch.squares,
        ..Sums::default()
    };
    for (&(state, blocking), &samples) in &stretch.states {
        let Some((kind, tag)) = kinds.get(&state) else { continue };
        let samples = samples as f64;
        sums.threads += samples;
        if let Some(sum) = sums.causes.get_mut(kind.cause as usize) {
            *sum += samples;
        }
        if kind.cause == Cause::Parked {
            continue;
        }
        let tag = if blocking { Tag::EventLoopBlocking } else { *tag };
        let place = Tag::ALL.iter().position(|it| *it == tag);
        if let Some(sum) = place.and_then(|place| sums.tags.get_mut(place)) {
            *sum += samples;
        }
        sums.entering += if kind.enters { samples } else { 0.0 };
        if blocking || kind.enters || kind.cause == Cause::Gil {
            sums.held_back += samples;
        }
    }
    sums
}
