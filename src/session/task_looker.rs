//! Looks at the tasks now and then, in a thread of its own: sampling never waits for it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rustc_hash::{FxHashMap, FxHashSet};

use super::locks::Schedule;
use super::task_peers::{connections, network, peer_of};
use super::task_watch::{Peer, TaskWatch};
use crate::model::{
    Activity, Frame, Function, FunctionId, LoopKind, Nanos, Sample, StackId, Tables, Task,
    TaskLook, ThreadSample, Wait, WaitKind,
};
use crate::sampler::{TaskSampler, monotonic_now, own_thread_cpu_time};
use crate::target::Process;

/// How often it is looked, when that takes no time; and how many times as long as looking takes it
/// is left alone.
const INTERVAL: Nanos = Nanos::SECOND;
const REST: u64 = 50;

/// A look with what its ids mean, which are the looker's own.
struct Seen {
    look: TaskLook,
    /// Frames of chains that were not told before, innermost first.
    chains: Vec<(StackId, Vec<(Function, u32)>)>,
    functions: Vec<(FunctionId, Function)>,
}

/// Looks at the tasks of one process.
pub(super) struct TaskLooker {
    ask: Option<Sender<Vec<i32>>>,
    seen: Receiver<Seen>,
    thread: Option<JoinHandle<()>>,
    schedule: Schedule,
    /// The selectors of loops that are not asyncio's.
    selectors: Vec<i32>,
    /// Whether an answer is still to come.
    asked: bool,
    /// The session's ids of the looker's.
    stacks: FxHashMap<StackId, StackId>,
    functions: FxHashMap<FunctionId, FunctionId>,
}

impl TaskLooker {
    /// A looker at the tasks of a process.
    pub(super) fn new(process: &Process) -> Self {
        let (ask, asked) = channel();
        let (tell, seen) = channel();
        let process = process.clone();
        let thread = std::thread::Builder::new()
            .name("tasks".to_owned())
            .spawn(move || look_when_asked(&process, &asked, &tell))
            .ok();
        Self {
            ask: Some(ask),
            seen,
            thread,
            schedule: Schedule::default(),
            selectors: Vec::new(),
            asked: false,
            stacks: FxHashMap::default(),
            functions: FxHashMap::default(),
        }
    }

    /// What was seen since the last call, in the ids of `tables`; asks for the next look when it is
    /// time.
    pub(super) fn follow(&mut self, tables: &mut Tables, sample: &Sample) -> Option<TaskLook> {
        let now = sample.time;
        // A loop that is in a step leaves its selector as it was.
        let selectors: Vec<i32> = sample.threads.iter().filter_map(foreign_selector).collect();
        if !selectors.is_empty() {
            self.selectors = selectors;
        }
        let seen = self.seen.try_recv().ok();
        if !self.asked && self.schedule.is_due(now, false) {
            self.asked =
                self.ask.as_ref().is_some_and(|ask| ask.send(self.selectors.clone()).is_ok());
        }
        seen.map(|seen| self.take(seen, tables))
    }

    /// The last look: what is there when the session ends.
    pub(super) fn finish(&mut self, tables: &mut Tables) -> Vec<TaskLook> {
        if !self.asked {
            self.asked =
                self.ask.as_ref().is_some_and(|ask| ask.send(self.selectors.clone()).is_ok());
        }
        self.ask = None;
        let seen: Vec<_> = self.seen.iter().collect();
        if let Some(thread) = self.thread.take() {
            // What it has to say it has said.
            let _ = thread.join();
        }
        seen.into_iter().map(|seen| self.take(seen, tables)).collect()
    }

