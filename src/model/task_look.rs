//! What one look at the tasks of a process saw, in a form whose size does not follow their number.

use serde::{Deserialize, Serialize};

use super::awaited::AwaitKind;
use super::ids::{FunctionId, Nanos, StackId, Tid};
use super::tasks::{LoopKind, Plight, Relation, TaskState};

/// One look at all tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLook {
    /// When.
    pub time: Nanos,
    /// The CPU time that it took.
    pub took: Nanos,
    /// Whether nothing could be read: the lists of tasks changed at every attempt, or the process
    /// had ended. All else is empty then.
    pub failed: bool,
    /// The tasks that were not done.
    pub tasks: u64,
    /// Tasks that could not be read, mostly because they ended meanwhile.
    pub missed: u32,
    /// The tasks, with those that are alike as one.
    pub groups: Vec<(TaskGroup, TaskCount)>,
    /// How many tasks came and went since the look before, by the function of their coroutine.
    pub turnover: Vec<(FunctionId, Turnover)>,
    /// Tasks that are in something that they may not get out of, those that are alike as one.
    pub sights: Vec<(TaskSight, SightCount)>,
    /// Deadlocks of tasks.
    pub deadlocks: Vec<TaskDeadlock>,
    /// The loops.
    pub loops: Vec<LoopSight>,
    /// The queues that tasks have at hand.
    pub queues: Vec<QueueSight>,
    /// The connections that the process has opened, by their other end.
    pub connections: Vec<ConnectionSight>,
    /// Whose answers tasks wait for.
    pub network: NetworkSight,
}

impl TaskLook {
    /// The stacks that it names, some of them more than once.
    #[must_use]
    pub fn stacks(&self) -> Vec<StackId> {
        let parents = |(group, _): &(TaskGroup, TaskCount)| group.parent.map(|(_, chain)| chain);
        let groups = self.groups.iter();
        let mut found: Vec<StackId> = groups.clone().map(|(group, _)| group.chain).collect();
        found.extend(groups.filter_map(parents));
        found.extend(self.sights.iter().map(|(sight, _)| sight.chain));
        found.extend(self.deadlocks.iter().flat_map(|it| &it.members).map(|it| it.chain));
        found.extend(self.queues.iter().map(|queue| queue.chain));
        found
    }

    /// The functions that it names.
    #[must_use]
    pub fn functions(&self) -> Vec<FunctionId> {
        let mut found: Vec<_> = self.turnover.iter().map(|(function, _)| *function).collect();
        found.extend(self.sights.iter().filter_map(|(sight, _)| sight.coroutine));
        found
    }

    /// Gives all ids their meaning in other tables.
    pub fn rename(&mut self, stack: impl Fn(&mut StackId), function: impl Fn(&mut FunctionId)) {
        for (group, _) in &mut self.groups {
            stack(&mut group.chain);
            if let Some((_, parent)) = &mut group.parent {
                stack(parent);
            }
        }
        for (id, _) in &mut self.turnover {
            function(id);
        }
        for (sight, _) in &mut self.sights {
            stack(&mut sight.chain);
            if let Some(coroutine) = &mut sight.coroutine {
                function(coroutine);
            }
        }
        self.queues.iter_mut().for_each(|queue| stack(&mut queue.chain));
        for member in self.deadlocks.iter_mut().flat_map(|it| &mut it.members) {
            stack(&mut member.chain);
        }
    }
}

/// What tasks that are alike have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskGroup {
    /// Their await chain.
    pub chain: StackId,
    /// What they do.
    pub state: TaskState,
    /// What they wait for.
    pub awaits: Option<AwaitKind>,
    /// How the task waits for them that does, and its await chain.
    pub parent: Option<(Relation, StackId)>,
}

/// How many tasks of a group there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCount {
    /// All of them.
    pub tasks: u32,
    /// The most that one parent waits for.
    pub width: u32,
    /// How many wait for the same object, at most: the same lock, semaphore or queue.
    pub same_object: u32,
    /// Whether they take what they do from a queue.
    pub workers: bool,
    /// Since when the oldest of them has been there, as far as the looks saw it.
    pub oldest: Nanos,
}

/// Whose answers the tasks wait for that may wait for a peer's. Where they are many, some of them are
/// asked, evenly chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSight {
    /// How many tasks may wait for a peer.
    pub tasks: u32,
    /// How many of them were asked.
    pub asked: u32,
    /// Of those: how many wait for a client's next request.
    pub requests: u32,
    /// Of those: how many wait for a server's answer, by its address. The others are not known.
    pub answers: Vec<(Box<str>, u32)>,
}

impl NetworkSight {
    /// Adds tasks, none of asyncio's, that wait for servers' answers.
    pub fn add_answers(&mut self, answers: Vec<(Box<str>, u32)>) {
        let more = answers.iter().fold(0u32, |sum, (_, tasks)| sum.saturating_add(*tasks));
        self.tasks = self.tasks.saturating_add(more);
        self.asked = self.asked.saturating_add(more);
        self.answers.extend(answers);
    }
}

/// How many tasks came and went between two looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turnover {
    /// Those that are there.
    pub alive: u32,
    /// Those of them that were not there before.
    pub born: u32,
    /// Those that are not there any more.
    pub ended: u32,
}

/// Something that tasks are in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskTrouble {
    /// Nobody looks after them.
    Plight(Plight),
    /// They are pending, and their loop does not run.
    Stopped,
    /// They were asked to be cancelled and have not ended.
    Cancelling,
    /// They wait for a peer with no limit of time: theirs is the client's side where that could be
    /// told (`peer` is its address then).
    NoDeadline {
        /// The other end, as far as known.
        peer: Option<Box<str>>,
    },
}

/// Tasks that are alike and in the same trouble.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskSight {
    /// What they are in.
    pub trouble: TaskTrouble,
    /// The function of their coroutine.
    pub coroutine: Option<FunctionId>,
    /// Their await chain.
    pub chain: StackId,
    /// What they wait for.
    pub awaits: Option<AwaitKind>,
}

/// How many they are, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightCount {
    /// How many.
    pub tasks: u32,
    /// Since when the first of them was seen in it.
    pub since: Nanos,
    /// The name of that one.
    pub name: Box<str>,
}

/// Tasks that wait for each other in a circle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskDeadlock {
    /// The members, each waiting for the next and the last for the first.
    pub members: Vec<StuckTask>,
    /// Whether a time limit of one of them will break it.
    pub expires: bool,
}

/// A task in a deadlock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StuckTask {
    /// Its name.
    pub name: Box<str>,
    /// Its await chain.
    pub chain: StackId,
    /// Whether it waits for a lock that the next one holds, and not for the next one itself.
    pub for_lock: bool,
}

/// A queue of asyncio at a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSight {
    /// Where it lies.
    pub object: u64,
    /// The variable that leads to it.
    pub name: Box<str>,
    /// Its items.
    pub size: u32,
    /// The most that it takes; 0 for any number.
    pub limit: u32,
    /// The await chain of a task that has it.
    pub chain: StackId,
}

/// The connections to one peer at a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionSight {
    /// The peer's address.
    pub peer: Box<str>,
    /// Those that are open.
    pub open: u32,
    /// Those of them that the peer has closed.
    pub half_closed: u32,
}

/// A loop at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopSight {
    /// The thread that runs it; `None` when it does not run.
    pub tid: Option<Tid>,
    /// What loop it is.
    pub kind: LoopKind,
    /// Whether it is in debug mode.
    pub debug: bool,
    /// Its tasks.
    pub tasks: u32,
    /// Its timers.
    pub timers: Option<u64>,
}
