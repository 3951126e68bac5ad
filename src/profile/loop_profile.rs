//! What an event loop did: its steps, and the ones that blocked it.

use rustc_hash::FxHashMap;

use crate::model::{Cause, Kept, LoopKind, Nanos, StateId, StepTask, Tables};

use super::block::StepEnd;
use super::step_lengths::StepLengths;

/// What an event loop did.
#[derive(Debug, Clone, Default)]
pub struct LoopProfile {
    /// What loop it is, as it was seen last.
    pub kind: Option<LoopKind>,
    /// How many tasks it had when it was seen last; none of asyncio's, which the looks count.
    pub tasks: Option<u32>,
    /// The lengths of the steps that were seen to their end. Steps shorter than a sample's interval
    /// are mostly not seen.
    pub steps: StepLengths,
    /// Steps at least as long as the threshold, in order of time, as many as are kept.
    pub episodes: Vec<Episode>,
    /// The shorter steps that some sample saw, by the state in which most samples saw them.
    pub short: FxHashMap<StateId, ShortSteps>,
}

/// Steps of an event loop that were shorter than the threshold, and alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShortSteps {
    /// How many were seen.
    pub count: u64,
    /// At how many samples.
    pub samples: u64,
    /// The sum over these samples of the length of the step that each saw.
    pub lengths: Nanos,
    /// The longest.
    pub longest: Nanos,
    /// The task that the last one belongs to whose task is known.
    pub task: Option<StepTask>,
    /// The most that was kept waiting by one of them.
    pub kept: Option<Kept>,
}

impl LoopProfile {
    /// The samples of shorter steps that keep others waiting for no good reason: those that wait,
    /// though the loop could serve others meanwhile, and those that compute for half the threshold.
    #[must_use]
    pub fn short_blocks(&self, tables: &Tables, threshold: Nanos) -> u64 {
        let blocks = |id, steps: &ShortSteps| {
            tables
                .states
                .get(id)
                .is_some_and(|state| steps.block(state.cause, Nanos(threshold.0 / 2)))
        };
        let short = self.short.iter().filter(|&(&state, steps)| blocks(state, steps));
        short.map(|(_, steps)| steps.samples).sum()
    }
}

impl ShortSteps {
    /// Whether these steps keep others waiting for no good reason, spent as they are with a cause: those
    /// that compute do if they take at least so `long`.
    #[must_use]
    pub const fn block(&self, cause: Cause, long: Nanos) -> bool {
        match cause {
            Cause::Python | Cause::Native => self.mean_length().0 >= long.0,
            // What others make of a step is found elsewhere.
            _ => cause.is_wait(),
        }
    }

    /// Adds a step that so many samples saw.
    pub fn add(&mut self, step: StepEnd, length: Nanos, samples: u64) {
        self.count += 1;
        self.task = step.task.or_else(|| self.task.take());
        self.kept = self.kept.into_iter().chain(step.kept).reduce(Kept::max);
        self.samples += samples;
        self.lengths.add(Nanos(length.0.saturating_mul(samples)));
        self.longest = self.longest.max(length);
    }

    /// How long the step is, on average, that a random moment finds the loop in.
    #[must_use]
    pub const fn mean_length(&self) -> Nanos {
        match self.lengths.0.checked_div(self.samples) {
            Some(mean) => Nanos(mean),
            None => Nanos(0),
        }
    }
}

/// A step that blocked its event loop.
#[derive(Debug, Clone, Default)]
pub struct Episode {
    /// The step.
    pub step: StepEnd,
    /// The states in which it was seen, with the number of samples, most frequent first.
    pub states: Vec<(StateId, u64)>,
}

/// A step whose end is not known yet.
#[derive(Debug, Clone, Default)]
pub struct OpenStep {
    /// Its number, as in [`Run::step`](super::Run::step).
    pub step: u32,
    /// The first sample that saw it. The step began earlier.
    pub first: Nanos,
    /// The last sample that saw it.
    pub last: Nanos,
    /// The number of samples that saw it, by state.
    pub states: FxHashMap<StateId, u64>,
}
