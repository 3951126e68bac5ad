//! What the frames of one thread hold, and what they are at work on.

use super::LockReader;
use super::frame::Stack;
use crate::model::Address;
use crate::python::object::Invalid;
use crate::python::stack::RawFrame;
use crate::target::Memory;

/// Managers inside managers that are followed.
const DEEPEST: u32 = 4;
/// Callbacks of one `ExitStack` that are looked at.
const MOST_CALLBACKS: u64 = 64;
/// Entries of a `deque`'s block (`BLOCKLEN`), after the link to the block before.
const DEQUE_BLOCK: u64 = 64;

/// A lock that a frame has by a `with`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// The lock, or the semaphore.
    pub lock: Address,
    /// The frame, at the line of the `with`.
    pub at: RawFrame,
    /// Whether that is a fact and not merely likely.
    pub certain: bool,
}

/// A thread that works for an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    /// Where the queue is: the workers of one executor have it in common.
    pub queue: Address,
    /// How many workers the executor has at most.
    pub most: Option<u64>,
}

/// What a thread holds and works on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// The locks that it has by a `with`.
    pub holdings: Vec<Holding>,
    /// The futures that it is at work on, each with the line of the job.
    pub jobs: Vec<(Address, RawFrame)>,
    /// The executor that it works for.
    pub worker: Option<Worker>,
    /// The frames of generators that are its context managers, each with the line of the `with`.
    pub managers: Vec<(RawFrame, RawFrame)>,
}

