//! The event loops of a process and their tasks at one moment: who runs, who waits, and for whom.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::awaited::{AwaitKind, Awaited};
use super::ids::{Address, Nanos, StackId, Tid};

/// All event loops and tasks of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tasks {
    /// The loops: those that run, and those that have tasks.
    pub loops: Vec<EventLoopInfo>,
    /// The tasks. They name each other, and their loop, by index.
    pub tasks: Vec<Task>,
    /// The queues that tasks have at hand, as far as some task of each kind shows them.
    pub queues: Vec<QueueInfo>,
    /// The await chains of tasks that take what they do from a queue.
    pub workers: BTreeSet<StackId>,
    /// Tasks that were listed and could not be read, mostly because they ended meanwhile.
    pub missed: u32,
    /// Whether there are more than were read.
    pub truncated: bool,
}

/// An event loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLoopInfo {
    /// Where it lies.
    pub address: Address,
    /// The thread that runs it; `None` when it is not running.
    pub tid: Option<Tid>,
    /// What it is.
    pub kind: LoopKind,
    /// The name of its type.
    pub type_name: Box<str>,
    /// The task that it is running, by its index.
    pub current: Option<u32>,
    /// Callbacks that are ready to be run.
    pub ready: Option<u64>,
    /// Timers that have not fired, cancelled ones among them.
    pub timers: Option<u64>,
    /// Whether it is in debug mode, as far as it lets that be read.
    pub debug: bool,
}

/// A family of event loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoopKind {
    /// asyncio's own.
    Asyncio,
    /// uvloop's.
    Uvloop,
    /// Any other.
    Other,
    /// trio's.
    Trio,
    /// gevent's hub.
    Gevent,
}

impl LoopKind {
    /// The stable name that files use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asyncio => "asyncio",
            Self::Uvloop => "uvloop",
            Self::Other => "other",
            Self::Trio => "trio",
            Self::Gevent => "gevent",
        }
    }
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Where it lies.
    pub address: Address,
    /// Its name.
    pub name: Box<str>,
    /// What it does.
    pub state: TaskState,
    /// Its loop, by its index.
    pub event_loop: Option<u32>,
    /// What it awaits: its coroutine, outermost, down to the function that waits. For a task that
    /// runs, down to the function that is called at the moment.
    pub chain: StackId,
    /// What the innermost function waits for.
    pub awaits: Option<Awaited>,
    /// Who waits for it, by what means.
    pub awaited_by: Vec<Awaiter>,
    /// How often it was asked to be cancelled and has not said that it took notice (3.11+; before,
    /// 1 from the request to its delivery).
    pub cancel_requests: u32,
    /// When the nearest time limit of its own runs out, on the loop's clock, or
    /// [`UNTOLD_DEADLINE`]; see [`Tasks::deadline`] for one that it inherits.
    pub deadline: Option<Nanos>,
    /// The locks and semaphores that its `async with` blocks hold.
    pub holds: Vec<Address>,
    /// What it is in that nobody looks after.
    pub plight: Option<Plight>,
}

/// What becomes of tasks that nobody looks after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plight {
    /// It waits; no task waits for it and nothing but its own wake-up refers to it.
    Orphan,
    /// It runs on though the `gather` that it was given to has raised.
    LeftByGather,
    /// It has failed, and nobody has asked for its exception.
    Unretrieved {
        /// The exception's type; empty when it could not be told.
        exception: Box<str>,
        /// Whether a function that is not over has the task in a variable, and may await it yet.
        at_hand: bool,
    },
}

impl Plight {
    /// The stable name that files use.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Orphan => "orphan",
            Self::LeftByGather => "left-by-gather",
            Self::Unretrieved { .. } => "unretrieved-exception",
        }
    }
}

/// An `asyncio.Queue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueInfo {
    /// Where it lies.
    pub object: Address,
    /// The variable that leads to it.
    pub name: Box<str>,
    /// Its items.
    pub size: u32,
    /// The most that it takes; 0 for any number.
    pub limit: u32,
    /// The await chain of a task that has it.
    pub chain: StackId,
}

/// Tasks that wait in a circle: each for the next, the last for the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskCircle {
    /// The tasks by their indices, the smallest first; each with the lock that it waits for, when
    /// it is one that the next one holds.
    pub members: Vec<(u32, Option<Address>)>,
    /// Whether a time limit of one of them will break it.
    pub expires: bool,
}

/// There is a time limit, and its time cannot be told: uvloop's timers are Cython's.
pub const UNTOLD_DEADLINE: Nanos = Nanos(u64::MAX);

/// What a task does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// Its loop runs it.
    Running,
    /// Its loop will run it as soon as it can.
    Ready,
    /// It waits.
    Waiting,
    /// It waits, or is ready, and was asked to be cancelled.
    Cancelling,
    /// It has ended.
    Done,
}

