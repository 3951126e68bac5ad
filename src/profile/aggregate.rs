//! A recording, counted.

use rustc_hash::FxHashMap;

use crate::model::{Nanos, StateId, Tables, ThreadId};

use super::meta::{Meta, Quality, Usage};

/// A recording, counted: the same whether it was just made or read from a file.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Where it comes from.
    pub meta: Meta,
    /// What the ids mean.
    pub tables: Tables,
    /// Counts per thread, by [`ThreadId`].
    pub threads: Vec<ThreadProfile>,
    /// Counts per second of the recording.
    pub seconds: Vec<Second>,
    /// How sampling went.
    pub quality: Quality,
    /// What the target used.
    pub usage: Usage,
}

/// What one thread did.
#[derive(Debug, Clone, Default)]
pub struct ThreadProfile {
    /// At how many samples it was seen.
    pub samples: u64,
    /// At how many samples it was in a state; the flag says that the sample belongs to a step that
    /// blocked the event loop, so that its tag is `event-loop-blocking` and not the state's.
    pub states: FxHashMap<(StateId, bool), u64>,
    /// At how many samples it had the GIL.
    pub held: u64,
    /// Its CPU time.
    pub cpu: Nanos,
    /// Its time in run queues.
    pub queued: Nanos,
    /// Its event loop, when it runs one.
    pub event_loop: Option<LoopProfile>,
}

/// What an event loop did.
#[derive(Debug, Clone, Default)]
pub struct LoopProfile {
    /// Lengths of the steps that were seen, unsorted. Steps shorter than a sample's interval are
    /// mostly not seen.
    pub steps: Vec<Nanos>,
    /// Steps at least as long as the threshold, in order of time.
    pub episodes: Vec<Episode>,
}

/// A step that blocked its event loop.
#[derive(Debug, Clone, Default)]
pub struct Episode {
    /// When it began.
    pub start: Nanos,
    /// When it ended.
    pub end: Nanos,
    /// Whether `start` is the loop's own reading of the clock.
    pub exact: bool,
    /// The states in which it was seen, with the number of samples.
    pub states: Vec<(StateId, u64)>,
}

/// One second of the recording.
#[derive(Debug, Clone, Default)]
pub struct Second {
    /// Process samples in it.
    pub samples: u64,
    /// Thread samples in it by thread, state and whether the sample belongs to a blocking step.
    pub states: FxHashMap<(ThreadId, StateId, bool), u64>,
    /// What the target used in it.
    pub usage: Usage,
}
