//! Where the loops and the tasks are: what each thread runs, and asyncio's own lists of tasks.

use super::kinds::Kind;
use super::moment::Moment;
use crate::model::Address;
use crate::python::layout::{AsyncioLayout, RunningLoop, TaskList};
use crate::python::object::{Invalid, Reader};
use crate::target::Memory;

/// Tasks that are read of one process.
pub(super) const MOST_TASKS: usize = 1 << 20;
/// Slots of a set's table that are read at once.
const SLOTS_AT_ONCE: u64 = 1 << 14;
/// No set has more slots; a larger one is garbage.
const MOST_SLOTS: u64 = 1 << 24;
/// `-1`, the hash of a slot that was emptied (`setobject.c`, `dummy`).
const EMPTIED: u64 = u64::MAX;

/// The modules that hold what is looked for, and the names of their sets: weak ones, and those of
/// tasks that began eagerly.
const MODULE: &str = "asyncio.tasks";
const WEAK_SETS: [&str; 2] = ["_all_tasks", "_scheduled_tasks"];
const SETS: [&str; 1] = ["_eager_tasks"];
/// The dict of the task that each loop runs.
const CURRENT: &str = "_current_tasks";

/// The loop that a thread runs; null when it runs none.
pub(super) fn running_loop<M: Memory>(
    reader: Reader<'_, M>,
    layout: &AsyncioLayout,
    thread: Address,
) -> Result<Address, Invalid> {
    match layout.running_loop {
        RunningLoop::Field(offset) => reader.pointer(thread.offset(offset)),
        RunningLoop::Dict(offset) => {
            let dict = reader.pointer(thread.offset(offset))?;
            if dict.is_null() {
                return Ok(Address::NULL);
            }
            let Some(holder) = reader.dict_item(dict, "__asyncio_running_event_loop__")? else {
                return Ok(Address::NULL);
            };
            // Up to 3.11 the entry is a holder, whose first word is the loop.
            let running = if reader.type_name_of(holder)?.ends_with("RunningLoopHolder") {
                reader.pointer(holder.offset(reader.layout.at.object.r#type + 8))?
            } else {
                holder
            };
            let none = !running.is_null() && reader.type_name_of(running)? == "NoneType";
            Ok(if none { Address::NULL } else { running })
        }
    }
}

/// The dict of the task that each loop runs, where there is one (up to 3.13).
pub(super) fn current_tasks<M: Memory>(
    reader: Reader<'_, M>,
    layout: &AsyncioLayout,
    interpreter: Address,
) -> Result<Option<Address>, Invalid> {
    match layout.task_list {
        TaskList::Linked { .. } => Ok(None),
        TaskList::Sets => match reader.module_of(interpreter, MODULE)? {
            Some(module) => reader.dict_item(module, CURRENT),
            None => Ok(None),
        },
    }
}

/// The task that a thread's loop runs; null when it runs none.
pub(super) fn current_task<M: Memory>(
    reader: Reader<'_, M>,
    layout: &AsyncioLayout,
    thread: Address,
    running: Address,
    current: Option<Address>,
) -> Result<Address, Invalid> {
    match layout.task_list {
        TaskList::Linked { current, .. } => reader.pointer(thread.offset(current)),
        TaskList::Sets => {
            let Some(current) = current else { return Ok(Address::NULL) };
            let found = reader.dict(current)?.into_iter().find(|(key, _)| *key == running);
            Ok(found.map_or(Address::NULL, |(_, task)| task))
        }
    }
}

/// The tasks that were listed.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub tasks: Vec<Address>,
    /// Whether there are more than may be read.
    pub truncated: bool,
    /// Tasks of a class that is written in Python, as `nest_asyncio` has it; they are not read.
    pub foreign: u32,
}

impl Listed {
    fn add(&mut self, task: Address) {
        if self.tasks.len() >= MOST_TASKS {
            self.truncated = true;
        } else {
            self.tasks.push(task);
        }
    }

    /// Each task once, as they lie in memory: what is read together is then looked at together.
    pub(super) fn sort(&mut self) {
        self.tasks.sort_unstable();
        self.tasks.dedup();
    }
}

impl<M: Memory> Moment<'_, M> {
    /// All tasks of an interpreter, whose thread states are `threads`.
    ///
    /// # Errors
    /// When a list changes while it is read: try again.
    pub(super) fn list(
        &mut self,
        interpreter: Address,
        threads: impl Iterator<Item = Address>,
        listed: &mut Listed,
    ) -> Result<(), Invalid> {
        let reader = self.reader;
        if let TaskList::Linked { thread, interpreter: ended, node, .. } = self.layout.task_list {
            let heads = threads.map(|address| address.offset(thread));
            for head in heads.chain([interpreter.offset(ended)]) {
                self.linked(head, node, listed)?;
            }
        }
        // Since 3.14 these hold tasks of pure Python alone.
        let Some(module) = reader.module_of(interpreter, MODULE)? else { return Ok(()) };
        let namespace = reader.dict(module)?;
        for (name, set) in namespace {
            let Ok(name) = reader.text(name) else { continue };
            if WEAK_SETS.contains(&&*name) {
                if let Some(data) = reader.attribute(set, "data")? {
                    let object = self.layout.at.weak_reference.object;
                    self.set(data, listed, |reference| reader.pointer(reference.offset(object)))?;
                }
            } else if SETS.contains(&&*name) {
                self.set(set, listed, Ok)?;
            }
        }
        Ok(())
    }

    /// The tasks of a linked list, whose head has the form of a node.
    fn linked(&self, head: Address, node: u64, listed: &mut Listed) -> Result<(), Invalid> {
        let mut next = self.reader.pointer(head)?;
        let mut mark = head;
        for step in 1..=MOST_TASKS + 1 {
            // A thread that never had a task has an empty list, or none yet.
            if next == head || next.is_null() {
                return Ok(());
            }
            listed.add(Address(next.0.wrapping_sub(node)));
            if listed.truncated {
                return Ok(());
            }
            // A list that changes may lead back into itself (Brent's algorithm).
            if step.is_power_of_two() {
                mark = next;
            }
            next = self.reader.pointer(next)?;
            if next == mark {
                break;
            }
        }
        Err(Invalid::Not("list of tasks"))
    }

    /// The tasks of a set, each found by `resolve` from what the set holds.
    fn set(
        &mut self,
        set: Address,
        listed: &mut Listed,
        resolve: impl Fn(Address) -> Result<Address, Invalid>,
    ) -> Result<(), Invalid> {
        let at = &self.layout.at.set;
        let slots = self.reader.word(set.offset(at.mask))?.wrapping_add(1);
        let table = self.reader.pointer(set.offset(at.table))?;
        if !slots.is_power_of_two() || slots > MOST_SLOTS {
            return Err(Invalid::Not("set"));
        }
        let mut held = Vec::new();
        for first in (0..slots).step_by(SLOTS_AT_ONCE as usize) {
            let count = SLOTS_AT_ONCE.min(slots - first);
            // `setentry`: the object and its hash.
            let words = self.reader.words(table.offset(first * 16), count * 2)?;
            let used = |entry: &&[u64; 2]| entry[0] != 0 && entry[1] != EMPTIED;
            held.extend(
                words.as_chunks::<2>().0.iter().filter(used).map(|entry| Address(entry[0])),
            );
            if held.len() > MOST_TASKS {
                listed.truncated = true;
                held.truncate(MOST_TASKS);
                break;
            }
        }
        // Hashes throw about what lies together; see `Listed::sort`.
        held.sort_unstable();
        let mut tasks: Vec<_> = held.into_iter().filter_map(|held| resolve(held).ok()).collect();
        tasks.sort_unstable();
        for task in tasks {
            // A reference that has just been cleared leads to None.
            match self.type_info(task) {
                Ok(info) if info.kind == Kind::Task => listed.add(task),
                Ok(info) if info.names.iter().any(|name| name.ends_with("Task")) => {
                    listed.foreign += 1;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
