//! Waits for locks: what a thread waits for, who has it, and which threads wait for each other.

use serde::{Deserialize, Serialize};

use super::ids::{FrameId, Nanos, ThreadId};

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
    /// Whether the thread was blocked, without a turn on a CPU, for as long as all was read. Only
    /// looked at where somebody can end the wait.
    pub settled: bool,
    /// Who can end it.
    pub owners: Vec<LockOwner>,
}

impl LockWait {
    /// What is waited for.
    #[must_use]
    pub fn lock(&self) -> Lock {
        Lock { kind: self.kind, object: self.object, name: self.name.clone() }
    }
}

/// Something that threads wait for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lock {
    /// What its users call it.
    pub kind: LockKind,
    /// The object's address in the target; 0 when it was not found.
    pub object: u64,
    /// Its name at the line of a waiter.
    pub name: Box<str>,
}

impl Lock {
    /// Whether two sights are of one object. Its name may differ from line to line.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.kind, self.object) == (other.kind, other.object)
    }
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
    /// Whether that is a fact. Else some owner is merely likely, and the threads have not moved for
    /// a while.
    pub certain: bool,
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

    /// Whether another is the very same waits.
    #[must_use]
    pub fn goes_on(&self, other: &Self) -> bool {
        let since = |of: &Self| -> Vec<_> { of.ring.iter().map(|wait| wait.since).collect() };
        self.is_same(other) && since(self) == since(other)
    }
}
