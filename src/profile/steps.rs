//! Joins the steps of event loops with the samples that saw them.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use crate::model::{Nanos, StateId, ThreadId};

use super::aggregate::Profile;
use super::block::StepEnd;
use super::loop_profile::{Episode, OpenStep};

/// The most episodes of a loop that are kept.
const MAX_EPISODES: usize = 100_000;

/// The steps that end in a block.
pub(super) type Ends = FxHashMap<(ThreadId, u32), StepEnd>;

impl Profile {
    /// Says that no block is to come: steps without an end, as a cut recording has them, end with
    /// the last sample that saw them.
    pub fn finish(&mut self) {
        let mut ends: Vec<_> =
            self.open_steps.iter().map(|(&thread, open)| open.seen_end(thread)).collect();
        ends.sort_unstable_by_key(|end| end.thread);
        for end in ends {
            self.end_step(end);
        }
    }

    /// Has the samples at `times` belong to a step of a thread's loop.
    pub(super) fn enter_step(&mut self, key: (ThreadId, u32), times: &[Nanos], ends: &Ends) {
        let (thread, step) = key;
        let (Some(&first), Some(&last)) = (times.first(), times.last()) else { return };
        if let Some(open) = self.open_steps.get_mut(&thread) {
            if open.step == step {
                open.last = last;
                return;
            }
            // A loop is in one step at a time; only a damaged recording lacks the former's end.
            let end = ends.get(&(thread, open.step)).cloned();
            let end = end.unwrap_or_else(|| open.seen_end(thread));
            self.end_step(end);
        }
        self.open_steps
            .insert(thread, OpenStep { step, first, last, states: FxHashMap::default() });
    }

    /// Ends a thread's step: when it was too long, its samples are those of a blocked loop.
    pub(super) fn end_step(&mut self, end: StepEnd) {
        // The end of a step that is over already says nothing about the one that is open now.
        if self.open_steps.get(&end.thread).is_none_or(|open| open.step != end.step) {
            return;
        }
        let Some(open) = self.open_steps.remove(&end.thread) else { return };
        let interval = self.meta.interval();
        let blocking = end.blocks(self.meta.threshold, interval);
        if blocking {
            for (&state, &samples) in &open.states {
                self.uncount((end.thread, state, false), samples);
                self.count((end.thread, state, true), samples);
            }
        }
        let Some(thread) = self.threads.get_mut(usize::from(end.thread)) else { return };
        let event_loop = thread.event_loop.get_or_insert_default();
        let mut length = end.length();
        if !blocking && length >= self.meta.threshold {
            // A gap made it look longer than is certain.
            length = end.shortest().min(length);
        }
        event_loop.steps.add(length);
        let states = open.most_frequent();
        if !blocking {
            let samples = states.iter().map(|&(_, samples)| samples).sum();
            if let Some(&(state, _)) = states.first() {
                event_loop.short.entry(state).or_default().add(end, length, samples);
            }
        } else if event_loop.episodes.len() < MAX_EPISODES {
            event_loop.episodes.push(Episode { states, step: end });
        }
    }

    /// Counts samples of a thread in a state.
    pub(super) fn count(&mut self, row: (ThreadId, StateId, bool), samples: u64) {
        let (thread, state, blocking) = row;
        if let Some(thread) = self.threads.get_mut(usize::from(thread)) {
            *thread.states.entry((state, blocking)).or_default() += samples;
        }
    }

    /// Takes back what [`Self::count`] counted.
    fn uncount(&mut self, row: (ThreadId, StateId, bool), samples: u64) {
        let (thread, state, blocking) = row;
        let Some(thread) = self.threads.get_mut(usize::from(thread)) else { return };
        if let Some(count) = thread.states.get_mut(&(state, blocking)) {
            *count = count.saturating_sub(samples);
            if *count == 0 {
                thread.states.remove(&(state, blocking));
            }
        }
    }
}

impl OpenStep {
    /// The step as if it had begun and ended with the samples that saw it: its shortest length.
    fn seen_end(&self, thread: ThreadId) -> StepEnd {
        StepEnd {
            thread,
            step: self.step,
            start: self.first,
            earliest: self.first,
            first: self.first,
            seen: self.last,
            end: self.last,
            latest: self.last,
            ..StepEnd::default()
        }
    }

    /// Its states, most frequent first.
    fn most_frequent(&self) -> Vec<(StateId, u64)> {
        let mut states: Vec<_> =
            self.states.iter().map(|(&state, &count)| (state, count)).collect();
        states.sort_unstable_by_key(|&(state, count)| (Reverse(count), state));
        states
    }
}
