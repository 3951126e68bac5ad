//! Who is told when a future is done: the tasks that wait for it, and by what means.
//!
//! A plain `await`, `gather`, `shield`, `wait_for`, `wait` and `TaskGroup` all leave a callback on
//! the future that they wait for. It leads to the waiting task on every version; since 3.14 CPython
//! keeps the tasks themselves too, but not the means.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::kinds::Kind;
use super::moment::Moment;
use super::task::RawTask;
use crate::model::{Address, Relation};
use crate::python::layout::TaskList;
use crate::python::object::Invalid;
use crate::target::Memory;

/// Futures between a task and the one that it waits for: a gather in a gather in a shield.
const DEEPEST: u32 = 16;
/// Callbacks of one future that are looked at.
const MOST_CALLBACKS: u64 = 1 << 12;
/// Cells or arguments of one callback that are looked at.
const MOST_PARTS: usize = 32;

/// A task that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub task: Address,
    pub relation: Relation,
}

impl<M: Memory> Moment<'_, M> {
    /// The tasks that wait for a task that is not done, each once.
    pub(super) fn awaiters(&mut self, task: &RawTask) -> Vec<(Address, Relation)> {
        if !task.pending {
            return Vec::new();
        }
        let told = self.told_below(task.address, DEEPEST);
        let relation =
            |task: Address| told.iter().find(|told| told.task == task).map(|told| told.relation);
        let mut awaiters: Vec<_> = match self.layout.task_list {
            TaskList::Linked { .. } => {
                let listed = self.published_awaiters(task).unwrap_or_default();
                let with = |task| (task, relation(task).unwrap_or(Relation::Await));
                listed.into_iter().map(with).collect()
            }
            TaskList::Sets => told.iter().map(|told| (told.task, told.relation)).collect(),
        };
        if awaiters.len() > 1 {
            let mut seen = FxHashSet::default();
            awaiters.retain(|(task, _)| seen.insert(*task));
        }
        awaiters
    }

    fn told_below(&mut self, future: Address, depth: u32) -> Vec<Told> {
        let Some(depth) = depth.checked_sub(1) else { return Vec::new() };
        let mut found: Vec<Told> = Vec::new();
        let mut add = |told: Told| {
            if !found.contains(&told) {
                found.push(told);
            }
        };
        for callback in self.callbacks(future).unwrap_or_default() {
            match self.by_wakeup(callback) {
                Ok(Some(task)) => add(Told { task, relation: Relation::Await }),
                Ok(None) => {
                    self.by_callback(callback, depth).iter().copied().for_each(&mut add);
                }
                Err(_) => {}
            }
        }
        found
    }

    /// The task that awaits a future itself, of which the callback is its `wakeup`.
    fn by_wakeup(&mut self, callback: Address) -> Result<Option<Address>, Invalid> {
        let (reader, head) = (self.reader, self.head());
        let task = match self.kind(callback)? {
            Kind::Wakeup => reader.pointer(callback.offset(head))?,
            // After its head, a method of C has its definition and its object.
            Kind::BuiltinMethod => reader.pointer(callback.offset(head + 8))?,
            _ => return Ok(None),
        };
        let is_task = !task.is_null() && self.kind(task)? == Kind::Task;
        Ok(is_task.then_some(task))
    }

    /// The callbacks of a future.
    pub(super) fn callbacks(&mut self, future: Address) -> Result<Vec<Address>, Invalid> {
        let (reader, at) = (self.reader, &self.layout.at);
        let first = reader.pointer(future.offset(at.task.callback0))?;
        if first.is_null() {
            return Ok(Vec::new());
        }
        self.spend(1)?;
        let mut found = vec![first];
        let list = reader.pointer(future.offset(at.task.callbacks))?;
        if list.is_null() || reader.type_name_of(list)? != "list" {
            return Ok(found);
        }
        let count = reader.word(list.offset(reader.layout.at.object.size))?.min(MOST_CALLBACKS);
        self.spend(count)?;
        let pairs = reader.words(reader.pointer(list.offset(at.list.items))?, count)?;
        for pair in pairs {
            // `(callback, context)`.
            found.push(reader.pointer(Address(pair).offset(reader.layout.at.tuple.items))?);
        }
        Ok(found)
    }

    /// Whom one callback tells. Children of one gather share theirs.
    fn by_callback(&mut self, callback: Address, depth: u32) -> Arc<[Told]> {
        if let Some(known) = self.told.get(&callback) {
            return Arc::clone(known);
        }
        // Met again below, it is a cycle.
        self.told.insert(callback, Arc::new([]));
        let told: Arc<[Told]> = self.look_at_callback(callback, depth).unwrap_or_default().into();
        self.told.insert(callback, Arc::clone(&told));
        told
    }

    fn look_at_callback(&mut self, callback: Address, depth: u32) -> Result<Vec<Told>, Invalid> {
        let (reader, head) = (self.reader, self.head());
        // After its head, a method has its function and its object; a `functools.partial` its
        // function and its arguments.
        let second = |callback: Address| reader.pointer(callback.offset(head + 8));
        Ok(match self.kind(callback)? {
            Kind::Method => self.by_owner(second(callback)?)?,
            Kind::Partial => {
                let parts = reader.tuple(second(callback)?)?;
                self.through_futures(&parts, Relation::WaitFor, depth)
            }
            Kind::Function => {
                let Some(relation) = self.relation_of(callback)? else { return Ok(Vec::new()) };
                let parts = self.closure(callback)?;
                self.through_futures(&parts, relation, depth)
            }
            _ => Vec::new(),
        })
    }

    /// The task that a `TaskGroup` tells, whose method the callback is.
    fn by_owner(&mut self, owner: Address) -> Result<Vec<Told>, Invalid> {
        if !self.type_info(owner)?.names.iter().any(|name| &**name == "TaskGroup") {
            return Ok(Vec::new());
        }
        let parent = self.reader.attribute(owner, "_parent_task")?;
        let told = |task| Told { task, relation: Relation::TaskGroup };
        Ok(parent.map(told).into_iter().collect())
    }

    /// The means that a function stands for which asyncio gives as a callback.
    pub(super) fn relation_of(&mut self, function: Address) -> Result<Option<Relation>, Invalid> {
        let code = self.reader.pointer(function.offset(self.layout.at.function.code))?;
        let code = self.code(code)?;
        if code.asyncio.as_deref() != Some("tasks") {
            return Ok(None);
        }
        Ok(match &*code.name {
            "_done_callback" => Some(Relation::Gather),
            "_inner_done_callback" => Some(Relation::Shield),
            "_on_completion" => Some(Relation::Wait),
            _ => None,
        })
    }

    /// The objects that a function has enclosed.
    pub(super) fn closure(&mut self, function: Address) -> Result<Vec<Address>, Invalid> {
        let (reader, head) = (self.reader, self.head());
        let closure = reader.pointer(function.offset(self.layout.at.function.closure))?;
        if closure.is_null() {
            return Ok(Vec::new());
        }
        let cells = reader.tuple(closure)?.into_iter().take(MOST_PARTS);
        Ok(cells.filter_map(|cell| reader.pointer(cell.offset(head)).ok()).collect())
    }

    /// The tasks that wait for the futures among some objects.
    fn through_futures(&mut self, parts: &[Address], relation: Relation, depth: u32) -> Vec<Told> {
        let mut found = Vec::new();
        for part in parts.iter().take(MOST_PARTS) {
            let kind =
                if part.is_null() { Kind::Other } else { self.kind(*part).unwrap_or(Kind::Other) };
            if matches!(kind, Kind::Future | Kind::Gathering) {
                let told = self.told_below(*part, depth);
                found.extend(told.into_iter().map(|told| Told { relation, ..told }));
            }
        }
        found
    }
}
