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
    Awaited, Claims, Edges, Futex, Holding, Interpreter, LayoutError, LockReader, RawFrame, Reader,
    Runtime, StackReader,
};
use crate::target::{Descriptors, KernelThread, Process, ProcessMemory};

/// The most owners of one wait that are told.
const MOST_OWNERS: usize = 16;

/// Follows the waits of one process's threads.
#[derive(Debug)]
pub(super) struct LockSurvey {
    memory: ProcessMemory,
    python: Interpreter<ProcessMemory>,
    descriptors: Descriptors,
    symbols: Symbols,
    edges: Edges,
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
            python: Interpreter::new(memory.clone(), runtime)?,
            memory,
            descriptors: Descriptors::new(process),
            symbols: Symbols::default(),
            edges: Edges::default(),
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
        let mut waits = Vec::new();
        for waiting in self.waiting.values() {
            let Some(known) = &waiting.wait else { continue };
            // Who was woken and has had no turn yet has the same count, and another may have taken
            // the lock meanwhile; but then the kernel calls it running.
            let activity = waiting.kernel.activity(&mut self.descriptors, &self.memory, tables);
            let asleep = activity.ok().and_then(futex_of).is_some();
            let unmoved = waiting.turns.is_some() && turns(&waiting.kernel) == waiting.turns;
            waits.push(LockWait { settled: asleep && unmoved, ..known.wait.clone() });
        }
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
        let Some((threads, living)) = self.threads(process, sample, tables) else { return };
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
        let held =
            |it: &Seen| Held { id: it.id, ident: it.ident, claims: locks.claims(&it.frames) };
        let scene = Scene { living, held: threads.iter().map(held).collect() };
        let unresolved = self.waiting.values_mut().filter_map(|waiting| waiting.wait.as_mut());
        for known in unresolved.filter(|known| !known.resolved) {
            let mut owners = scene.owners(known.awaited);
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

    /// The Python threads with their frames, and the idents of all that live; `None` when the
    /// list cannot be read.
    fn threads(
        &mut self,
        process: &Process,
        sample: &Sample,
        tables: &Tables,
    ) -> Option<(Vec<Seen>, Vec<u64>)> {
        let states = self.python.threads(&process.tids().ok()?).ok()?;
        let failed = sample.failures.iter().map(|(thread, _)| *thread);
        let ids: FxHashMap<Tid, ThreadId> = sample
            .threads
            .iter()
            .map(|seen| seen.thread)
            .chain(failed)
            .filter_map(|thread| Some((tables.thread(thread)?.tid, thread)))
            .collect();
        let living = states.iter().map(|state| state.ident).collect();
        let mut found: Vec<Seen> = Vec::new();
        for state in states {
            let Some(&id) = ids.get(&state.tid) else { continue };
            let mut frames = Vec::new();
            let reader = self.python.reader();
            let stack = &mut StackReader::default();
            let read = stack.read(reader, state.address, state.gil, &mut self.edges, &mut frames);
            // A native thread may have a state in several interpreters, and runs in one of them. Of
            // a thread that could not be read it is not known what it holds.
            if read.is_ok() && !frames.is_empty() && !found.iter().any(|it| it.id == id) {
                found.push(Seen { id, ident: state.ident, frames });
            }
        }
        Some((found, living))
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
    reader: Reader<'a, ProcessMemory>,
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

/// The Python threads of a process, as they were when the waits were looked at.
struct Scene {
    /// The idents of all threads that live.
    living: Vec<u64>,
    /// Those that could be read.
    held: Vec<Held>,
}

impl Scene {
    /// Who can end a wait.
    fn owners(&self, awaited: Awaited) -> Vec<Owner> {
        match awaited {
            Awaited::Anybody => Vec::new(),
            Awaited::Lock(lock, Some(ident)) => match self.thread(ident) {
                Some(owner) => {
                    let at = owner.holding(lock).map(|holding| holding.at);
                    vec![Owner { thread: Some(owner.id), at, certain: true }]
                }
                None if self.living.contains(&ident) => Vec::new(),
                None => vec![Owner { thread: None, at: None, certain: true }],
            },
            Awaited::Lock(lock, None) => self.holders(lock, true),
            // Others may have passed it without a `with`, and its count is anybody's guess.
            Awaited::Semaphore(semaphore) => self.holders(semaphore, false),
            Awaited::Thread(ident) => {
                let owner = |held: &Held| Owner { thread: Some(held.id), at: None, certain: true };
                self.thread(ident).map(owner).into_iter().collect()
            }
            Awaited::Job(future) => self.workers(future),
        }
    }

    fn thread(&self, ident: u64) -> Option<&Held> {
        self.held.iter().find(|held| held.ident == ident)
    }

    /// Who is inside a `with` of a lock. A mutex has one owner: two would be two moments.
    fn holders(&self, lock: Address, exclusive: bool) -> Vec<Owner> {
        let holds = |held: &Held| {
            let holding = held.holding(lock)?;
            Some(Owner { thread: Some(held.id), at: Some(holding.at), certain: holding.certain })
        };
        let mut owners: Vec<_> = self.held.iter().filter_map(holds).collect();
        if !exclusive || owners.len() > 1 {
            owners.iter_mut().for_each(|owner| owner.certain = false);
        }
        owners
    }

    /// Who works on a future; when nobody does yet, all workers of the executor in whose queue it
    /// is.
    fn workers(&self, future: Address) -> Vec<Owner> {
        let works = |held: &Held| {
            let (_, at) = held.claims.jobs.iter().find(|(job, _)| *job == future)?;
            Some(Owner { thread: Some(held.id), at: Some(*at), certain: true })
        };
        let working: Vec<_> = self.held.iter().filter_map(works).collect();
        if !working.is_empty() {
            return working;
        }
        let workers = || self.held.iter().filter_map(|it| Some((it, it.claims.worker.as_ref()?)));
        let executor = workers().find(|(_, worker)| worker.queued.contains(&future));
        let Some((_, executor)) = executor else { return Vec::new() };
        let of_executor: Vec<_> =
            workers().filter(|(_, worker)| worker.queue == executor.queue).collect();
        // An executor that may still start a worker is not stuck when all that it has are.
        let all = executor.most == u64::try_from(of_executor.len()).ok();
        let owner = |(held, _): (&Held, _)| {
            let at = held.claims.jobs.first().map(|(_, at)| *at);
            Owner { thread: Some(held.id), at, certain: all }
        };
        of_executor.into_iter().map(owner).collect()
    }
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
