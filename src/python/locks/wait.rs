//! What a thread in a futex waits for.

use std::sync::Arc;

use super::LockReader;
use super::frame::Facts;
use super::kind::kind_of;
use crate::model::{Address, LockKind};
use crate::python::stack::RawFrame;
use crate::target::Memory;

/// Frames in which the lock is looked for: its user and what the library puts in between.
const MOST_FRAMES: usize = 6;
/// How far above the stack pointer a thread's own `struct wait_entry` can be.
const OWN_STACK: u64 = 4096;

/// A thread's wait in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Futex {
    /// The word that is waited on.
    pub address: u64,
    /// The thread's stack pointer.
    pub stack_pointer: u64,
    /// Whether it may be shared with other processes.
    pub shared: bool,
}

/// What leads from a futex to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keys {
    /// The futex's word: a semaphore's.
    pub word: Address,
    /// The address that the thread is parked on.
    pub parked: Option<Address>,
}

/// What a thread waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawWait {
    /// What its user calls it.
    pub kind: LockKind,
    /// The object that its user knows; null when it was not found.
    pub object: Address,
    /// A name by which the waiting line reaches it, or else its type's.
    pub name: String,
    /// The index of the frame that waits: the innermost that is not the library's.
    pub user: usize,
    /// Who can end the wait.
    pub awaited: Awaited,
}

/// Whom a thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// Whoever has a lock: for an `RLock`, the thread with this ident.
    Lock(Address, Option<u64>),
    /// Whoever is inside a semaphore's `with`.
    Semaphore(Address),
    /// The thread with this ident, to come to its end or to something that it does.
    Thread(u64),
    /// Whoever works on this future.
    Job(Address),
    /// Nobody in particular.
    Anybody,
}

/// The outermost call into the library, and what is below it.
struct Entry {
    kind: Option<LockKind>,
    /// The `self` of that call.
    this: Option<Address>,
    /// How many frames are the library's.
    frames: usize,
}

