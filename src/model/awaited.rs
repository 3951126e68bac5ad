//! What a task of asyncio waits for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{Address, DescriptorId, Nanos, Tid};

/// What a task waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// What kind of thing it is.
    pub kind: AwaitKind,
    /// The object: the lock, the queue, the task, the future.
    pub object: Address,
    /// The name of its type.
    pub type_name: Box<str>,
    /// When a sleep ends, on the loop's clock.
    pub until: Option<Nanos>,
    /// Of a future, and of an event that a library waits for, the object whose method waits for it;
    /// null where there is none.
    pub via: Address,
    /// What has become of a job in an executor.
    pub job: Option<Job>,
    /// The socket behind it, where it was asked for and found.
    pub descriptor: Option<DescriptorId>,
}

impl Awaited {
    /// Whether it may be for a peer to end the wait.
    #[must_use]
    pub const fn may_have_peer(&self) -> bool {
        match self.kind {
            AwaitKind::Stream | AwaitKind::Socket | AwaitKind::Future | AwaitKind::Other => true,
            AwaitKind::Event => !self.via.is_null(),
            _ => false,
        }
    }
}

/// What has become of a job that a task gave to an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// It waits for a worker.
    Queued,
    /// A thread of this process is at it.
    InThread(Tid),
    /// It has left the queue, and no thread of this process is at it: a process's turn.
    Elsewhere,
}

impl Job {
    /// The stable name that files use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InThread(_) => "in-thread",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// Kinds of things that tasks wait for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum AwaitKind {
    /// A time.
    Sleep,
    /// `asyncio.Lock`.
    Lock,
    /// `asyncio.Event`.
    Event,
    /// `asyncio.Condition`.
    Condition,
    /// `asyncio.Semaphore`.
    Semaphore,
    /// `asyncio.Barrier`.
    Barrier,
    /// `asyncio.Queue`.
    Queue,
    /// A stream's bytes.
    Stream,
    /// A socket, by the loop's own methods.
    Socket,
    /// A subprocess.
    Subprocess,
    /// A job in a pool of threads or processes.
    Executor,
    /// Another task.
    Task,
    /// All of `gather`.
    Gather,
    /// Some of `wait`, or the first of `as_completed`.
    Wait,
    /// The tasks of a `TaskGroup`.
    TaskGroup,
    /// A future of unknown purpose.
    Future,
    /// Any other awaitable.
    Other,
}

impl AwaitKind {
    /// The stable name that files use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Lock => "lock",
            Self::Event => "event",
            Self::Condition => "condition",
            Self::Semaphore => "semaphore",
            Self::Barrier => "barrier",
            Self::Queue => "queue",
            Self::Stream => "stream",
            Self::Socket => "socket",
            Self::Subprocess => "subprocess",
            Self::Executor => "executor",
            Self::Task => "task",
            Self::Gather => "gather",
            Self::Wait => "wait",
            Self::TaskGroup => "task-group",
            Self::Future => "future",
            Self::Other => "other",
        }
    }
}
