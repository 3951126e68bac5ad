//! Follows tasks from look to look: who came and went, who is in trouble, and since when.

use std::cmp::Reverse;
use std::hash::{BuildHasher, BuildHasherDefault};

use rustc_hash::{FxHashMap, FxHasher};

use crate::model::{
    Address, AwaitKind, Awaited, FunctionId, LoopSight, Nanos, NetworkSight, Plight, QueueSight,
    SightCount, StackId, StuckTask, Tables, Task, TaskCount, TaskDeadlock, TaskGroup, TaskLook,
    TaskSight, TaskState, TaskTrouble, Tasks, Turnover,
};
use crate::waits::task_deadlocks;

/// Groups that one look keeps, the most numerous ones.
const MOST_GROUPS: usize = 2048;
/// Kinds of trouble that one look keeps.
const MOST_SIGHTS: usize = 512;
/// Sockets that are asked for at one look.
const MOST_PEERS: u32 = 64;
/// For how long a task must have waited before it is asked whose answer it waits for.
const PATIENCE: Nanos = Nanos(2 * Nanos::SECOND.0);

/// Whose answer a task waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    /// A server's: its address.
    Server(Box<str>),
    /// A client's: a server's own wait for the next request.
    Client,
    /// The wait is limited by a timer that the peer's object keeps.
    Limited,
    /// That cannot be told.
    Unknown,
}

/// A task as the looks before knew it.
#[derive(Debug)]
struct Known {
    /// Tells it from another task at the same address.
    name: u64,
    coroutine: Option<FunctionId>,
    /// The look that saw it first, and the one that saw it last.
    born: Nanos,
    look: u64,
    /// What it waited in, and since when.
    wait: (StackId, Address, Nanos),
    peer: Option<Peer>,
    /// Since when it is in each trouble, by the trouble's number.
    since: [Nanos; TROUBLES],
}

impl Known {
    /// The troubles that the task is in at `time`, each with since when. What it is not in any more
    /// it may get into anew.
    fn dated(&mut self, troubles: Vec<TaskTrouble>, time: Nanos) -> Vec<(TaskTrouble, Nanos)> {
        let before = std::mem::replace(&mut self.since, [Nanos(0); TROUBLES]);
        let dated = troubles.into_iter().map(|trouble| {
            // A wait has no limit from its beginning on, though that was asked later.
            let since = match (&trouble, before.get(number(&trouble)).copied()) {
                (TaskTrouble::NoDeadline { .. }, _) => self.wait.2,
                (_, Some(since)) if since > Nanos(0) => since,
                _ => time,
            };
            if let Some(place) = self.since.get_mut(number(&trouble)) {
                *place = since;
            }
            (trouble, since)
        });
        dated.collect()
    }
}

const TROUBLES: usize = 6;

fn number(trouble: &TaskTrouble) -> usize {
    match trouble {
        TaskTrouble::Plight(Plight::Orphan) => 0,
        TaskTrouble::Plight(Plight::LeftByGather) => 1,
        TaskTrouble::Plight(Plight::Unretrieved { .. }) => 2,
        TaskTrouble::Cancelling => 3,
        TaskTrouble::NoDeadline { .. } => 4,
        TaskTrouble::Stopped => 5,
    }
}

/// What is kept of the tasks between two looks.
#[derive(Debug, Default)]
pub(super) struct TaskWatch {
    known: FxHashMap<Address, Known>,
    looks: u64,
}

