//! What the sampler saw of a thread, before anybody judged it.

use serde::{Deserialize, Serialize};

use super::ids::{DescriptorId, FunctionId, Nanos, StackId, ThreadId};
use super::lock::LockKind;
use super::tasks::LoopKind;

/// What the kernel says that a thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// On a CPU, or in a run queue.
    Running,
    /// Blocked in a system call, or in a page fault.
    Blocked(Wait),
    /// Stopped by a signal or held by a debugger.
    Stopped,
    /// The kernel does not tell: the text is the reason, fit for a user.
    Unreadable(&'static str),
}

/// A wait in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// What is waited for.
    pub kind: WaitKind,
    /// The system call's number on this machine; -1 outside any (a page fault).
    pub syscall: i64,
    /// Whether the wait ends by itself after some time.
    pub timed: bool,
    /// Whether the kernel calls the sleep uninterruptible (state `D`): a device is being waited for.
    pub uninterruptible: bool,
}

/// What a blocked thread waits for, as far as the kernel's arguments tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitKind {
    /// A futex: a lock of some kind, the GIL among them.
    Futex {
        /// The word in the target's memory.
        address: u64,
        /// The thread's stack pointer at the call.
        stack_pointer: u64,
        /// Whether the futex may be shared with other processes.
        shared: bool,
    },
    /// A clock.
    Sleep,
    /// A clock, by `usleep` or `nanosleep` of C code: Python's own sleep calls otherwise.
    NativeSleep,
    /// A child process.
    Child,
    /// A selector (epoll, poll, select). `epoll` is the descriptor for epoll, `watched` the one
    /// that poll or select watches when it watches exactly one.
    Select {
        /// The epoll instance's number.
        epoll: Option<i32>,
        /// The single descriptor that is watched.
        watched: Option<DescriptorId>,
    },
    /// One descriptor.
    Descriptor {
        /// What is done with it.
        operation: Operation,
        /// The descriptor, resolved.
        descriptor: DescriptorId,
    },
    /// A path, or a whole file system (open, stat, rename, sync, …).
    FileSystem,
    /// A page of memory that is not resident.
    PageFault,
    /// A signal (`pause`, `sigwait`, …).
    Signal,
    /// Any other system call.
    Other,
}

/// What is done with a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Reads or receives.
    Read,
    /// Writes or sends.
    Write,
    /// Accepts a connection.
    Accept,
    /// Opens a connection.
    Connect,
    /// Waits for a file lock (`flock`, `fcntl`).
    Lock,
    /// Flushes to the device (`fsync`, …).
    Sync,
    /// Anything else.
    Control,
}

/// How a thread stands to its interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// Has the GIL; on a free-threaded build: is attached.
    Holder,
    /// Has a thread state, but neither the GIL nor, when free-threaded, an attachment.
    Detached,
    /// In the kernel waiting for the GIL itself.
    GilWaiter,
    /// Was waiting for the GIL when last seen and has used next to no CPU time since, or says so
    /// itself: woken to try again.
    WokenGilWaiter,
    /// Free-threaded: suspended because another thread stopped the world.
    Suspended,
    /// Has no thread state: not a Python thread.
    Foreign,
    /// Could not be read.
    Unknown,
}

/// What the scheduler gave a thread since its previous sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuDelta {
    /// Time between the two samples.
    pub elapsed: Nanos,
    /// Time on a CPU. The kernel updates it at ticks and switches, so it may lag by a tick.
    pub ran: Nanos,
    /// Time ready in a run queue.
    pub queued: Nanos,
    /// How often the thread was put on a CPU.
    pub switches: u64,
    /// Whether this is the account of an earlier sample once more: the kernel is not asked at each.
    pub repeated: bool,
}

/// One turn of an event loop's callbacks: from the selector's return, or from the previous
/// callback's end, to this callback's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Differs between any two steps of one thread.
    pub key: u64,
    /// When the step began.
    pub started: Nanos,
    /// When it began at the earliest; `started` itself when that is exact.
    pub earliest: Nanos,
    /// Whether `started` is the loop's own reading of the clock and not an estimate.
    pub exact: bool,
}

/// What was learnt of a step that lasted long enough to be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepNews {
    /// The thread that runs the loop.
    pub thread: ThreadId,
    /// The step's, as in [`Step`].
    pub key: u64,
    /// The task that it is a step of; `None` for a plain callback, and where it could not be told.
    pub task: Option<StepTask>,
    /// Who is kept waiting by it, where its loop tells.
    pub kept: Option<Kept>,
}

/// The task that a step of an event loop belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StepTask {
    /// Its name.
    pub name: Box<str>,
    /// The function that its coroutine is made from.
    pub coroutine: Option<FunctionId>,
}

/// What an event loop would do if its step were over; the most that was seen during the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kept {
    /// Callbacks that are ready, those of tasks among them.
    pub ready: u32,
    /// Timers that are overdue; `None` where the loop does not let them be read.
    pub overdue: Option<u32>,
}

impl Kept {
    /// The greater numbers of both.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { ready: self.ready.max(other.ready), overdue: self.overdue.max(other.overdue) }
    }
}

/// What the memory of a thread's running event loop says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopEvidence {
    /// What loop it is.
    pub kind: LoopKind,
    /// The epoll instance of the loop's own selector.
    pub epoll: Option<i32>,
    /// The step that the loop is in; `None` when no callback runs.
    pub step: Option<Step>,
    /// Its tasks, of a loop that is not asyncio's and tells them.
    pub tasks: Option<u32>,
}

/// Why a thread's sample could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The memory changed while it was read, again at every retry.
    Torn,
    /// A pointer led nowhere.
    Unreadable,
    /// What was read is not what it should be.
    Invalid,
}

/// One thread at one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadSample {
    /// The thread.
    pub thread: ThreadId,
    /// Its Python stack.
    pub stack: StackId,
    /// The kernel's word.
    pub activity: Activity,
    /// The interpreter's word.
    pub attachment: Attachment,
    /// Whether it has the GIL, or is attached, while its interpreter collects garbage: it is the one
    /// that does it, but for finalizers that let others run.
    pub collecting: bool,
    /// The scheduler's word.
    pub cpu: CpuDelta,
    /// The event loop's word, when the thread runs one.
    pub event_loop: Option<LoopEvidence>,
    /// When it was first seen in the wait that it is in, without a turn on a CPU since; the sample's
    /// own time when it is in none.
    pub since: Nanos,
    /// What it waits for in its futex, once that was looked at.
    pub awaits: Option<LockKind>,
    /// Of a thread that waits for the GIL: the thread that had it, where one was seen to.
    pub gil_holder: Option<ThreadId>,
}

/// All threads of a process at one tick.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// When reading began.
    pub time: Nanos,
    /// How long after its planned time reading began.
    pub late: Nanos,
    /// The threads that could be read.
    pub threads: Vec<ThreadSample>,
    /// The threads that could not.
    pub failures: Vec<(ThreadId, Failure)>,
    /// What was learnt of the steps that their loops are in.
    pub steps: Vec<StepNews>,
}