impl TaskState {
    /// The stable name that files use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::Cancelling => "cancelling",
            Self::Done => "done",
        }
    }
}

/// A task that waits for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Awaiter {
    /// Its index.
    pub task: u32,
    /// How it waits.
    pub relation: Relation,
}

/// By what means a task waits for another one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// A plain `await`.
    Await,
    /// `gather`.
    Gather,
    /// `shield`.
    Shield,
    /// `wait_for` (a task of its own up to 3.11).
    WaitFor,
    /// `wait`.
    Wait,
    /// A `TaskGroup`.
    TaskGroup,
}

impl Relation {
    /// The stable name that files use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Await => "await",
            Self::Gather => "gather",
            Self::Shield => "shield",
            Self::WaitFor => "wait-for",
            Self::Wait => "wait",
            Self::TaskGroup => "task-group",
        }
    }
}

impl Tasks {
    /// The task of an index.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&Task> {
        self.tasks.get(index as usize)
    }

    /// For each task, by index, the tasks that it waits for.
    #[must_use]
    pub fn awaited(&self) -> Vec<Vec<u32>> {
        let mut awaited = vec![Vec::new(); self.tasks.len()];
        for (index, task) in self.tasks.iter().enumerate() {
            for awaiter in &task.awaited_by {
                if let Some(list) = awaited.get_mut(awaiter.task as usize) {
                    list.push(u32::try_from(index).unwrap_or(u32::MAX));
                }
            }
        }
        awaited
    }

    /// Whether a task that waits for others with `wait`, for this one among them, has a limit of
    /// time, or waits for a sleep as well: then it goes on after it, and may end the others.
    #[must_use]
    pub fn races(&self, index: u32) -> bool {
        let by_wait = |task: &Task| {
            let awaiters = task.awaited_by.iter();
            awaiters.filter(|it| it.relation == Relation::Wait).map(|it| it.task).next()
        };
        let Some(parent) = self.get(index).and_then(by_wait) else { return false };
        let sleeps = |task: &Task| {
            let sleep = task.awaits.as_ref().is_some_and(|it| it.kind == AwaitKind::Sleep);
            sleep && by_wait(task) == Some(parent)
        };
        self.deadline(parent).is_some() || self.tasks.iter().any(sleeps)
    }

    /// When the time of a task runs out: by a limit of its own or of one that waits for it, and
    /// would then cancel it; `None` when nothing ever ends its wait.
    #[must_use]
    pub fn deadline(&self, index: u32) -> Option<Nanos> {
        /// No program nests limits as deep; a cycle ends here too.
        const DEEPEST: usize = 64;
        let mut nearest: Option<Nanos> = None;
        let mut next = self.get(index);
        for _ in 0..DEEPEST {
            let Some(task) = next else { break };
            nearest = match (nearest, task.deadline) {
                (Some(known), Some(own)) => Some(known.min(own)),
                (known, own) => known.or(own),
            };
            // A shield keeps a cancellation off, and a wait does not cancel what it waits for.
            next = match &*task.awaited_by {
                [awaiter] if !matches!(awaiter.relation, Relation::Shield | Relation::Wait) => {
                    self.get(awaiter.task)
                }
                _ => None,
            };
        }
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::{Awaiter, Relation, Task, TaskState, Tasks};
    use crate::model::{Address, Nanos, StackId};

    fn task(awaited_by: &[(u32, Relation)], deadline: Option<u64>) -> Task {
        Task {
            address: Address(1),
            name: "t".into(),
            state: TaskState::Waiting,
            event_loop: None,
            chain: StackId::EMPTY,
            awaits: None,
            awaited_by: awaited_by
                .iter()
                .map(|&(task, relation)| Awaiter { task, relation })
                .collect(),
            cancel_requests: 0,
            deadline: deadline.map(Nanos),
            holds: Vec::new(),
            plight: None,
        }
    }

    #[test]
    fn a_deadline_is_inherited_but_not_through_a_shield() {
        let tasks = Tasks {
            tasks: vec![
                task(&[], Some(9)),
                task(&[(0, Relation::TaskGroup)], None),
                task(&[(1, Relation::Await)], Some(20)),
                task(&[(0, Relation::Shield)], None),
                task(&[(5, Relation::Await)], None),
                task(&[(4, Relation::Await)], None),
            ],
            ..Tasks::default()
        };
        let deadlines: Vec<_> = (0..7).map(|index| tasks.deadline(index)).collect();
        let nine = Some(Nanos(9));
        assert_eq!(deadlines, [nine, nine, nine, None, None, None, None]);
        assert_eq!(tasks.awaited()[0], [1, 3]);
    }
}