impl TaskWatch {
    /// Makes a look of what was read at `time`; `peer` tells whose answer a task waits for.
    pub(super) fn look(
        &mut self,
        tasks: &Tasks,
        tables: &mut Tables,
        time: Nanos,
        mut peer: impl FnMut(&Task, &mut Tables) -> Peer,
    ) -> TaskLook {
        self.looks += 1;
        let mut groups = Groups::default();
        let mut turnover: FxHashMap<FunctionId, Turnover> = FxHashMap::default();
        let mut sights: FxHashMap<TaskSight, SightCount> = FxHashMap::default();
        let mut coroutines: FxHashMap<StackId, Option<FunctionId>> = FxHashMap::default();
        let mut left = MOST_PEERS;
        for (index, task) in (0..).zip(&tasks.tasks) {
            let coroutine =
                *coroutines.entry(task.chain).or_insert_with(|| coroutine(tables, task.chain));
            let stopped = is_stopped(tasks, task);
            if let Some(ended) = self.replaced(task) {
                turnover.entry(ended).or_default().ended += 1;
            }
            let (known, new) = self.known(task, coroutine, time);
            if task.state != TaskState::Done {
                groups.add(tasks, task, known.born);
            }
            if let Some(function) = known.coroutine {
                let turnover = turnover.entry(function).or_default();
                turnover.alive += u32::from(task.state != TaskState::Done);
                turnover.born += u32::from(new);
            }
            if known.peer.is_none()
                && left > 0
                && time.since(known.wait.2) >= PATIENCE
                && awaits_peer(task)
                && tasks.deadline(index).is_none()
            {
                left -= 1;
                let limited = tasks.races(index);
                known.peer = Some(if limited { Peer::Limited } else { peer(task, tables) });
            }
            let troubles = troubles(task, stopped, known.peer.as_ref());
            for (trouble, since) in known.dated(troubles, time) {
                let awaits = task.awaits.as_ref().map(|awaits| awaits.kind);
                let sight =
                    TaskSight { trouble, coroutine: known.coroutine, chain: task.chain, awaits };
                let count = sights.entry(sight).or_insert_with(|| SightCount {
                    since,
                    name: task.name.clone(),
                    ..SightCount::default()
                });
                count.tasks += 1;
                if since < count.since {
                    (count.since, count.name) = (since, task.name.clone());
                }
            }
        }
        let looks = self.looks;
        self.known.retain(|_, known| {
            let lives = known.look == looks;
            if let Some(function) = known.coroutine.filter(|_| !lives) {
                turnover.entry(function).or_default().ended += 1;
            }
            lives
        });
        let mut sights: Vec<_> = sights.into_iter().collect();
        sights.sort_by(|a, b| b.1.tasks.cmp(&a.1.tasks).then_with(|| a.0.cmp(&b.0)));
        sights.truncate(MOST_SIGHTS);
        let mut turnover: Vec<_> = turnover.into_iter().collect();
        turnover.sort_unstable_by_key(|(function, it)| (Reverse(it.alive), *function));
        turnover.truncate(MOST_GROUPS);
        TaskLook {
            time,
            took: Nanos(0),
            failed: false,
            tasks: tasks.tasks.iter().filter(|it| it.state != TaskState::Done).count() as u64,
            missed: tasks.missed,
            groups: groups.most(),
            turnover,
            sights,
            deadlocks: deadlocks(tasks),
            loops: loops(tasks),
            queues: queues(tasks),
            connections: Vec::new(),
            network: NetworkSight::default(),
        }
    }

    /// The coroutine of the task that was at a task's address before it, and must have ended.
    fn replaced(&mut self, task: &Task) -> Option<FunctionId> {
        let known = self.known.get(&task.address)?;
        if known.name == name_of(task) {
            return None;
        }
        self.known.remove(&task.address)?.coroutine
    }

    /// What is known of a task, and whether it is new.
    fn known(
        &mut self,
        task: &Task,
        coroutine: Option<FunctionId>,
        time: Nanos,
    ) -> (&mut Known, bool) {
        let name = name_of(task);
        let object = task.awaits.as_ref().map_or(Address::NULL, |awaits| awaits.object);
        let fresh = || Known {
            name,
            coroutine,
            born: time,
            look: 0,
            wait: (task.chain, object, time),
            peer: None,
            since: [Nanos(0); TROUBLES],
        };
        let known = self.known.entry(task.address).or_insert_with(fresh);
        let new = known.look == 0;
        known.look = self.looks;
        if (known.wait.0, known.wait.1) != (task.chain, object) {
            known.wait = (task.chain, object, time);
            known.peer = None;
        }
        (known, new)
    }
}

/// A task's name in short, which tells it from another at the same address.
fn name_of(task: &Task) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(&task.name)
}

/// Whether a task waits for what a peer may have to say.
pub(super) fn awaits_peer(task: &Task) -> bool {
    task.state == TaskState::Waiting && task.awaits.as_ref().is_some_and(Awaited::may_have_peer)
}

/// Whether a task's loop is one that does not run.
fn is_stopped(tasks: &Tasks, task: &Task) -> bool {
    let its_loop = task.event_loop.and_then(|index| tasks.loops.get(index as usize));
    task.state != TaskState::Done && its_loop.is_some_and(|info| info.tid.is_none())
}

