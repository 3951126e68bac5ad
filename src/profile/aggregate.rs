//! A recording, counted.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::model::{
    Cause, Deadlock, Nanos, ProcessEnd, State, StateId, Surroundings, Tables, Tag, ThreadId,
    WaitNotes,
};

use super::loop_profile::{LoopProfile, OpenStep};
use super::meta::{Meta, Quality, Usage};
use super::overlap::Overlaps;
use super::shutdowns::Shutdowns;
use super::spans::{Spans, StateKind};
use super::task_profile::TaskProfile;

/// A recording, counted: the same whether it was just made or read from a file.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Where it comes from.
    pub meta: Meta,
    /// What the ids mean.
    pub tables: Tables,
    /// Counts per thread, by [`ThreadId`].
    pub threads: Vec<ThreadProfile>,
    /// Counts over time.
    pub spans: Spans,
    /// The kind of each state, by [`StateId`].
    pub(super) kinds: Vec<StateKind>,
    /// How far waits of threads overlap.
    pub overlaps: Overlaps,
    /// How sampling went.
    pub quality: Quality,
    /// What the target used.
    pub usage: Usage,
    /// The step that a thread's event loop is in, whose end no block has told yet. Its samples
    /// count as not blocking until then.
    pub open_steps: FxHashMap<ThreadId, OpenStep>,
    /// Deadlocks, in the order in which they were met.
    pub deadlocks: Vec<SeenDeadlock>,
    /// Deadlocks that seemed likely and were none.
    pub(super) refuted: Vec<Deadlock>,
    /// What the looks at the tasks saw.
    pub tasks: TaskProfile,
    /// Locks that had waiters; its deadlocks are those above.
    pub locks: WaitNotes,
    /// Of each thread that was seen waiting for the program's end, or its loop's.
    pub(super) shutdowns: BTreeMap<ThreadId, Shutdowns>,
    /// What surrounds the target, as it was seen last.
    pub surroundings: Surroundings,
    /// How the process ended, if it did while it was sampled.
    pub end: Option<ProcessEnd>,
}

/// A deadlock that was seen, once or again and again.
#[derive(Debug, Clone, Default)]
pub struct SeenDeadlock {
    /// As it was seen last.
    pub deadlock: Deadlock,
    /// When its last wait began, or was first seen.
    pub first: Nanos,
    /// Until when it was seen.
    pub last: Nanos,
}

/// What one thread did.
#[derive(Debug, Clone, Default)]
pub struct ThreadProfile {
    /// At how many samples it was seen.
    pub samples: u64,
    /// When it was seen in Python, and as what at the end; none when it never was.
    pub seen: Option<Seen>,
    /// At how many samples it was in a state; the flag says that the sample belongs to a step that
    /// blocked the event loop, so that its tag is `event-loop-blocking` and not the state's.
    pub states: FxHashMap<(StateId, bool), u64>,
    /// At how many samples it had the GIL.
    pub held: u64,
    /// At how many samples it waited for the GIL while another thread had it, by that thread.
    pub gil_waits: FxHashMap<ThreadId, u64>,
    /// Its CPU time.
    pub cpu: Nanos,
    /// Its time in run queues.
    pub queued: Nanos,
    /// Its event loop, when it runs one.
    pub event_loop: Option<LoopProfile>,
}

/// When a thread was seen in Python: before the interpreter is there, and when it is taken down, a
/// thread has no frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// At the first sample of it.
    pub first: Nanos,
    /// At the last one.
    pub last: Nanos,
    /// Its state then.
    pub state: StateId,
    /// Since when it was in no other.
    pub since: Nanos,
}

/// How often one thread was in one state.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The thread.
    pub thread: ThreadId,
    /// The state's id.
    pub id: StateId,
    /// The state.
    pub state: &'a State,
    /// Whether the samples belong to steps that blocked the event loop.
    pub blocking: bool,
    /// The number of samples.
    pub samples: u64,
}

impl Row<'_> {
    /// The samples' tag, steps considered.
    #[must_use]
    pub const fn tag(&self) -> Tag {
        if self.blocking { Tag::EventLoopBlocking } else { self.state.tag }
    }
}

impl Profile {
    /// An empty profile of a recording.
    #[must_use]
    pub fn new(meta: Meta) -> Self {
        Self { meta, ..Self::default() }
    }

    /// What every thread did, by thread and state.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.threads.len()).map(ThreadId::from).flat_map(|thread| self.rows_of(thread))
    }

    /// What one thread did, by state; nothing for a thread that is not there.
    pub fn rows_of(&self, thread: ThreadId) -> impl Iterator<Item = Row<'_>> {
        let counts = self.threads.get(usize::from(thread)).map(|profile| &profile.states);
        let mut rows: Vec<_> = counts
            .into_iter()
            .flatten()
            .filter_map(|(&(id, blocking), &samples)| {
                let state = self.tables.states.get(id)?;
                Some(Row { thread, id, state, blocking, samples })
            })
            .collect();
        rows.sort_unstable_by_key(|row| (row.id, row.blocking));
        rows.into_iter()
    }

    /// The tag of samples in a state, steps considered; `None` for an unknown state.
    #[must_use]
    pub fn tag_of(&self, state: StateId, blocking: bool) -> Option<Tag> {
        let state = self.tables.states.get(state)?;
        Some(if blocking { Tag::EventLoopBlocking } else { state.tag })
    }

    /// The number of thread samples.
    #[must_use]
    pub fn thread_samples(&self) -> u64 {
        self.threads.iter().map(|thread| thread.samples).sum()
    }

    /// The number of thread samples by tag; a tag that never came is absent.
    #[must_use]
    pub fn by_tag(&self) -> BTreeMap<Tag, u64> {
        count(self.rows(), Row::tag)
    }

    /// The number of thread samples by cause; a cause that never came is absent.
    #[must_use]
    pub fn by_cause(&self) -> BTreeMap<Cause, u64> {
        count(self.rows(), |row| row.state.cause)
    }

    /// The number of samples of each thread that was sampled at all.
    #[must_use]
    pub fn by_thread(&self) -> BTreeMap<ThreadId, u64> {
        count(self.rows(), |row| row.thread)
    }
}

/// The number of samples of `rows` by any key of theirs.
pub fn count<'a, K: Ord>(
    rows: impl IntoIterator<Item = Row<'a>>,
    key: impl Fn(&Row<'a>) -> K,
) -> BTreeMap<K, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(key(&row)).or_insert(0) += row.samples;
    }
    counts
}
