//! The models: what each costs, and what makes the move to it safe.

use schemars::JsonSchema;
use serde::Serialize;

/// What a program may do about its concurrency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
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
    /// Threads on a build of Python without the GIL.
    FreeThreaded,
    /// Interpreters with a GIL each, in one process.
    Subinterpreters,
    /// Larger pieces of work for each message to a pool's processes.
    LargerChunks,
    /// Less data in the messages to a pool's processes.
    SmallerMessages,
    /// Code outside the interpreter: C, Rust, a numeric library.
    Native,
    /// Take the call off the event loop, into an executor.
    OffloadToExecutor,
    /// Hold locks for less.
    ReduceLockScope,
    /// Bound how many operations are under way at once.
    BoundFanOut,
    /// Take locks in one order.
    FixDeadlock,
    /// Tell tasks and threads to end, and wait for them.
    CloseOnShutdown,
    /// End what is begun: tasks, threads, connections.
    FixLeak,
    /// Give the process more CPU.
    MoreCpus,
}

impl Model {
    /// All models.
    pub const ALL: [Self; 16] = [
        Self::Keep,
        Self::Asyncio,
        Self::Threads,
        Self::Processes,
        Self::Native,
        Self::OffloadToExecutor,
        Self::ReduceLockScope,
        Self::MoreCpus,
        Self::FreeThreaded,
        Self::Subinterpreters,
        Self::LargerChunks,
        Self::SmallerMessages,
        Self::BoundFanOut,
        Self::FixDeadlock,
        Self::CloseOnShutdown,
        Self::FixLeak,
    ];

    /// The stable name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Asyncio => "asyncio",
            Self::Threads => "threads",
            Self::Processes => "processes",
            Self::FreeThreaded => "free-threaded",
            Self::Subinterpreters => "subinterpreters",
            Self::LargerChunks => "larger-chunks",
            Self::SmallerMessages => "smaller-messages",
            Self::BoundFanOut => "bound-fan-out",
            Self::FixDeadlock => "fix-deadlock",
            Self::CloseOnShutdown => "close-on-shutdown",
            Self::FixLeak => "fix-leak",
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
            Self::FreeThreaded => "run the threads on a free-threaded build of Python",
            Self::Subinterpreters => "compute in several interpreters of one process",
            Self::LargerChunks => "send more work to the pool with each message",
            Self::SmallerMessages => "send less data to the pool and back",
            Self::BoundFanOut => "bound how many operations are under way at once",
            Self::FixDeadlock => "take the locks in one order",
            Self::CloseOnShutdown => "tell tasks and threads to end, and wait for them",
            Self::FixLeak => "end what is begun",
            Self::Native => "move the hot code out of Python",
            Self::OffloadToExecutor => "take the call off the event loop",
            Self::ReduceLockScope => "hold the lock for less",
            Self::MoreCpus => "give the process more CPU",
        }
    }

    /// What is to be done, in a sentence.
    pub(super) const fn step(self) -> &'static str {
        match self {
            Self::Asyncio => "Let the waits overlap, with a bound and a time limit for each.",
            Self::Threads => "Divide the work among a few threads.",
            Self::Processes => "Let processes compute the pieces.",
            Self::FreeThreaded => "Run it on a free-threaded build.",
            Self::Subinterpreters => "Let interpreters of one process compute the pieces.",
            Self::LargerChunks => "Send many items with each message.",
            Self::SmallerMessages => {
                "Send names instead of data, and let the workers load what they need."
            }
            Self::OffloadToExecutor => "Take the call off the loop.",
            Self::ReduceLockScope => {
                "Hold the lock for what it guards, and not for the waits around it."
            }
            Self::BoundFanOut => "Bound the fan-out, and limit the time of each.",
            Self::FixDeadlock => "Take the locks in one order everywhere.",
            Self::CloseOnShutdown => {
                "Tell the threads and tasks to end, and wait for them with a limit."
            }
            Self::FixLeak => "Own what is begun, so that it ends with its owner.",
            Self::Keep => "Nothing has to change.",
            Self::Native => "Move the hot function to C, Rust or a numeric library.",
            Self::MoreCpus => "Give the process the CPUs that its threads ask for.",
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
            Self::FreeThreaded => &[
                "A single thread is slower there: by a tenth (3.14) to a third (3.13).",
                "Extension modules have to be built for it; one that is not turns the GIL on again.",
                "Races that the GIL hid show: what threads share needs locks.",
            ],
            Self::Subinterpreters => &[
                "What is sent between them is copied, as between processes.",
                "Extension modules that were not written for it cannot be imported there.",
            ],
            Self::LargerChunks => &[
                "The last pieces end later: with few of them a worker may be without work at the end.",
                "A failed piece loses more work.",
            ],
            Self::SmallerMessages => &[
                "Workers that load their own data read it once each; what they share has to be in a file, a database or shared memory.",
                "Data in shared memory has to be freed by somebody.",
            ],
            Self::BoundFanOut => &[
                "What is over the bound waits here and not at the other end.",
                "The bound is one more number to choose, and to choose again when the other end changes.",
            ],
            Self::FixDeadlock => {
                &["One order of all locks is a rule that every new piece of code has to keep."]
            }
            Self::CloseOnShutdown => {
                &["Work that is under way is given up, or the end waits for it up to a limit."]
            }
            Self::FixLeak => &["Somebody has to own each task, thread and connection: code moves."],
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
            Self::FreeThreaded => &[
                "Check sys._is_gil_enabled() at the start, and after all imports.",
                "Run the tests with many threads there, and under a thread sanitiser where C code is your own.",
                "Keep the old build beside it; the same program runs on both.",
            ],
            Self::Subinterpreters => &[
                "Use concurrent.futures.InterpreterPoolExecutor (3.14) in a `with` block.",
                "Test that every module that the work imports can be imported there.",
            ],
            Self::LargerChunks => &[
                "Choose the chunk so that it takes 10 ms or more in the worker.",
                "Measure the share of pickling again after the change.",
            ],
            Self::SmallerMessages => &[
                "Compare with the same work done in this process: where a piece is cheaper than its message, that is faster.",
                "multiprocessing.shared_memory or a memory-mapped file for arrays; an initializer for what never changes.",
            ],
            Self::BoundFanOut => &[
                "Give every wait a timeout, so that one that hangs does not keep its permit for ever.",
                "Watch how many wait for a permit, and for how long.",
                "Test with ten times the usual number.",
            ],
            Self::FixDeadlock => &[
                "Give acquire() a timeout in the tests, and let a failure name the lock.",
                "Keep a thread dump (pyconc dump) at hand for the next time.",
            ],
            Self::CloseOnShutdown => &[
                "Test the end: start, work, SIGTERM, and count threads and tasks that are left.",
                "Give the wait for them a limit, and log who did not come.",
            ],
            Self::FixLeak => &[
                "Watch the number of tasks, threads and connections over time.",
                "Test that it is the same after a thousand operations as after one.",
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