    fn take(&mut self, seen: Seen, tables: &mut Tables) -> TaskLook {
        self.asked = false;
        let Seen { mut look, chains, functions } = seen;
        let began = Nanos(look.time.0.saturating_sub(look.took.0));
        self.schedule.looked(began, look.time, INTERVAL, REST);
        for (id, function) in functions {
            self.functions.insert(id, tables.functions.intern(function));
        }
        for (id, frames) in chains {
            let chain = frames.into_iter().rev().fold(StackId::EMPTY, |stack, (function, line)| {
                let function = tables.functions.intern(function);
                let frame = tables.frames.intern(Frame { function, line });
                tables.push_frame(stack, frame)
            });
            self.stacks.insert(id, chain);
        }
        let stack = |id: &mut StackId| *id = self.stacks.get(id).copied().unwrap_or_default();
        let function = |id: &mut FunctionId| {
            if let Some(own) = self.functions.get(id) {
                *id = *own;
            }
        };
        look.rename(stack, function);
        look
    }
}

/// The selector in which a thread waits that runs an event loop, none of asyncio's.
fn foreign_selector(thread: &ThreadSample) -> Option<i32> {
    let kind = thread.event_loop?.kind;
    match thread.activity {
        Activity::Blocked(Wait { kind: WaitKind::Select { epoll, .. }, .. })
            if !matches!(kind, LoopKind::Asyncio | LoopKind::Uvloop) =>
        {
            epoll
        }
        _ => None,
    }
}

fn look_when_asked(process: &Process, asked: &Receiver<Vec<i32>>, tell: &Sender<Seen>) {
    let mut sampler: Option<TaskSampler> = None;
    let mut watch = TaskWatch::default();
    let mut tables = Tables::default();
    let mut news = News::default();
    while let Ok(selectors) = asked.recv() {
        let began = own_thread_cpu_time();
        if sampler.is_none() {
            sampler = TaskSampler::attach(process).ok();
        }
        let look = sampler.as_mut().and_then(|sampler| {
            let tasks = sampler.sample(&mut tables).ok()?;
            let peer = |task: &Task, tables: &mut Tables| {
                let its_loop = task.event_loop.and_then(|index| tasks.loops.get(index as usize));
                let limited = its_loop
                    .is_some_and(|it| sampler.will_be_cancelled(task.address, it.address))
                    || task.awaits.as_ref().is_some_and(|awaits| sampler.limits(awaits));
                if limited { Peer::Limited } else { peer_of(sampler, task, tables) }
            };
            let mut look = watch.look(&tasks, &mut tables, monotonic_now(), peer);
            look.connections = connections(&sampler.connections());
            look.network = network(sampler, &tasks, &mut tables);
            // Loops that have no tasks of asyncio's have their selectors only to tell.
            if !selectors.is_empty() {
                let answers = sampler.awaited_servers(&selectors, &mut tables);
                look.network.add_answers(answers);
            }
            Some(look)
        });
        // The CPU time: what it costs, not how long others kept it from going on.
        let took = own_thread_cpu_time().since(began);
        let failed = look.is_none();
        let look = TaskLook { time: monotonic_now(), took, failed, ..look.unwrap_or_default() };
        let seen = news.of(look, &tables);
        if tell.send(seen).is_err() {
            return;
        }
    }
}

/// What was told already of what the looker's ids mean.
#[derive(Default)]
struct News {
    stacks: FxHashSet<StackId>,
    functions: FxHashSet<FunctionId>,
}

impl News {
    fn of(&mut self, look: TaskLook, tables: &Tables) -> Seen {
        let new: Vec<_> = look.stacks().into_iter().filter(|id| self.stacks.insert(*id)).collect();
        let chains = new.into_iter().map(|id| {
            let frames = tables.frames_of(id).filter_map(|frame| {
                let frame = tables.frames.get(frame)?;
                Some((tables.functions.get(frame.function)?.clone(), frame.line))
            });
            (id, frames.collect())
        });
        let chains = chains.collect();
        let new = look.functions().into_iter().filter(|id| self.functions.insert(*id));
        let named = new.filter_map(|id| Some((id, tables.functions.get(id)?.clone())));
        let functions = named.collect();
        Seen { look, chains, functions }
    }
}
