//! What looks at the locks of a process saw.

use std::hash::Hash;

use serde::{Deserialize, Serialize};

use super::ids::{FrameId, Nanos, StateId, ThreadId};
use super::lock::{Deadlock, Lock, LockWait};

/// The most different sights of one kind that are kept.
const MOST_SIGHTS: usize = 4096;

/// What one look saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// What threads wait for.
    pub waits: Vec<LockWait>,
    /// Executors that have workers.
    pub executors: Vec<Executor>,
}

/// A `ThreadPoolExecutor` with its workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executor {
    /// The address of its queue, by which it is known.
    pub queue: u64,
    /// How many workers it may have, where that could be read.
    pub most: Option<u64>,
    /// Its workers.
    pub workers: Vec<ThreadId>,
    /// Those of them that are at a job, each with the job's line.
    pub busy: Vec<(ThreadId, Option<FrameId>)>,
    /// Jobs that wait for a worker.
    pub queued: u64,
}

/// A wait as it was seen at one look; the same again counts on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LockSight {
    /// What is waited for.
    pub lock: Lock,
    /// The line that waits.
    pub site: Option<FrameId>,
    /// The one thread that has it, where that is known and it is another.
    pub holder: Option<Holder>,
}

/// A thread that has what another waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The thread.
    pub thread: ThreadId,
    /// The line that took it.
    pub site: Option<FrameId>,
    /// What the thread did then.
    pub state: StateId,
    /// Whether that it has it is a fact.
    pub certain: bool,
}

/// An executor as it was seen at one look.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExecutorSight {
    /// The address of its queue.
    pub queue: u64,
    /// Its workers, all of which were at a job.
    pub workers: Vec<ThreadId>,
    /// How many of them waited for something outside the process.
    pub waiting: u32,
    /// The line of a job.
    pub site: Option<FrameId>,
}

/// Unbroken waits for one lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spells {
    /// How many were met.
    pub count: u32,
    /// The longest.
    pub longest: Nanos,
}

/// What was seen of waits for locks in a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitNotes {
    /// How many times it was looked.
    pub looks: u32,
    /// The waits that were seen, with how often at all looks together.
    pub sights: Vec<(LockSight, u32)>,
    /// Waits by what was waited for.
    pub spells: Vec<(Lock, Spells)>,
    /// Executors all of whose workers were at a job while more jobs waited: at how many looks, and
    /// how many jobs waited at all of them together.
    pub full_executors: Vec<(ExecutorSight, (u32, u64))>,
    /// Deadlocks.
    pub deadlocks: Vec<Deadlock>,
}

impl WaitNotes {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.looks == 0 && self.spells.is_empty()
    }

    /// Adds what was seen at another time.
    pub fn add(&mut self, more: Self) {
        self.looks = self.looks.saturating_add(more.looks);
        merge(&mut self.sights, more.sights, |sum, more| *sum = sum.saturating_add(more));
        merge(&mut self.spells, more.spells, |sum, more| {
            sum.count = sum.count.saturating_add(more.count);
            sum.longest = sum.longest.max(more.longest);
        });
        merge(&mut self.full_executors, more.full_executors, |sum, more| {
            sum.0 = sum.0.saturating_add(more.0);
            sum.1 = sum.1.saturating_add(more.1);
        });
        for deadlock in more.deadlocks {
            if !self.deadlocks.iter().any(|known| known.goes_on(&deadlock)) {
                self.deadlocks.push(deadlock);
            }
        }
    }
}

/// Adds counts to those of the same keys.
fn merge<K: Eq, V>(sums: &mut Vec<(K, V)>, more: Vec<(K, V)>, add: impl Fn(&mut V, V)) {
    for (key, value) in more {
        if let Some((_, sum)) = sums.iter_mut().find(|(known, _)| *known == key) {
            add(sum, value);
        } else if sums.len() < MOST_SIGHTS {
            sums.push((key, value));
        }
    }
}
