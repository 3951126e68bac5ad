//! The looks at the tasks, counted.

use rustc_hash::FxHashMap;

use super::task_waits::TaskWaits;
use crate::model::{
    FunctionId, LoopSight, Nanos, StackId, TaskDeadlock, TaskGroup, TaskLook, TaskSight,
    TaskTrouble,
};

/// Groups, coroutines, sights and deadlocks that are told apart.
const MOST: usize = 1 << 16;
/// Numbers that are kept of a series; beyond it every other one is left out.
const MOST_POINTS: usize = 1 << 10;

/// What the looks at the tasks of a process saw.
#[derive(Debug, Clone, Default)]
pub struct TaskProfile {
    /// How many looks there were that saw the tasks.
    pub looks: u64,
    /// How many could not read them.
    pub failed: u64,
    /// The first look.
    pub first: Nanos,
    /// The last look.
    pub last: Nanos,
    /// The most tasks at a look.
    pub most: u64,
    /// The tasks at the first look.
    pub at_first: u64,
    /// The tasks at the last look.
    pub tasks: u64,
    /// The tasks over time.
    pub alive: Series,
    /// The tasks at each look, added up.
    pub sum: u64,
    /// Tasks that could not be read, added up.
    pub missed: u64,
    /// Tasks that are alike.
    pub groups: FxHashMap<TaskGroup, GroupProfile>,
    /// The tasks of each coroutine.
    pub coroutines: FxHashMap<FunctionId, CoroutineProfile>,
    /// Tasks in trouble.
    pub sights: FxHashMap<TaskSight, SightProfile>,
    /// Deadlocks, each with the number of looks that saw it and the last of them.
    pub deadlocks: FxHashMap<TaskDeadlock, (u64, Nanos)>,
    /// The loops at the last look.
    pub loops: Vec<LoopSight>,
    /// The queues, by their addresses.
    pub queues: FxHashMap<u64, QueueProfile>,
    /// The connections that the process has opened, by their other end.
    pub connections: FxHashMap<Box<str>, ConnectionProfile>,
    /// What the tasks wait for.
    pub waits: TaskWaits,
}

/// The connections to one peer.
#[derive(Debug, Clone, Default)]
pub struct ConnectionProfile {
    /// Those that are open.
    pub open: Series,
    /// Those of them that the peer has closed.
    pub half_closed: Series,
}

/// Tasks that are alike.
#[derive(Debug, Clone, Copy, Default)]
pub struct GroupProfile {
    /// At how many looks there were any.
    pub looks: u64,
    /// Their number at each look, added up.
    pub tasks: u64,
    /// The time that they spent so, added up over the tasks.
    pub time: Nanos,
    /// The most at a look.
    pub most: u32,
    /// The most that one parent waited for.
    pub width: u32,
    /// The most that waited for the same object.
    pub same_object: u32,
    /// Whether they take what they do from a queue.
    pub workers: bool,
    /// The longest that one of them was seen to be there.
    pub oldest: Nanos,
}

/// The tasks of one coroutine.
#[derive(Debug, Clone, Default)]
pub struct CoroutineProfile {
    /// Their number.
    pub alive: Series,
    /// How many came while it was looked.
    pub born: u64,
    /// How many went.
    pub ended: u64,
}

/// A queue of asyncio.
#[derive(Debug, Clone, Default)]
pub struct QueueProfile {
    /// The variable that leads to it.
    pub name: Box<str>,
    /// The most that it takes; 0 for any number.
    pub limit: u32,
    /// Its items.
    pub size: Series,
    /// The await chain of a task that has it.
    pub chain: StackId,
}

/// A number at some of the looks, evenly chosen, in the order of time.
#[derive(Debug, Clone, Default)]
pub struct Series {
    points: Vec<(Nanos, u32)>,
    /// How many looks one number stands for, and how many were left out since the last.
    stride: u32,
    skipped: u32,
}

/// Tasks that are alike and in the same trouble.
#[derive(Debug, Clone, Default)]
pub struct SightProfile {
    /// At how many looks.
    pub looks: u64,
    /// The most at a look.
    pub most: u32,
    /// How many there were at the last look that saw any.
    pub tasks: u32,
    /// The longest that one of them was in it.
    pub longest: Nanos,
    /// The name of that one.
    pub name: Box<str>,
    /// The last look that saw it.
    pub last: Nanos,
}

