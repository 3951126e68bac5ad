//! About a second of samples, in the form in which a recording holds them.

use serde::{Deserialize, Serialize};

use crate::model::{
    Descriptor, Frame, Function, Kept, LoopKind, Nanos, ProcessEnd, StackNode, State, StateId,
    StepTask, Surroundings, TaskLook, ThreadId, ThreadInfo, WaitNotes,
};

use super::meta::{Quality, Usage};

/// About a second of samples.
///
/// The tables' additions since the block before come with it, so that a recording can be read up
/// to any block.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Functions added.
    pub functions: Vec<Function>,
    /// Frames added.
    pub frames: Vec<Frame>,
    /// Stacks added.
    pub stacks: Vec<StackNode>,
    /// Descriptors added.
    pub descriptors: Vec<Descriptor>,
    /// Labels added.
    pub labels: Vec<Box<str>>,
    /// States added.
    pub states: Vec<State>,
    /// Threads that are new or whose info changed.
    pub threads: Vec<(ThreadId, ThreadInfo)>,
    /// When the first sample was taken, on the target's `CLOCK_MONOTONIC`.
    pub start: Nanos,
    /// Microseconds from each sample to the one before it; 0 for the first. One per sample.
    pub intervals: Vec<u32>,
    /// A lane for each thread that was sampled.
    pub lanes: Vec<Lane>,
    /// The steps of event loops that ended in this block.
    pub steps: Vec<StepEnd>,
    /// What was seen of waits for locks during this block. In a file that is a message of its own.
    #[serde(skip)]
    pub waits: WaitNotes,
    /// What was seen of the tasks during this block. In a file that is a message of its own.
    #[serde(skip)]
    pub looks: Vec<TaskLook>,
    /// What surrounds the target at its end, where it was looked at. In a file that is a message of
    /// its own.
    #[serde(skip)]
    pub surroundings: Option<Surroundings>,
    /// How sampling went in this block.
    pub quality: Quality,
    /// What the target used during this block.
    pub usage: Usage,
    /// How the target ended after the last sample, if it did.
    pub end: Option<ProcessEnd>,
}

/// What one thread did at each sample of a block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The thread.
    pub thread: ThreadId,
    /// Its states, run-length encoded; the runs' lengths add up to at most the number of samples.
    pub runs: Vec<Run>,
    /// At how many samples it had the GIL (or was attached, when free-threaded).
    pub held: u32,
    /// At how many samples it waited for the GIL while another thread was seen to have it, by that
    /// thread, in the threads' order.
    pub gil_waits: Vec<(ThreadId, u32)>,
    /// Its CPU time during the block.
    pub cpu: Nanos,
    /// Its time in run queues during the block.
    pub queued: Nanos,
    /// The event loop that it ran, be it idle.
    pub event_loop: Option<LoopKind>,
    /// The tasks of that loop, where it was the one to tell them.
    pub tasks: Option<u32>,
}

/// Equal states of one thread at samples that follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The state; `None` when the thread was not there, or its sample was rejected.
    pub state: Option<StateId>,
    /// The step of the thread's event loop, numbered from 1 in the order in which the recording
    /// met them; 0 outside any.
    pub step: u32,
    /// At how many samples.
    pub samples: u32,
}

/// A step of an event loop that has ended.
///
/// It lasted from `start` to `end` as far as can be told, at least from `first` (or `start`, when
/// that is exact) to `seen`, and at most from `earliest` to `latest`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepEnd {
    /// The thread that runs the loop.
    pub thread: ThreadId,
    /// The step's number, as in [`Run::step`].
    pub step: u32,
    /// When it began.
    pub start: Nanos,
    /// When it began at the earliest.
    pub earliest: Nanos,
    /// The first sample that saw it.
    pub first: Nanos,
    /// The last sample that saw it.
    pub seen: Nanos,
    /// When it ended: half way between the last sample that saw it and the next one.
    pub end: Nanos,
    /// When it ended at the latest.
    pub latest: Nanos,
    /// Whether `start` is the loop's own reading of the clock.
    pub exact: bool,
    /// The task that it was a step of, if it was and was long enough to be asked about.
    pub task: Option<StepTask>,
    /// Who was kept waiting by it; `None` when it was too short to be asked about.
    pub kept: Option<Kept>,
}

impl StepEnd {
    /// How long it lasted, as far as can be told.
    #[must_use]
    pub const fn length(&self) -> Nanos {
        self.end.since(self.start)
    }

    /// How much of it, as far as can be told, was behind a moment.
    #[must_use]
    pub fn length_since(&self, moment: Nanos) -> Nanos {
        self.end.since(self.start.max(moment))
    }

    /// How long it lasted at least.
    #[must_use]
    pub fn shortest(&self) -> Nanos {
        self.seen.since(if self.exact { self.start } else { self.first })
    }

    /// How long it lasted at most.
    #[must_use]
    pub const fn longest(&self) -> Nanos {
        self.latest.since(self.earliest)
    }

    /// Whether it was at least as long as a threshold. Where the samples around its ends are
    /// further apart than `interval`, as after a pause of the sampler, only the time between those
    /// that saw it is certain, and an innocent callback must not pay for the gap.
    #[must_use]
    pub fn blocks(&self, threshold: Nanos, interval: Nanos) -> bool {
        // Half of an interval is what an estimate is wrong by when no sample is late.
        let most = (interval.0 / 4 * 3).max(threshold.0 / 8);
        let sharp = |doubt: Nanos| doubt.0 <= most;
        let start =
            if self.exact || sharp(self.first.since(self.start)) { self.start } else { self.first };
        let end = if sharp(self.end.since(self.seen)) { self.end } else { self.seen };
        end.since(start) >= threshold
    }
}
