//! What blocked threads wait for, and who has it: looked at once for each wait.
//!
//! A thread that has not had a turn on a CPU still waits for what it waited for, and whoever has a
//! lock that it waits for still has it: to hand it on is to wake a waiter. So the kernel's count of
//! turns says when to look again, and that what was read of blocked threads fits together.

use rustc_hash::FxHashMap;

use super::symbols::{LastStack, Symbols};
use crate::model::{
    Activity, Address, Attachment, FrameId, LockOwner, LockWait, Sample, Tables, ThreadId, Tid,
    Wait, WaitKind,
};
use crate::python::{
    Awaited, Claims, Futex, Holding, Interpreter, LayoutError, LockReader, RawFrame, Reader,
    Runtime, StackReader,
};
use crate::target::{Descriptors, KernelThread, LiveMemory, Process};

/// The most owners of one wait that are told.
const MOST_OWNERS: usize = 16;

/// Follows the waits of one process's threads.
#[derive(Debug)]
pub(super) struct LockSurvey {
    memory: LiveMemory,
    python: Interpreter<LiveMemory>,
    descriptors: Descriptors,
    symbols: Symbols,
    waiting: FxHashMap<ThreadId, Waiting>,
}

/// A thread in a futex.
#[derive(Debug)]
struct Waiting {
    kernel: KernelThread,
    /// Its turns on a CPU when the wait was looked at; `None` where the kernel does not count them.
    turns: Option<u64>,
    wait: Option<Known>,
}

/// A wait that was looked at.
#[derive(Debug)]
struct Known {
    awaited: Awaited,
    /// Whether its owners cannot change as long as the thread waits.
    resolved: bool,
    wait: LockWait,
}

/// A Python thread with what its frames hold.
struct Held {
    id: ThreadId,
    ident: u64,
    claims: Claims,
}

impl LockSurvey {
    /// A survey of the process that has this Python.
    pub(super) fn new(process: &Process, runtime: &Runtime) -> Result<Self, LayoutError> {
        let memory = process.memory();
        Ok(Self {
            memory,
            python: Interpreter::new(memory, runtime)?,
            descriptors: Descriptors::new(process),
            symbols: Symbols::default(),
            waiting: FxHashMap::default(),
        })
    }

    /// The waits of the threads that `sample` saw in a futex.
    pub(super) fn waits(
        &mut self,
        process: &Process,
        sample: &Sample,
        tables: &mut Tables,
    ) -> Vec<LockWait> {
        self.follow(process, sample, tables);
        let news = self.waiting.values().any(|waiting| waiting.wait.is_none());
        let open = |waiting: &Waiting| waiting.wait.as_ref().is_some_and(|known| !known.resolved);
        if news || self.waiting.values().any(open) {
            self.look(process, sample, tables);
        }
        let settled =
            |waiting: &Waiting| waiting.turns.is_some() && turns(&waiting.kernel) == waiting.turns;
        let mut waits: Vec<_> = self
            .waiting
            .values()
            .filter_map(|waiting| {
                let wait = waiting.wait.as_ref()?.wait.clone();
                Some(LockWait { settled: settled(waiting), ..wait })
            })
            .collect();
        waits.sort_unstable_by_key(|wait| wait.thread);
        waits
    }

    /// Takes in who waits and who has stopped; a wait that is another one is forgotten.
    fn follow(&mut self, process: &Process, sample: &Sample, tables: &Tables) {
        let waiters: Vec<ThreadId> = sample
            .threads
            .iter()
            .filter(|thread| thread.attachment == Attachment::Detached)
            .filter(|thread| futex_of(thread.activity).is_some())
            .map(|thread| thread.thread)
            .collect();
        self.waiting.retain(|thread, _| waiters.contains(thread));
        for thread in waiters {
            if let Some(known) = self.waiting.get_mut(&thread) {
                let now = turns(&known.kernel);
                if now.is_none() || now != known.turns {
                    known.turns = now;
                    known.wait = None;
                }
                continue;
            }
            let Some(info) = tables.thread(thread) else { continue };
            if let Ok(kernel) = KernelThread::open(process, info.tid) {
                let turns = turns(&kernel);
                self.waiting.insert(thread, Waiting { kernel, turns, wait: None });
            }
        }
    }

