//! Who can end a wait, among the threads of a process at one moment.

use std::cell::OnceCell;

use rustc_hash::FxHashMap;

use crate::model::{Address, Nanos, ThreadId};
use crate::python::{Awaited, Claims, Holding, LockReader, RawFrame};
use crate::target::ProcessMemory;

/// How long nobody must be seen to have a lock before its owner is taken for gone.
const ABANDONED_AFTER: Nanos = Nanos(250 * Nanos::MILLISECOND.0);

/// A Python thread with its frames, innermost first, and what they hold.
pub(super) struct Party {
    pub id: ThreadId,
    pub ident: u64,
    pub frames: Vec<RawFrame>,
    pub claims: Claims,
}

/// Who can end a wait, before it is interned.
pub(super) struct Owner {
    /// `None` when it has ended.
    pub thread: Option<ThreadId>,
    pub at: Option<RawFrame>,
    pub certain: bool,
}

/// The Python threads of a process, as they were when the waits were looked at.
pub(super) struct Scene<'a> {
    locks: LockReader<'a, ProcessMemory>,
    parties: &'a [Party],
    /// Whether they are all that live.
    complete: bool,
    /// The locks that threads wait for.
    awaiting: &'a FxHashMap<ThreadId, Address>,
    /// Reads the idents of all threads that live.
    living: &'a dyn Fn() -> Option<Vec<u64>>,
    lives: OnceCell<Option<Vec<u64>>>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        locks: LockReader<'a, ProcessMemory>,
        (parties, complete): (&'a [Party], bool),
        awaiting: &'a FxHashMap<ThreadId, Address>,
        living: &'a dyn Fn() -> Option<Vec<u64>>,
    ) -> Self {
        Self { locks, parties, complete, awaiting, living, lives: OnceCell::new() }
    }

    /// Who can end the wait of a thread that lasts `age` already.
    pub(super) fn owners(&self, waiter: ThreadId, awaited: Awaited, age: Nanos) -> Vec<Owner> {
        match awaited {
            Awaited::Anybody => Vec::new(),
            Awaited::Lock(lock, Some(ident)) => match self.party(ident) {
                Some(owner) => {
                    let at = owner.holding(lock).map(|holding| holding.at);
                    vec![Owner { thread: Some(owner.id), at, certain: true }]
                }
                None => match self.lives(ident) {
                    Some(false) => vec![Owner { thread: None, at: None, certain: true }],
                    _ => Vec::new(),
                },
            },
            Awaited::Lock(lock, None) => {
                let holders = self.holders(lock, true);
                if holders.is_empty() { self.suspects(waiter, lock, age) } else { holders }
            }
            // Others may have passed it without a `with`, and its count is anybody's guess.
            Awaited::Semaphore(semaphore) => self.holders(semaphore, false),
            Awaited::Thread(ident) => {
                let owner =
                    |party: &Party| Owner { thread: Some(party.id), at: None, certain: true };
                self.party(ident).map(owner).into_iter().collect()
            }
            Awaited::Job(future) => self.workers(future),
        }
    }

    fn party(&self, ident: u64) -> Option<&Party> {
        self.parties.iter().find(|party| party.ident == ident)
    }

    /// Whether a thread lives; `None` when that cannot be read.
    fn lives(&self, ident: u64) -> Option<bool> {
        let living = self.lives.get_or_init(|| (self.living)()).as_ref()?;
        Some(living.contains(&ident))
    }

    /// Who is inside a `with` of a lock. A mutex has one owner: two would be two moments.
    fn holders(&self, lock: Address, exclusive: bool) -> Vec<Owner> {
        let holds = |party: &Party| {
            let holding = party.holding(lock)?;
            Some(Owner { thread: Some(party.id), at: Some(holding.at), certain: holding.certain })
        };
        let mut owners: Vec<_> = self.parties.iter().filter_map(holds).collect();
        if !exclusive || owners.len() > 1 {
            owners.iter_mut().for_each(|owner| owner.certain = false);
        }
        owners
    }

    /// Who may have taken a lock by a call of `acquire`, which nothing proves: another thread, or
    /// else the waiter itself. When for a while no thread that lives is seen to be able to give it
    /// back, whoever took it has ended.
    fn suspects(&self, waiter: ThreadId, lock: Address, age: Nanos) -> Vec<Owner> {
        let waits = |party: &Party| self.awaiting.get(&party.id) == Some(&lock);
        let likely = |party: &Party| {
            let at = self.acquired_at(party, lock)?;
            Some(Owner { thread: Some(party.id), at: Some(at), certain: false })
        };
        let others = || self.parties.iter().filter(|party| !waits(party));
        let owners: Vec<_> = others().filter_map(likely).collect();
        if !owners.is_empty() {
            return owners;
        }
        let itself = self.parties.iter().find(|party| party.id == waiter).and_then(likely);
        if itself.is_some() {
            return itself.into_iter().collect();
        }
        let may_release =
            |party: &Party| party.frames().any(|(frame, _)| self.locks.may_release(frame, lock));
        if age < ABANDONED_AFTER || !self.complete || others().any(may_release) {
            return Vec::new();
        }
        vec![Owner { thread: None, at: None, certain: false }]
    }

    /// Where a thread may have taken a lock.
    fn acquired_at(&self, party: &Party, lock: Address) -> Option<RawFrame> {
        party.frames().find_map(|(frame, _)| self.locks.may_have_acquired(frame, lock))
    }

    /// Who works on a future; when nobody does yet, all workers of the executor in whose queue it
    /// is.
    fn workers(&self, future: Address) -> Vec<Owner> {
        let works = |party: &Party| {
            let (_, at) = party.claims.jobs.iter().find(|(job, _)| *job == future)?;
            Some(Owner { thread: Some(party.id), at: Some(*at), certain: true })
        };
        let working: Vec<_> = self.parties.iter().filter_map(works).collect();
        if !working.is_empty() {
            return working;
        }
        let workers = || self.parties.iter().filter_map(|it| Some((it, it.claims.worker?)));
        let mut queues: Vec<Address> = workers().map(|(_, worker)| worker.queue).collect();
        queues.sort_unstable();
        queues.dedup();
        let has = |queue: &Address| self.locks.queued_futures(*queue).contains(&future);
        let Some(queue) = queues.into_iter().find(has) else { return Vec::new() };
        let of_executor: Vec<_> = workers().filter(|(_, worker)| worker.queue == queue).collect();
        // An executor that may still start a worker is not stuck when all that it has are.
        let most = of_executor.first().and_then(|(_, worker)| worker.most);
        let all = most == u64::try_from(of_executor.len()).ok();
        let owner = |(party, _): (&Party, _)| {
            let at = party.claims.jobs.first().map(|(_, at)| *at);
            Owner { thread: Some(party.id), at, certain: all }
        };
        of_executor.into_iter().map(owner).collect()
    }
}

impl Party {
    /// Its frames and those of generators that are its context managers, each with the line of its
    /// own code.
    fn frames(&self) -> impl Iterator<Item = (RawFrame, RawFrame)> {
        let own = self.frames.iter().map(|frame| (*frame, *frame));
        own.chain(self.claims.managers.iter().copied())
    }

    /// By which `with` it has a lock, the certain ones first.
    fn holding(&self, lock: Address) -> Option<Holding> {
        let mut of_lock: Vec<_> =
            self.claims.holdings.iter().filter(|holding| holding.lock == lock).collect();
        of_lock.sort_by_key(|holding| !holding.certain);
        of_lock.first().copied().copied()
    }
}