fn troubles(task: &Task, stopped: bool, peer: Option<&Peer>) -> Vec<TaskTrouble> {
    let mut found: Vec<_> = task.plight.clone().map(TaskTrouble::Plight).into_iter().collect();
    if stopped {
        found.push(TaskTrouble::Stopped);
    }
    let cancelling = task.cancel_requests > 0
        && matches!(task.state, TaskState::Cancelling | TaskState::Running);
    if cancelling {
        found.push(TaskTrouble::Cancelling);
    }
    let kind = task.awaits.as_ref().map(|awaits| awaits.kind);
    match peer {
        Some(Peer::Server(peer)) => {
            found.push(TaskTrouble::NoDeadline { peer: Some(peer.clone()) });
        }
        // The others may be anything.
        Some(Peer::Unknown) if matches!(kind, Some(AwaitKind::Stream | AwaitKind::Socket)) => {
            found.push(TaskTrouble::NoDeadline { peer: None });
        }
        _ => {}
    }
    found
}

/// The tasks that are alike.
#[derive(Default)]
struct Groups {
    counts: FxHashMap<TaskGroup, TaskCount>,
    /// By group and parent, and by group and object.
    families: FxHashMap<(TaskGroup, u32), u32>,
    objects: FxHashMap<(TaskGroup, Address), u32>,
}

impl Groups {
    fn add(&mut self, tasks: &Tasks, task: &Task, born: Nanos) {
        let awaiter = task.awaited_by.first();
        let parent = awaiter.and_then(|it| Some((it.relation, tasks.get(it.task)?.chain)));
        let awaits = task.awaits.as_ref();
        let group = TaskGroup {
            chain: task.chain,
            state: task.state,
            awaits: awaits.map(|awaits| awaits.kind),
            parent,
        };
        let count = self.counts.entry(group).or_default();
        count.workers = tasks.workers.contains(&task.chain);
        count.oldest = if count.tasks == 0 { born } else { count.oldest.min(born) };
        count.tasks += 1;
        if let Some(awaiter) = awaiter {
            let family = self.families.entry((group, awaiter.task)).or_default();
            *family += 1;
            count.width = count.width.max(*family);
        }
        if let Some(awaits) = awaits.filter(|awaits| !awaits.object.is_null()) {
            let object = self.objects.entry((group, awaits.object)).or_default();
            *object += 1;
            count.same_object = count.same_object.max(*object);
        }
    }

    fn most(self) -> Vec<(TaskGroup, TaskCount)> {
        let mut groups: Vec<_> = self.counts.into_iter().collect();
        groups.sort_unstable_by_key(|(group, count)| (Reverse(count.tasks), *group));
        groups.truncate(MOST_GROUPS);
        groups
    }
}

/// The function of a coroutine: the outermost of its await chain.
fn coroutine(tables: &Tables, chain: StackId) -> Option<FunctionId> {
    let outermost = tables.frames_of(chain).last()?;
    tables.frames.get(outermost).map(|frame| frame.function)
}

fn deadlocks(tasks: &Tasks) -> Vec<TaskDeadlock> {
    /// More of them help nobody.
    const MOST: usize = 100;
    let circles = task_deadlocks(tasks).into_iter().take(MOST);
    let member = |(index, lock): &(u32, Option<Address>)| {
        let task = tasks.get(*index)?;
        let (name, chain) = (task.name.clone(), task.chain);
        Some(StuckTask { name, chain, for_lock: lock.is_some() })
    };
    let told = circles.map(|circle| TaskDeadlock {
        members: circle.members.iter().filter_map(member).collect(),
        expires: circle.expires,
    });
    told.collect()
}

fn queues(tasks: &Tasks) -> Vec<QueueSight> {
    let sights = tasks.queues.iter().map(|queue| QueueSight {
        object: queue.object.0,
        name: queue.name.clone(),
        size: queue.size,
        limit: queue.limit,
        chain: queue.chain,
    });
    sights.collect()
}

fn loops(tasks: &Tasks) -> Vec<LoopSight> {
    /// More loops help nobody.
    const MOST: usize = 64;
    let mut counts = vec![0u32; tasks.loops.len()];
    for task in tasks.tasks.iter().filter(|task| task.state != TaskState::Done) {
        if let Some(count) = task.event_loop.and_then(|index| counts.get_mut(index as usize)) {
            *count = count.saturating_add(1);
        }
    }
    let loops = tasks.loops.iter().zip(counts).take(MOST).map(|(info, tasks)| LoopSight {
        tid: info.tid,
        kind: info.kind,
        debug: info.debug,
        tasks,
        timers: info.timers,
    });
    loops.collect()
}