    /// Looks at what is not known of the waits.
    fn look(&mut self, process: &Process, sample: &Sample, tables: &mut Tables) {
        let threads = self.threads(process, sample, tables);
        let locks = LockReader::new(self.python.reader());
        let mut interner = Interner { symbols: &mut self.symbols, reader: self.python.reader() };
        for thread in &threads {
            let Some(waiting) = self.waiting.get_mut(&thread.id) else { continue };
            if waiting.wait.is_some() {
                continue;
            }
            let activity = waiting.kernel.activity(&mut self.descriptors, &self.memory, tables);
            let Some((futex, timed)) = activity.ok().and_then(futex_of) else { continue };
            let found = locks.wait(&thread.frames, futex);
            let user = thread.frames.get(found.user);
            let wait = LockWait {
                thread: thread.id,
                kind: found.kind,
                object: found.object.0,
                name: found.name.into(),
                site: user.and_then(|frame| interner.frame(*frame, tables)),
                since: sample.time,
                timed,
                settled: false,
                owners: Vec::new(),
            };
            let resolved = found.awaited == Awaited::Anybody;
            waiting.wait = Some(Known { awaited: found.awaited, resolved, wait });
        }
        let held: Vec<Held> = threads
            .iter()
            .map(|it| Held { id: it.id, ident: it.ident, claims: locks.claims(&it.frames) })
            .collect();
        let unresolved = self.waiting.values_mut().filter_map(|waiting| waiting.wait.as_mut());
        for known in unresolved.filter(|known| !known.resolved) {
            let mut owners = owners(known.awaited, &held);
            known.resolved = matches!(known.awaited, Awaited::Lock(..) | Awaited::Thread(_))
                && matches!(owners[..], [Owner { certain: true, .. }]);
            owners.truncate(MOST_OWNERS);
            known.wait.owners = owners
                .into_iter()
                .map(|owner| LockOwner {
                    thread: owner.thread,
                    site: owner.at.and_then(|frame| interner.frame(frame, tables)),
                    certain: owner.certain,
                })
                .collect();
        }
    }

    /// The Python threads with their frames.
    fn threads(&mut self, process: &Process, sample: &Sample, tables: &Tables) -> Vec<Seen> {
        let states = process.tids().ok().and_then(|tids| self.python.threads(&tids).ok());
        let failed = sample.failures.iter().map(|(thread, _)| *thread);
        let ids: FxHashMap<Tid, ThreadId> = sample
            .threads
            .iter()
            .map(|seen| seen.thread)
            .chain(failed)
            .filter_map(|thread| Some((tables.thread(thread)?.tid, thread)))
            .collect();
        let mut found: Vec<Seen> = Vec::new();
        for state in states.unwrap_or_default() {
            let Some(&id) = ids.get(&state.tid) else { continue };
            let mut frames = Vec::new();
            let reader = self.python.reader();
            let read = StackReader::default().read(reader, state.address, state.gil, &mut frames);
            // A native thread may have a state in several interpreters, and runs in one of them. A
            // thread that could not be read is one whose locks are not known.
            if read.is_ok() && !frames.is_empty() && !found.iter().any(|it| it.id == id) {
                found.push(Seen { id, ident: state.ident, frames });
            }
        }
        found
    }
}

/// A Python thread with its frames, innermost first.
struct Seen {
    id: ThreadId,
    ident: u64,
    frames: Vec<RawFrame>,
}

/// From frames in memory to frames in the tables.
struct Interner<'a> {
    symbols: &'a mut Symbols,
    reader: Reader<'a, LiveMemory>,
}

impl Interner<'_> {
    fn frame(&mut self, frame: RawFrame, tables: &mut Tables) -> Option<FrameId> {
        let last = &mut LastStack::default();
        let interned = self.symbols.intern(self.reader, &[frame], last, tables).ok()?;
        tables.stack_node(interned.stack).map(|node| node.frame)
    }
}

