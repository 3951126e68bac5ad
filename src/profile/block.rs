//! About a second of samples, in the form in which a recording holds them.

use serde::{Deserialize, Serialize};

use crate::model::{
    Descriptor, Frame, Function, Nanos, ProcessEnd, StackNode, State, StateId, ThreadId,
    ThreadInfo, WaitNotes,
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
    /// Whether it ran an event loop, be it idle.
    pub event_loop: bool,
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

/// The end of a step of an event loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepEnd {
    /// The thread that runs the loop.
    pub thread: ThreadId,
    /// The step's number, as in [`Run::step`].
    pub step: u32,
    /// When it began.
    pub start: Nanos,
    /// The last sample that saw it.
    pub seen: Nanos,
    /// When it ended: half way between the last sample that saw it and the next one.
    pub end: Nanos,
    /// Whether `start` is the loop's own reading of the clock.
    pub exact: bool,
}