impl<M: Memory> LockReader<'_, M> {
    /// What the frames of a thread (innermost first) hold.
    pub fn claims(&self, frames: &[RawFrame]) -> Claims {
        let mut claims = Claims::default();
        let mut given_up = Vec::new();
        for (index, frame) in frames.iter().enumerate() {
            let Some(facts) = self.facts(*frame) else { continue };
            match (facts.module(), facts.name()) {
                ("threading", "wait") => given_up.extend(self.given_up_in(*frame)),
                ("concurrent.futures.thread", "run") => {
                    let future =
                        self.local(*frame, "self").and_then(|it| self.attribute(it, "future"));
                    let job = self.job_in(frames.get(..index).unwrap_or_default());
                    claims.jobs.extend(future.map(|future| (future, job.unwrap_or(*frame))));
                }
                ("concurrent.futures.thread", "_worker") => claims.worker = self.worker(*frame),
                _ => {}
            }
            self.hold(*frame, DEEPEST, &mut claims);
        }
        claims.holdings.retain(|holding| !given_up.contains(&holding.lock));
        claims
    }

    /// The outermost of the frames below a worker's own.
    fn job_in(&self, frames: &[RawFrame]) -> Option<RawFrame> {
        let is_job = |frame: &&RawFrame| {
            self.facts(**frame).is_some_and(|facts| facts.module() != "concurrent.futures.thread")
        };
        frames.iter().rev().find(is_job).copied()
    }

    /// The lock that a condition's waiter has given up, though it is inside its `with`.
    fn given_up_in(&self, frame: RawFrame) -> Option<Address> {
        let condition = self.local(frame, "self")?;
        self.attribute(condition, "_waiters")?;
        self.attribute(condition, "_lock")
    }

    /// Adds what a frame holds.
    fn hold(&self, frame: RawFrame, deeper: u32, found: &mut Claims) {
        let Ok(stack) = self.stack(frame) else { return };
        for slot in 0..stack.slots.len() {
            if slot < stack.live
                && let Some(manager) = self.manager_in(&stack, slot)
            {
                let at = self.at_with(frame, slot);
                self.hold_by(manager, at, deeper, found);
            }
            self.hold_by_iterator(&stack, slot, deeper, found);
        }
    }

    /// A generator that is iterated over holds what its own frame holds.
    fn hold_by_iterator(&self, stack: &Stack, slot: usize, deeper: u32, found: &mut Claims) {
        let Some(&object) = stack.slots.get(slot) else { return };
        let Some(deeper) = deeper.checked_sub(1) else { return };
        let Some(name) = self.type_name(object) else { return };
        if matches!(&*name, "generator" | "coroutine" | "async_generator") {
            let before = found.holdings.len();
            if let Some(frame) = self.frame_of_generator(object) {
                self.hold(frame, deeper, found);
            }
            // Above the live part the generator may be what was there before.
            if slot >= stack.live {
                found.holdings.iter_mut().skip(before).for_each(|holding| holding.certain = false);
            }
        }
    }

    fn frame_of_generator(&self, generator: Address) -> Option<RawFrame> {
        self.generator_frame(generator).ok().filter(|frame| self.is_a(frame.code, "code"))
    }

    /// The context manager whose exit function is in a slot.
    ///
    /// Up to 3.13 that is one bound method; from 3.14 on a function and, in the next slot, its
    /// manager.
    fn manager_in(&self, stack: &Stack, slot: usize) -> Option<Address> {
        let object = *stack.slots.get(slot)?;
        let name = self.type_name(object)?;
        let manager = match &*name {
            "builtin_function_or_method" => {
                let name = self.reader.pointer(self.first(object).ok()?).ok()?;
                self.is_c_name(name, b"__exit__").then(|| self.second(object)).transpose()
            }
            "method" => {
                let function = self.first(object).ok()?;
                self.is_exit_function(function).then(|| self.second(object)).transpose()
            }
            _ => {
                let before = *stack.slots.get(slot.checked_sub(1)?)?;
                return (self.is_exit_function(before) || self.is_exit_descriptor(before))
                    .then_some(object);
            }
        };
        manager.ok().flatten().filter(|manager| !manager.is_null())
    }

    fn is_exit_function(&self, object: Address) -> bool {
        if !self.is_a(object, "function") {
            return false;
        }
        let code = self.reader.pointer(object.offset(self.reader.layout.at.function.code));
        let frame = |code| RawFrame { address: Address::NULL, code, instruction: 0 };
        code.ok()
            .and_then(|code| self.facts(frame(code)))
            .is_some_and(|facts| matches!(facts.name(), "__exit__" | "__aexit__"))
    }

    /// `PyMethodDescrObject`: its class, then its name.
    fn is_exit_descriptor(&self, object: Address) -> bool {
        self.is_a(object, "method_descriptor")
            && self
                .second(object)
                .and_then(|name| self.reader.text(name))
                .is_ok_and(|name| name == "__exit__")
    }

    /// Adds what a context manager holds while a frame is inside its `with`.
    fn hold_by(&self, manager: Address, at: RawFrame, deeper: u32, found: &mut Claims) {
        let Some(name) = self.type_name(manager) else { return };
        let Some(deeper) = deeper.checked_sub(1) else { return };
        let mut hold = |lock, certain| found.holdings.push(Holding { lock, at, certain });
        match &*name {
            "_thread.lock" | "_thread.RLock" => hold(manager, true),
            "Condition" => {
                if let Some(lock) = self.attribute(manager, "_lock") {
                    hold(lock, true);
                }
            }
            "Semaphore" | "BoundedSemaphore" => hold(manager, true),
            "_GeneratorContextManager" | "_AsyncGeneratorContextManager" => {
                let generator = self.attribute(manager, "gen");
                if let Some(frame) = generator.and_then(|it| self.frame_of_generator(it)) {
                    found.managers.push((frame, at));
                    self.hold(frame, deeper, found);
                }
            }
            "ExitStack" | "AsyncExitStack" => {
                for manager in self.callbacks(manager).unwrap_or_default() {
                    self.hold_by(manager, at, deeper, found);
                }
            }
            // A class of the program's own: what it does with its locks is not to be seen.
            _ => {
                for (_, value) in self.attributes(manager) {
                    if self.is_lock(value) {
                        found.holdings.push(Holding { lock: value, at, certain: false });
                    }
                }
            }
        }
    }

    /// The managers that an `ExitStack` has entered: a `deque` of pairs, the second of which is a
    /// bound method.
    fn callbacks(&self, stack: Address) -> Result<Vec<Address>, Invalid> {
        let deque = self.attribute(stack, "_exit_callbacks").ok_or(Invalid::Not("ExitStack"))?;
        let at = deque.offset(self.head());
        let count = self.reader.word(at)?.min(MOST_CALLBACKS);
        // `dequeobject`: size, left and right block, left and right index.
        let (mut block, mut index) =
            (self.reader.pointer(at.offset(8))?, self.reader.word(at.offset(24))?);
        let mut found = Vec::new();
        for _ in 0..count {
            if index >= DEQUE_BLOCK {
                block = self.reader.pointer(block.offset(8 + DEQUE_BLOCK * 8))?;
                index = 0;
            }
            let pair = self.reader.pointer(block.offset(8 + index * 8))?;
            let items = self.reader.tuple(pair)?;
            found.extend(items.into_iter().filter_map(|item| self.bound_to(item)));
            index += 1;
        }
        Ok(found)
    }

    /// The executor whose worker runs in a frame.
    fn worker(&self, frame: RawFrame) -> Option<Worker> {
        let queue = self.local(frame, "work_queue")?;
        // `PyWeakReference` begins with what it refers to.
        let most = self
            .local(frame, "executor_reference")
            .and_then(|reference| self.first(reference).ok())
            .and_then(|executor| self.attribute(executor, "_max_workers"))
            .and_then(|most| u64::try_from(self.reader.integer(most).ok()?).ok());
        Some(Worker { queue, most })
    }

    /// The futures whose jobs wait in an executor's queue.
    pub fn queued_futures(&self, queue: Address) -> Vec<Address> {
        let jobs = self.queued(queue).unwrap_or_default();
        jobs.into_iter().filter_map(|job| self.attribute(job, "future")).collect()
    }

    /// The items of a `SimpleQueue`.
    fn queued(&self, queue: Address) -> Result<Vec<Address>, Invalid> {
        /// Items that are looked at.
        const MOST_QUEUED: u64 = 1 << 12;
        /// `simplequeueobject` up to 3.12: lock, flag, list, position, weak references. Later: flag,
        /// a ring of put index, get index, items, capacity and count, and weak references.
        const WITH_LIST: u64 = 40;
        if !self.is_a(queue, "_queue.SimpleQueue") {
            return Err(Invalid::Not("SimpleQueue"));
        }
        let words = self.reader.words(queue.offset(self.head()), 6)?;
        let word = |index: usize| words.get(index).copied().ok_or(Invalid::Not("SimpleQueue"));
        if self.own_size(queue)? == WITH_LIST {
            let list = Address(word(2)?);
            let count = self.reader.word(list.offset(self.head()))?.min(MOST_QUEUED);
            let items = self.reader.pointer(list.offset(self.head() + 8))?;
            let items = self.reader.words(items, count)?;
            let taken = usize::try_from(word(3)?).unwrap_or(usize::MAX);
            return Ok(items.into_iter().skip(taken).map(Address).collect());
        }
        let (first, items, capacity, count) = (word(2)?, word(3)?, word(4)?, word(5)?);
        if capacity == 0 || first >= capacity || capacity > 1 << 24 {
            return Err(Invalid::Not("SimpleQueue"));
        }
        let place = |index| Address(items).offset((first + index) % capacity * 8);
        (0..count.min(capacity).min(MOST_QUEUED))
            .map(|index| self.reader.pointer(place(index)))
            .collect()
    }
}
