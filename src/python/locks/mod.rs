//! Locks: what a blocked thread waits for, and what the frames of others hold.
//!
//! A thread that waits for a lock is in a futex, and the word that it waits on leads to the lock:
//! it is the semaphore that a lock object points to, or it lies in a `struct wait_entry` on the
//! thread's own stack, beside the address of the mutex. Who has the lock is nowhere written down
//! but for an `RLock`; a `with` leaves its exit function on the value stack of its frame.

mod claims;
mod exceptions;
mod frame;
mod kind;
mod name;
mod objects;
mod wait;

use std::cell::RefCell;
use std::rc::Rc;

use rustc_hash::FxHashMap;

pub use self::claims::{Claims, Holding, Worker};
pub use self::wait::{Awaited, Futex, RawWait};

use self::frame::Facts;
use super::object::Reader;
use crate::model::Address;

/// Reads locks. It lives for one survey of a process: what it remembers of code and types is not
/// looked at again.
#[derive(Debug)]
pub struct LockReader<'a, M> {
    reader: Reader<'a, M>,
    codes: RefCell<FxHashMap<Address, Option<Rc<Facts>>>>,
    types: RefCell<FxHashMap<Address, Option<Rc<str>>>>,
}

impl<'a, M> LockReader<'a, M> {
    /// A reader that remembers nothing yet.
    #[must_use]
    pub fn new(reader: Reader<'a, M>) -> Self {
        Self { reader, codes: RefCell::default(), types: RefCell::default() }
    }
}