/// Who can end a wait, before it is interned.
struct Owner {
    /// `None` when it has ended.
    thread: Option<ThreadId>,
    at: Option<RawFrame>,
    certain: bool,
}

/// Who can end a wait.
fn owners(awaited: Awaited, held: &[Held]) -> Vec<Owner> {
    match awaited {
        Awaited::Anybody => Vec::new(),
        Awaited::Lock(lock, Some(ident)) => {
            let owner = held.iter().find(|held| held.ident == ident);
            let at = owner.and_then(|owner| owner.holding(lock)).map(|holding| holding.at);
            vec![Owner { thread: owner.map(|owner| owner.id), at, certain: true }]
        }
        Awaited::Lock(lock, None) => holders(lock, held, true),
        // Others may have passed it without a `with`, and its count is anybody's guess.
        Awaited::Semaphore(semaphore) => holders(semaphore, held, false),
        Awaited::Thread(ident) => {
            let owner = held.iter().find(|held| held.ident == ident);
            owner
                .map(|owner| Owner { thread: Some(owner.id), at: None, certain: true })
                .into_iter()
                .collect()
        }
        Awaited::Job(future) => workers(future, held),
    }
}

/// Who is inside a `with` of a lock. A mutex has one owner: two would be two moments.
fn holders(lock: Address, held: &[Held], exclusive: bool) -> Vec<Owner> {
    let holds = |held: &Held| {
        let holding = held.holding(lock)?;
        Some(Owner { thread: Some(held.id), at: Some(holding.at), certain: holding.certain })
    };
    let mut owners: Vec<_> = held.iter().filter_map(holds).collect();
    if !exclusive || owners.len() > 1 {
        owners.iter_mut().for_each(|owner| owner.certain = false);
    }
    owners
}

/// Who works on a future; when nobody does yet, all workers of the executor in whose queue it is.
fn workers(future: Address, held: &[Held]) -> Vec<Owner> {
    let works = |held: &Held| {
        let (_, at) = held.claims.jobs.iter().find(|(job, _)| *job == future)?;
        Some(Owner { thread: Some(held.id), at: Some(*at), certain: true })
    };
    let working: Vec<_> = held.iter().filter_map(works).collect();
    if !working.is_empty() {
        return working;
    }
    let executor =
        |held: &Held| held.claims.worker.clone().filter(|worker| worker.queued.contains(&future));
    let Some(executor) = held.iter().find_map(executor) else { return Vec::new() };
    let of_executor = |held: &&Held| {
        held.claims.worker.as_ref().is_some_and(|worker| worker.queue == executor.queue)
    };
    let workers: Vec<_> = held.iter().filter(of_executor).collect();
    // An executor that may still start a worker is not stuck when all that it has are.
    let all = executor.most == u64::try_from(workers.len()).ok();
    workers
        .into_iter()
        .map(|held| Owner {
            thread: Some(held.id),
            at: held.claims.jobs.first().map(|(_, at)| *at),
            certain: all,
        })
        .collect()
}

impl Held {
    /// By which `with` it has a lock, the certain ones first.
    fn holding(&self, lock: Address) -> Option<Holding> {
        let mut of_lock: Vec<_> =
            self.claims.holdings.iter().filter(|holding| holding.lock == lock).collect();
        of_lock.sort_by_key(|holding| !holding.certain);
        of_lock.first().copied().copied()
    }
}

/// How often the thread was put on a CPU.
fn turns(kernel: &KernelThread) -> Option<u64> {
    kernel.schedule().ok().map(|schedule| schedule.switches)
}

/// The futex that a thread is in, and whether the wait ends by itself.
fn futex_of(activity: Activity) -> Option<(Futex, bool)> {
    let Activity::Blocked(Wait { kind, timed, .. }) = activity else { return None };
    let WaitKind::Futex { address, stack_pointer, shared } = kind else { return None };
    Some((Futex { address, stack_pointer, shared }, timed))
}