impl TaskProfile {
    /// Counts a look.
    pub(super) fn add(&mut self, look: &TaskLook) {
        if look.failed {
            self.failed += 1;
            return;
        }
        let span = if self.looks == 0 { Nanos(0) } else { look.time.since(self.last) };
        if self.looks == 0 {
            self.first = look.time;
            self.at_first = look.tasks;
        }
        self.looks += 1;
        self.last = look.time;
        self.most = self.most.max(look.tasks);
        self.tasks = look.tasks;
        self.alive.add(look.time, u32::try_from(look.tasks).unwrap_or(u32::MAX));
        self.sum = self.sum.saturating_add(look.tasks);
        self.missed = self.missed.saturating_add(u64::from(look.missed));
        for (group, count) in &look.groups {
            let Some(known) = entry(&mut self.groups, group) else { continue };
            known.looks += 1;
            known.tasks += u64::from(count.tasks);
            known.time.add(Nanos(span.0.saturating_mul(u64::from(count.tasks))));
            known.most = known.most.max(count.tasks);
            known.width = known.width.max(count.width);
            known.same_object = known.same_object.max(count.same_object);
            known.workers |= count.workers;
            known.oldest = known.oldest.max(look.time.since(count.oldest));
        }
        for (function, turnover) in &look.turnover {
            let Some(known) = entry(&mut self.coroutines, function) else { continue };
            known.alive.add(look.time, turnover.alive);
            // At the first look all are new.
            if self.looks > 1 {
                known.born += u64::from(turnover.born);
                known.ended += u64::from(turnover.ended);
            }
        }
        for (sight, count) in &look.sights {
            let Some(known) = entry(&mut self.sights, sight) else { continue };
            known.looks += 1;
            known.most = known.most.max(count.tasks);
            known.tasks = count.tasks;
            known.last = look.time;
            let length = look.time.since(count.since);
            if length >= known.longest {
                known.longest = length;
                known.name.clone_from(&count.name);
            }
        }
        for deadlock in &look.deadlocks {
            if let Some((looks, last)) = entry(&mut self.deadlocks, deadlock) {
                *looks += 1;
                *last = look.time;
            }
        }
        for queue in &look.queues {
            let Some(known) = entry(&mut self.queues, &queue.object) else { continue };
            known.name.clone_from(&queue.name);
            known.limit = queue.limit;
            known.chain = queue.chain;
            known.size.add(look.time, queue.size);
        }
        self.waits.add(look, self.looks == 1);
        self.loops.clone_from(&look.loops);
        self.add_connections(look);
    }

    fn add_connections(&mut self, look: &TaskLook) {
        for sight in &look.connections {
            if let Some(known) = entry(&mut self.connections, &sight.peer) {
                known.open.add(look.time, sight.open);
                known.half_closed.add(look.time, sight.half_closed);
            }
        }
        let is_gone = |peer: &str| look.connections.iter().all(|sight| *sight.peer != *peer);
        for (_, known) in self.connections.iter_mut().filter(|(peer, _)| is_gone(peer)) {
            known.open.add(look.time, 0);
            known.half_closed.add(look.time, 0);
        }
    }

    /// How much of the time the looks cover, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.last.since(self.first).seconds()
    }

    /// The deadlocks that more than one look saw, since one look is not one moment; each with
    /// whether the last look saw it, and with the number of looks that did.
    pub fn lasting_deadlocks(&self) -> impl Iterator<Item = (&TaskDeadlock, bool, u64)> {
        let lasting = self.deadlocks.iter().filter(|(_, (looks, _))| *looks > 1);
        lasting.map(|(deadlock, &(looks, last))| (deadlock, last == self.last, looks))
    }

    /// The tasks in a trouble, in a stable order.
    pub fn in_trouble(
        &self,
        wanted: impl Fn(&TaskTrouble) -> bool,
    ) -> impl Iterator<Item = (&TaskSight, &SightProfile)> {
        let mut found: Vec<_> =
            self.sights.iter().filter(|(sight, _)| wanted(&sight.trouble)).collect();
        found.sort_by_key(|(sight, _)| *sight);
        found.into_iter()
    }
}

impl Series {
    /// The numbers with the times of their looks.
    #[must_use]
    pub fn points(&self) -> &[(Nanos, u32)] {
        &self.points
    }

    /// Adds the number at a look.
    pub fn add(&mut self, time: Nanos, number: u32) {
        let stride = self.stride.max(1);
        self.skipped += 1;
        if self.skipped < stride {
            return;
        }
        self.skipped = 0;
        self.points.push((time, number));
        if self.points.len() >= MOST_POINTS {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride = stride.saturating_mul(2);
        }
    }
}

/// The entry of a key, while there is room for a new one.
fn entry<'m, K: std::hash::Hash + Eq + Clone, V: Default>(
    map: &'m mut FxHashMap<K, V>,
    key: &K,
) -> Option<&'m mut V> {
    if map.len() >= MOST && !map.contains_key(key) {
        return None;
    }
    Some(map.entry(key.clone()).or_default())
}
