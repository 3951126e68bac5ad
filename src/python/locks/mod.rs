//! Locks: what a blocked thread waits for, and what the frames of others hold.
//!
//! A thread that waits for a lock is in a futex, and the word that it waits on leads to the lock:
//! it is the semaphore that a lock object points to, or it lies in a `struct wait_entry` on the
//! thread's own stack, beside the address of the mutex. Who has the lock is nowhere written down
//! but for an `RLock`; a `with` leaves its exit function on the value stack of its frame. A call of
//! `acquire` leaves nothing: there the code tells who may have it (see `suspects`).

mod claims;
mod exceptions;
mod frame;
mod kind;
mod name;
mod objects;
mod suspects;
mod wait;

use std::cell::RefCell;
use std::sync::Arc;

use rustc_hash::FxHashMap;

pub use self::claims::{Claims, Holding, Worker};
pub use self::wait::{Awaited, Futex, RawWait};

use self::frame::Facts;
use super::object::Reader;
use crate::model::Address;

/// What was learnt of code objects and types. It holds as long as none of them is replaced.
#[derive(Debug, Default)]
pub struct LockFacts {
    codes: RefCell<FxHashMap<Address, Option<Arc<Facts>>>>,
    types: RefCell<FxHashMap<Address, Option<Arc<str>>>>,
}

/// Reads locks.
#[derive(Debug)]
pub struct LockReader<'a, M> {
    reader: Reader<'a, M>,
    facts: &'a LockFacts,
}

impl<'a, M> LockReader<'a, M> {
    /// A reader that goes on with what was learnt.
    #[must_use]
    pub fn new(reader: Reader<'a, M>, facts: &'a LockFacts) -> Self {
        Self { reader, facts }
    }
}
