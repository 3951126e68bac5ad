//! What blocked threads wait for, and who has it: looked at once for each wait.
//!
//! A thread that has not had a turn on a CPU still waits for what it waited for, and still has what it
//! had. When a lock is handed on, one of those that wait for it is woken. So the kernel's count of
//! turns says when to look again, and that what was read of several threads fits together.

use rustc_hash::FxHashMap;

use super::owners::{Party, Scene};
use super::symbols::LastStack;
use super::thread::{Frames, Shared, ThreadSampler};
use crate::model::{
    Activity, Address, Attachment, Executor, FrameId, LockOwner, LockWait, Nanos, Sample, Survey,
    ThreadId, ThreadSample, Wait, WaitKind,
};
use crate::python::{Awaited, Claims, Futex, Interpreter, LockFacts, LockReader, RawFrame};
use crate::target::ProcessMemory;

/// The most owners of one wait that are told.
const MOST_OWNERS: usize = 16;

/// How long what is known of code and types is believed.
const FACTS_BELIEVED: Nanos = Nanos::SECOND;

/// Follows the waits of one process's threads.
#[derive(Debug, Default)]
pub(super) struct LockSurvey {
    facts: LockFacts,
    learnt_at: Nanos,
    waiting: FxHashMap<ThreadId, Waiting>,
    /// What blocked threads hold, with their turns then.
    claims: FxHashMap<ThreadId, (u64, Claims)>,
}

/// A wait of a thread in a futex.
#[derive(Debug)]
struct Waiting {
    /// Its turns on a CPU before; `None` where the kernel does not count them.
    turns: Option<u64>,
    awaited: Awaited,
    wait: LockWait,
}

impl LockSurvey {
    /// Forgets what was learnt of code that may have been replaced.
    pub(super) fn forget(&mut self) {
        self.facts = LockFacts::default();
        self.claims.clear();
    }

    /// Tells of threads in waits that were looked at what they wait for.
    pub(super) fn tell_kinds(&self, threads: &[ThreadSampler], sample: &mut Sample) {
        if self.waiting.is_empty() {
            return;
        }
        let mut rest = threads.iter();
        for taken in sample.threads.iter_mut().filter(|taken| futex_wait(taken).is_some()) {
            let turns = rest.by_ref().find(|thread| thread.id == taken.thread);
            let turns = turns.and_then(ThreadSampler::turns_before_wait);
            let known = self.waiting.get(&taken.thread).filter(|it| it.turns == turns);
            taken.awaits = known.map(|waiting| waiting.wait.kind);
        }
    }

    /// What the threads that are in a futex wait for, and the executors. `sample` is the last one.
    pub(super) fn look(
        &mut self,
        python: &Interpreter<ProcessMemory>,
        threads: &mut [ThreadSampler],
        shared: &mut Shared<'_>,
        sample: &Sample,
    ) -> Survey {
        if sample.time.since(self.learnt_at) >= FACTS_BELIEVED {
            self.facts = LockFacts::default();
            self.learnt_at = sample.time;
        }
        let taken: FxHashMap<ThreadId, &ThreadSample> =
            sample.threads.iter().map(|taken| (taken.thread, taken)).collect();
        let mut before = std::mem::take(&mut self.waiting);
        let (mut parties, mut complete) = (Vec::new(), true);
        // One thread after the other: the less time between what is read of one, the fewer have
        // moved on meanwhile.
        for thread in threads.iter_mut().filter(|thread| thread.python.is_some()) {
            let Some(Frames { frames, turns, unmoved }) = thread.frames(shared) else {
                complete = false;
                continue;
            };
            if frames.is_empty() {
                continue;
            }
            let wait = if unmoved {
                taken.get(&thread.id).copied().and_then(futex_wait)
            } else {
                futex_now(thread, shared).map(|(futex, timed)| (futex, timed, sample.time))
            };
            if let Some(wait) = wait {
                let known = before.remove(&thread.id);
                let known = known.filter(|it| it.turns.is_some() && it.turns == turns);
                let waiting =
                    known.unwrap_or_else(|| self.find((thread.id, turns), &frames, wait, shared));
                // What was read of a thread that moved on meanwhile is of two moments.
                if turns.is_none() || thread.turns() == turns {
                    self.waiting.insert(thread.id, waiting);
                }
            }
            let claims = self.claims(thread.id, turns.filter(|_| unmoved), &frames, shared);
            let ident = thread.python.map_or(0, |python| python.ident);
            parties.push(Party { id: thread.id, ident, frames, claims });
        }
        self.claims.retain(|thread, _| parties.iter().any(|party| party.id == *thread));
        self.resolve(python, (&parties, complete), shared, sample.time);
        let waits = self.settled(threads, shared);
        Survey { waits, executors: self.executors(&parties, shared) }
    }

    /// What a thread's frames hold; `lasting` are its turns on a CPU when it has not moved since its
    /// last sample.
    fn claims(
        &mut self,
        thread: ThreadId,
        lasting: Option<u64>,
        frames: &[RawFrame],
        shared: &mut Shared<'_>,
    ) -> Claims {
        let known = self.claims.get(&thread).filter(|(then, _)| Some(*then) == lasting);
        if let Some((_, claims)) = known {
            return claims.clone();
        }
        let claims = LockReader::new(shared.reader, &self.facts).claims(frames);
        if let Some(turns) = lasting {
            self.claims.insert(thread, (turns, claims.clone()));
        }
        claims
    }

