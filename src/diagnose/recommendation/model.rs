//! The models: what each costs, and what makes the move to it safe.

use serde::Serialize;

/// What a program may do about its concurrency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// Leave it as it is.
    Keep,
    /// Tasks on an event loop, and asynchronous libraries.
    Asyncio,
    /// Threads.
    Threads,
    /// Processes.
    Processes,
    /// Code outside the interpreter: C, Rust, a numeric library.
    Native,
    /// Take the call off the event loop, into an executor.
    OffloadToExecutor,
    /// Hold locks for less.
    ReduceLockScope,
    /// Give the process more CPU.
    MoreCpus,
}

impl Model {
    /// The stable name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Asyncio => "asyncio",
            Self::Threads => "threads",
            Self::Processes => "processes",
            Self::Native => "native",
            Self::OffloadToExecutor => "offload-to-executor",
            Self::ReduceLockScope => "reduce-lock-scope",
            Self::MoreCpus => "more-cpus",
        }
    }

    /// What it means, in a few words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Keep => "leave the concurrency model as it is",
            Self::Asyncio => "wait with asyncio, in tasks",
            Self::Threads => "use threads",
            Self::Processes => "compute in several processes",
            Self::Native => "move the hot code out of Python",
            Self::OffloadToExecutor => "take the call off the event loop",
            Self::ReduceLockScope => "hold the lock for less",
            Self::MoreCpus => "give the process more CPU",
        }
    }

    /// What it costs.
    pub(super) const fn tradeoffs(self) -> &'static [&'static str] {
        match self {
            Self::Keep => &[],
            Self::Asyncio => &[
                "Every call on the way has to be asynchronous; one that blocks stops all tasks.",
                "Code that is called from both worlds has to exist twice, or be wrapped.",
            ],
            Self::Threads => &[
                "Shared data needs locks; a thread cannot be cancelled from outside.",
                "Each thread takes memory for its stack; thousands are better served by asyncio.",
            ],
            Self::Processes => &[
                "Arguments and results are copied (pickled) between processes.",
                "Each process takes the memory of an interpreter and its imports.",
            ],
            Self::Native => &[
                "A second language, or a library, to build and to debug.",
                "Data has to be held in a form that the native code can use without conversion.",
            ],
            Self::OffloadToExecutor => &[
                "The call then runs at the same time as the loop's other tasks: what they share needs care.",
                "A call in a thread cannot be cancelled; it ends when it ends.",
            ],
            Self::ReduceLockScope => &[
                "Between two smaller blocks another thread may change what was read: check again.",
                "Several locks need one fixed order, or they deadlock.",
            ],
            Self::MoreCpus => &["It costs money and changes nothing in the program."],
        }
    }

    /// What makes the change safe: tests, observability, migration, rollback.
    pub(super) const fn controls(self) -> &'static [&'static str] {
        match self {
            Self::Keep => &[],
            Self::Asyncio => &[
                "Bound the fan-out with a Semaphore, give every wait a timeout (asyncio.timeout).",
                "Own the tasks in a TaskGroup, so that an error cancels and none is left behind.",
                "Test cancellation and shutdown; run the tests with asyncio's debug mode.",
                "Move one path at a time, behind a switch that leads back.",
            ],
            Self::Threads => &[
                "Use a ThreadPoolExecutor of fixed size in a `with` block, so that no thread outlives it.",
                "Give every wait a timeout; share data through queues.",
                "Test with more threads than will be used.",
            ],
            Self::Processes => &[
                "Use a ProcessPoolExecutor in a `with` block; start processes by spawn or forkserver, not by fork with threads.",
                "Send large pieces of work; measure the share of pickling.",
                "Test that arguments and results can be pickled, and what happens when a worker dies.",
            ],
            Self::Native => &[
                "Keep the Python version as the reference in the tests.",
                "Measure first which function is worth it (pyconc export -f flamegraph).",
            ],
            Self::OffloadToExecutor => &[
                "Bound the executor; watch the length of its queue.",
                "Give the await a timeout, and test what happens when it fires.",
                "Shut the executor down with the loop.",
            ],
            Self::ReduceLockScope => &[
                "Test with many threads and a short switch interval (sys.setswitchinterval).",
                "Write down which data a lock guards.",
            ],
            Self::MoreCpus => {
                &["Record again on the larger machine before the program is changed."]
            }
        }
    }
}