impl<M: Memory> LockReader<'_, M> {
    /// What the thread with these frames (innermost first) waits for.
    pub fn wait(&self, frames: &[RawFrame], futex: Futex) -> RawWait {
        let keys = self.keys(futex);
        let entry = self.entry(frames);
        let lock = self.parked_on(keys).or_else(|| self.lock_in_frames(frames, keys));
        let (kind, object) = match (entry.kind, lock) {
            (Some(kind), lock) => (kind, entry.this.or(lock)),
            (None, Some(lock)) => (self.kind_of_object(lock), Some(lock)),
            (None, None) => match self.object_of_mutex(keys) {
                Some(object) => (LockKind::ObjectMutex, Some(object)),
                None => (LockKind::Other, None),
            },
        };
        let kind = if futex.shared { LockKind::ProcessLock } else { kind };
        let object = object.unwrap_or(Address::NULL);
        let user = entry.frames.min(frames.len().saturating_sub(1));
        RawWait {
            kind,
            object,
            name: match (kind, self.type_name(object)) {
                // Its type says what is contended, which its name may not.
                (LockKind::ObjectMutex, Some(r#type)) => {
                    let name = frames.get(user).and_then(|frame| self.name_in(*frame, object));
                    name.map_or_else(|| r#type.to_string(), |name| format!("{} {name}", r#type))
                }
                _ => self.name_of(frames.get(user), object),
            },
            user,
            awaited: self.awaited_by(frames, kind, lock, object),
        }
    }

    fn keys(&self, futex: Futex) -> Keys {
        let own = futex.address.wrapping_sub(futex.stack_pointer);
        let parked = (0 < own && own < OWN_STACK)
            .then(|| self.reader.pointer(Address(futex.address.wrapping_sub(8))).ok())
            .flatten();
        Keys { word: Address(futex.address), parked }
    }

    /// The calls into the library that end in the wait.
    fn entry(&self, frames: &[RawFrame]) -> Entry {
        let mut entry = Entry { kind: None, this: None, frames: 0 };
        for frame in frames {
            let Some(facts) = self.facts(*frame) else { break };
            let this = self.local(*frame, "self");
            let class = this.and_then(|this| self.type_name(this));
            let Some(kind) = kind_of(&facts, class.as_deref()) else { break };
            entry.frames += 1;
            let joins_on = kind == LockKind::ThreadJoin && entry.kind == Some(kind);
            if !joins_on {
                entry.kind = Some(kind);
                entry.this = this;
            }
        }
        entry
    }

    /// The lock whose mutex a thread is parked on.
    fn parked_on(&self, keys: Keys) -> Option<Address> {
        let object = Address(keys.parked?.0.wrapping_sub(self.head()));
        self.is_awaited(object, keys).then_some(object)
    }

    /// The object whose own mutex a thread is parked on (free-threaded builds).
    fn object_of_mutex(&self, keys: Keys) -> Option<Address> {
        let offset = self.reader.layout.at.object.mutex?;
        let object = Address(keys.parked?.0.wrapping_sub(offset));
        self.type_name(object).map(|_| object)
    }

    /// The lock that a thread waits for, by what the innermost frames refer to.
    fn lock_in_frames(&self, frames: &[RawFrame], keys: Keys) -> Option<Address> {
        frames.iter().take(MOST_FRAMES).find_map(|frame| {
            let stack = self.stack(*frame).unwrap_or_default();
            let locals = self.locals(*frame).unwrap_or_default();
            let mut values: Vec<_> = stack.slots.into_iter().rev().chain(locals).collect();
            values.retain(|value| !value.is_null());
            // What refers to the lock itself comes first; it is also the quickest to tell.
            let direct = values.iter().copied().map(|it| self.bound_to(it).unwrap_or(it));
            direct
                .into_iter()
                .find(|value| self.is_awaited(*value, keys))
                .or_else(|| values.iter().find_map(|value| self.awaited_in(*value, keys)))
        })
    }

    fn kind_of_object(&self, object: Address) -> LockKind {
        match self.type_name(object).as_deref() {
            Some("_thread.RLock") => LockKind::RLock,
            Some("_queue.SimpleQueue") => LockKind::SimpleQueue,
            Some("_multiprocessing.SemLock") => LockKind::ProcessLock,
            _ => LockKind::Lock,
        }
    }

    /// Who can end the wait.
    fn awaited_by(
        &self,
        frames: &[RawFrame],
        kind: LockKind,
        lock: Option<Address>,
        object: Address,
    ) -> Awaited {
        let own = |address: Address| (!address.is_null()).then_some(address);
        match kind {
            LockKind::ThreadJoin => self
                .innermost(frames, |facts| facts.name() == "join")
                .and_then(|thread| self.number(thread, "_ident"))
                .map_or(Awaited::Anybody, Awaited::Thread),
            LockKind::Import => self
                .innermost(frames, |facts| facts.name() == "acquire")
                .and_then(|lock| self.number(lock, "owner"))
                .map_or(Awaited::Anybody, Awaited::Thread),
            LockKind::ProcessLock | LockKind::SimpleQueue | LockKind::Other => Awaited::Anybody,
            LockKind::ObjectMutex => Awaited::Anybody,
            _ => match lock.filter(|lock| self.is_lock(*lock) && !self.is_signal(frames, *lock)) {
                Some(lock) => Awaited::Lock(lock, self.owner_of(lock)),
                None if kind == LockKind::Future => self
                    .innermost(frames, |facts| matches!(facts.name(), "result" | "exception"))
                    .map_or(Awaited::Anybody, Awaited::Job),
                None if kind == LockKind::Semaphore => {
                    own(object).map_or(Awaited::Anybody, Awaited::Semaphore)
                }
                None => Awaited::Anybody,
            },
        }
    }

    /// Whether a lock is the one that a condition made for this waiter alone.
    fn is_signal(&self, frames: &[RawFrame], lock: Address) -> bool {
        frames.iter().take(2).any(|frame| self.local(*frame, "waiter") == Some(lock))
    }

    /// The `self` of the innermost of the library's frames that is such a function.
    fn innermost(&self, frames: &[RawFrame], is: impl Fn(&Arc<Facts>) -> bool) -> Option<Address> {
        frames
            .iter()
            .take(MOST_FRAMES)
            .find(|frame| self.facts(**frame).is_some_and(|facts| is(&facts)))
            .and_then(|frame| self.local(*frame, "self"))
    }

    /// An attribute that is a thread's ident.
    fn number(&self, object: Address, name: &str) -> Option<u64> {
        let number = self.reader.integer(self.attribute(object, name)?).ok()?;
        u64::try_from(number).ok().filter(|number| *number != 0)
    }

    /// The ident of the thread that has an `RLock`.
    fn owner_of(&self, lock: Address) -> Option<u64> {
        if !self.is_a(lock, "_thread.RLock") {
            return None;
        }
        self.second(lock).ok().map(|owner| owner.0).filter(|owner| *owner != 0)
    }
}