    /// Finds out what a thread waits for.
    fn find(
        &self,
        (thread, turns): (ThreadId, Option<u64>),
        frames: &[RawFrame],
        (futex, timed, since): (Futex, bool, Nanos),
        shared: &mut Shared<'_>,
    ) -> Waiting {
        let found = LockReader::new(shared.reader, &self.facts).wait(frames, futex);
        let wait = LockWait {
            thread,
            kind: found.kind,
            object: found.object.0,
            name: found.name.into(),
            site: frames.get(found.user).and_then(|frame| intern(*frame, shared)),
            since,
            timed,
            settled: false,
            owners: Vec::new(),
        };
        Waiting { turns, awaited: found.awaited, wait }
    }

    /// Finds out who can end the waits.
    fn resolve(
        &mut self,
        python: &Interpreter<ProcessMemory>,
        parties: (&[Party], bool),
        shared: &mut Shared<'_>,
        now: Nanos,
    ) {
        let awaiting = |(id, waiting): (&ThreadId, &Waiting)| match waiting.awaited {
            Awaited::Lock(lock, _) => Some((*id, lock)),
            _ => None,
        };
        let awaiting: FxHashMap<ThreadId, Address> =
            self.waiting.iter().filter_map(awaiting).collect();
        let living = || python.idents().ok();
        let locks = LockReader::new(shared.reader, &self.facts);
        let scene = Scene::new(locks, parties, &awaiting, &living);
        for (thread, waiting) in &mut self.waiting {
            let mut owners = scene.owners(*thread, waiting.awaited, now.since(waiting.wait.since));
            owners.truncate(MOST_OWNERS);
            waiting.wait.owners = owners
                .into_iter()
                .map(|owner| LockOwner {
                    thread: owner.thread,
                    site: owner.at.and_then(|frame| intern(frame, shared)),
                    certain: owner.certain,
                })
                .collect();
        }
    }

    /// The waits, each with whether it lasted as long as all was read. When a lock is handed on, one
    /// of those that wait for it moves: its owner is a fact only if none did.
    fn settled(&self, threads: &[ThreadSampler], shared: &mut Shared<'_>) -> Vec<LockWait> {
        let mut waits = Vec::new();
        let mut moved: Vec<Awaited> = Vec::new();
        for thread in threads {
            let Some(waiting) = self.waiting.get(&thread.id) else { continue };
            let settled = !waiting.wait.owners.is_empty() && is_settled(thread, waiting, shared);
            if !settled {
                moved.push(waiting.awaited);
            }
            waits.push(LockWait { settled, ..waiting.wait.clone() });
        }
        for wait in &mut waits {
            let awaited = self.waiting.get(&wait.thread).map(|waiting| waiting.awaited);
            if awaited.is_some_and(|awaited| moved.contains(&awaited)) {
                wait.owners.iter_mut().for_each(|owner| owner.certain = false);
            }
        }
        waits.sort_unstable_by_key(|wait| wait.thread);
        waits
    }

    fn executors(&self, parties: &[Party], shared: &mut Shared<'_>) -> Vec<Executor> {
        let mut executors: Vec<Executor> = Vec::new();
        for party in parties {
            let Some(worker) = party.claims.worker else { continue };
            let index = executors.iter().position(|known| known.queue == worker.queue.0);
            let index = index.unwrap_or_else(|| {
                let locks = LockReader::new(shared.reader, &self.facts);
                executors.push(Executor {
                    queue: worker.queue.0,
                    most: worker.most,
                    workers: Vec::new(),
                    busy: Vec::new(),
                    queued: locks.queued_futures(worker.queue).len() as u64,
                });
                executors.len() - 1
            });
            let Some(executor) = executors.get_mut(index) else { continue };
            executor.workers.push(party.id);
            if let Some((_, at)) = party.claims.jobs.first() {
                executor.busy.push((party.id, intern(*at, shared)));
            }
        }
        executors
    }
}

/// Whether a thread has been in a wait all the time. One that was woken and has had no turn yet has
/// the same count, and another may have taken the lock meanwhile; but then the kernel calls it
/// running.
fn is_settled(thread: &ThreadSampler, waiting: &Waiting, shared: &mut Shared<'_>) -> bool {
    let asleep = thread.activity(shared).ok().and_then(futex_of).is_some();
    asleep && waiting.turns.is_some() && thread.turns() == waiting.turns
}

/// A frame of the target in the tables.
fn intern(frame: RawFrame, shared: &mut Shared<'_>) -> Option<FrameId> {
    let last = &mut LastStack::default();
    let interned = shared.symbols.intern(shared.reader, &[frame], last, shared.tables).ok()?;
    shared.tables.stack_node(interned.stack).map(|node| node.frame)
}

/// The futex other than its GIL's that a thread waits in at this moment.
fn futex_now(thread: &ThreadSampler, shared: &mut Shared<'_>) -> Option<(Futex, bool)> {
    let gil = thread.python.and_then(|python| python.gil);
    let found = thread.activity(shared).ok().and_then(futex_of)?;
    Some(found).filter(|(futex, _)| !gil.is_some_and(|gil| gil.contains(futex.address)))
}

/// The futex that a thread waits in without the GIL, whether the wait ends by itself, and since
/// when it is known.
fn futex_wait(taken: &ThreadSample) -> Option<(Futex, bool, Nanos)> {
    let (futex, timed) =
        futex_of(taken.activity).filter(|_| taken.attachment == Attachment::Detached)?;
    Some((futex, timed, taken.since))
}

fn futex_of(activity: Activity) -> Option<(Futex, bool)> {
    let Activity::Blocked(Wait { kind, timed, .. }) = activity else { return None };
    let WaitKind::Futex { address, stack_pointer, shared } = kind else { return None };
    Some((Futex { address, stack_pointer, shared }, timed))
}
