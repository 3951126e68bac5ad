//! Waits for locks: what a thread waits for, who has it, and which threads wait for each other.

use serde::{Deserialize, Serialize};

use super::ids::{FrameId, Nanos, StateId, ThreadId};

/// The most different sights of held locks that are kept.
const MOST_LOCKS: usize = 4096;

/// What a thread waits for, as the program calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LockKind {
    /// `threading.Lock`.
    Lock,
    /// `threading.RLock`.
    RLock,
    /// `threading.Condition`: its signal, or its lock.
    Condition,
    /// `threading.Event`.
    Event,
    /// `threading.Semaphore`.
    Semaphore,
    /// `threading.Barrier`.
    Barrier,
    /// An item of a `queue.Queue`.
    QueueGet,
    /// Room in a `queue.Queue`.
    QueuePut,
    /// The last item's being done with.
    QueueJoin,
    /// An item of a `queue.SimpleQueue`.
    SimpleQueue,
    /// The end of a thread.
    ThreadJoin,
    /// The result of a `concurrent.futures.Future`.
    Future,
    /// A lock of `multiprocessing`: its owner is another process.
    ProcessLock,
    /// A module that another thread imports.
    Import,
    /// An object's own mutex (free-threaded builds).
    ObjectMutex,
    /// A lock of C code, or one that could not be found.
    Other,
}

impl LockKind {
    /// The stable name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lock => "Lock",
            Self::RLock => "RLock",
            Self::Condition => "Condition",
            Self::Event => "Event",
            Self::Semaphore => "Semaphore",
            Self::Barrier => "Barrier",
            Self::QueueGet => "Queue.get",
            Self::QueuePut => "Queue.put",
            Self::QueueJoin => "Queue.join",
            Self::SimpleQueue => "SimpleQueue",
            Self::ThreadJoin => "Thread.join",
            Self::Future => "Future.result",
            Self::ProcessLock => "process lock",
            Self::Import => "import lock",
            Self::ObjectMutex => "object mutex",
            Self::Other => "lock",
        }
    }
}

/// A thread's wait for a lock, a signal or another thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockWait {
    /// The thread that waits.
    pub thread: ThreadId,
    /// What it waits for.
    pub kind: LockKind,
    /// The object's address in the target; 0 when it was not found.
    pub object: u64,
    /// The name by which the waiting line reaches the object (`self.lock`), or else its type's.
    pub name: Box<str>,
    /// The line that waits: the innermost outside the library that implements the lock.
    pub site: Option<FrameId>,
    /// When it was first seen; it began earlier.
    pub since: Nanos,
    /// Whether it ends by itself after some time.
    pub timed: bool,
    /// Whether the thread was blocked, without a turn on a CPU, for as long as all was read.
    pub settled: bool,
    /// Who can end it.
    pub owners: Vec<LockOwner>,
}

/// Who can end a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockOwner {
    /// The thread; `None` when it has ended.
    pub thread: Option<ThreadId>,
    /// The line that took the lock, or that is at work on what is waited for.
    pub site: Option<FrameId>,
    /// Whether that is a fact. Else it is likely: evidence that could be out of date.
    pub certain: bool,
}

/// Threads that wait for each other for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlock {
    /// The waits of its threads, each of which waits for the next one's (the last for the first's),
    /// as far as a ring can be drawn. A single wait is for the thread itself, or for one that ended.
    pub ring: Vec<LockWait>,
    /// Threads outside the ring that wait for it, and so for ever too.
    pub victims: Vec<LockWait>,
}

impl Deadlock {
    /// Whether another is the same threads' wait for the same objects, whoever waits for them.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let ring = |of: &Self| -> Vec<_> {
            of.ring.iter().map(|wait| (wait.thread, wait.object)).collect()
        };
        ring(self) == ring(other)
    }
}

/// A lock that a thread waits for while another has it, as seen at one look.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeldLock {
    /// What the waiter calls it.
    pub kind: LockKind,
    /// The object's address in the target.
    pub object: u64,
    /// Its name at the waiting line.
    pub name: Box<str>,
    /// The line that waits.
    pub site: Option<FrameId>,
    /// The line that took it.
    pub owner_site: Option<FrameId>,
    /// What the thread that has it did then.
    pub owner_state: StateId,
}

/// What was seen of waits for locks in a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitNotes {
    /// How many times it was looked.
    pub looks: u32,
    /// The locks that had waiters, with the number of waiters of all looks together.
    pub held: Vec<(HeldLock, u32)>,
    /// Deadlocks.
    pub deadlocks: Vec<Deadlock>,
}

impl WaitNotes {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.looks == 0 && self.held.is_empty() && self.deadlocks.is_empty()
    }

    /// Adds what was seen at another time. The same again counts on.
    pub fn add(&mut self, more: Self) {
        self.looks = self.looks.saturating_add(more.looks);
        for (lock, waiters) in more.held {
            if let Some((_, sum)) = self.held.iter_mut().find(|(known, _)| *known == lock) {
                *sum = sum.saturating_add(waiters);
            } else if self.held.len() < MOST_LOCKS {
                self.held.push((lock, waiters));
            }
        }
        for deadlock in more.deadlocks {
            if !self.deadlocks.iter().any(|known| known.is_same(&deadlock)) {
                self.deadlocks.push(deadlock);
            }
        }
    }
}
