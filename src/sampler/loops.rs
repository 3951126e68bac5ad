//! The event loop of one thread, from sample to sample.

use crate::model::{LoopEvidence, Nanos, Step};
use crate::python::{EventLoop, LoopSlots, LoopState, RawFrame, Reader};
use crate::target::ProcessMemory;

/// A loop's clock reading further back than this is not believed: the target may live in a time
/// namespace of its own.
const LONGEST_STEP: Nanos = Nanos(24 * 3600 * Nanos::SECOND.0);

/// Follows the steps of a loop.
#[derive(Debug, Default)]
pub(super) struct LoopFollower {
    event_loop: EventLoop,
    step: Option<Step>,
}

impl LoopFollower {
    /// What the loop that runs in a frame does at `time`; `before` is the time of the last sample.
    pub(super) fn follow(
        &mut self,
        reader: Reader<'_, ProcessMemory>,
        (frame, slots): (RawFrame, LoopSlots),
        before: Nanos,
        time: Nanos,
    ) -> Option<LoopEvidence> {
        let state = self.event_loop.read(reader, frame, slots).ok()?;
        self.step = self.step_of(state, before, time);
        Some(LoopEvidence { epoll: state.epoll, step: self.step })
    }

    /// The step that the loop is in. A step other than the last sample's began between the two
    /// samples, unless the loop itself says when.
    fn step_of(&self, state: LoopState, before: Nanos, time: Nanos) -> Option<Step> {
        let callback = state.callback?;
        if let Some(step) = self.step.filter(|step| step.key == callback.key) {
            return Some(step);
        }
        let iteration = callback.iteration_started;
        let plausible = iteration <= time && time.since(iteration) < LONGEST_STEP;
        let exact = callback.first && plausible;
        let earliest = if plausible { iteration.max(before) } else { before };
        let started = match (exact, earliest) {
            (true, _) => iteration,
            (false, Nanos(0)) => time,
            (false, earliest) => earliest.midpoint(time),
        };
        Some(Step { key: callback.key, started, exact })
    }
}
