//! One moment of a process.

use std::collections::BTreeMap;

use crate::model::{
    Deadlock, LockWait, Nanos, StateId, Step, Tables, Tag, TaskCircle, Tasks, ThreadId, WaitDetails,
};

use super::meta::Meta;

/// One moment of a process: what each thread did.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The process.
    pub meta: Meta,
    /// What the ids mean.
    pub tables: Tables,
    /// When it was taken.
    pub time: Nanos,
    /// Its threads.
    pub threads: Vec<ThreadSnapshot>,
    /// Threads that could not be read.
    pub missed: Vec<ThreadId>,
    /// What the threads in locks wait for.
    pub waits: Vec<LockWait>,
    /// What more there is to say of the waits of the threads that are still in them.
    pub details: BTreeMap<ThreadId, WaitDetails>,
    /// Threads that wait for each other for ever.
    pub deadlocks: Vec<Deadlock>,
    /// Its event loops and tasks, when they were asked for.
    pub tasks: Option<Tasks>,
    /// Tasks that wait for each other for ever.
    pub task_deadlocks: Vec<TaskCircle>,
}

/// What one thread did at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadSnapshot {
    /// The thread.
    pub thread: ThreadId,
    /// Its state.
    pub state: StateId,
    /// Whether it has the GIL, or is attached when free-threaded.
    pub holds_gil: bool,
    /// The step that its event loop is in.
    pub step: Option<Step>,
}

impl Snapshot {
    /// How many threads wait for what `wait` is for, its own among them; 0 where that was not found.
    #[must_use]
    pub fn waiters_for(&self, wait: &LockWait) -> usize {
        let same = |other: &&LockWait| (other.kind, other.object) == (wait.kind, wait.object);
        if wait.object == 0 { 0 } else { self.waits.iter().filter(same).count() }
    }

    /// What a thread waits for, when it is in a lock.
    #[must_use]
    pub fn wait_of(&self, thread: ThreadId) -> Option<&LockWait> {
        self.waits.iter().find(|wait| wait.thread == thread)
    }

    /// For how long the thread's event loop has been in its step, as far as is known: at least for
    /// as long as the thread has been asleep in it.
    #[must_use]
    pub fn step_length(&self, thread: &ThreadSnapshot) -> Option<Nanos> {
        let step = thread.step?;
        let asleep = self.details.get(&thread.thread).and_then(|details| details.asleep);
        Some(self.time.since(step.started).max(asleep.unwrap_or_default()))
    }

    /// The tag of a thread, as far as one moment tells: a step that is longer than the threshold
    /// already blocks its loop.
    #[must_use]
    pub fn tag(&self, thread: &ThreadSnapshot) -> Option<Tag> {
        let blocking = self.step_length(thread).is_some_and(|length| length >= self.meta.threshold);
        let state = self.tables.states.get(thread.state)?;
        Some(if blocking { Tag::EventLoopBlocking } else { state.tag })
    }
}
