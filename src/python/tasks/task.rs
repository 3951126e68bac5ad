//! One task, as its structure tells.

use super::kinds::Kind;
use super::moment::Moment;
use crate::model::Address;
use crate::python::layout::AsyncioLayout;
use crate::python::object::word;
use crate::python::object::{Invalid, Reader};
use crate::target::{Memory, Span};

/// `STATE_PENDING` of `_asynciomodule.c`.
const PENDING: u32 = 0;
/// `STATE_FINISHED`: with a result or with an exception.
const FINISHED: u32 = 2;
/// Characters of a name that are kept, of a million tasks perhaps.
const LONGEST_NAME: usize = 200;
/// Tasks that wait for one task and are listed.
const MOST_AWAITERS: u64 = 1 << 12;

/// The words of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawTask {
    pub address: Address,
    pub event_loop: Address,
    pub pending: bool,
    /// Asked to be cancelled, and not told its coroutine yet.
    pub must_cancel: bool,
    pub cancel_requests: u32,
    /// The future that it waits for; null when it runs or is ready.
    pub waits_for: Address,
    pub coroutine: Address,
    /// Failed, and nobody has asked for the exception.
    pub unretrieved: bool,
    pub exception: Address,
    name: Address,
    /// The task, or the set of tasks, that waits for it (3.14+).
    awaited_by: Address,
    awaited_by_is_set: bool,
}

impl RawTask {
    /// Reads the task at `address`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read<M: Memory>(
        reader: Reader<'_, M>,
        layout: &AsyncioLayout,
        address: Address,
        buffer: &mut Vec<u8>,
    ) -> Result<Self, Invalid> {
        let at = &layout.at.task;
        // With room for a word at the last field.
        buffer.resize(at.size as usize, 0);
        reader.memory.read(&[Span { address, len: buffer.len() }], buffer)?;
        buffer.extend([0; 8]);
        let word = |offset| word(buffer, offset).ok_or(Invalid::Not("task"));
        // `fut_log_tb` follows the state, but since 3.14 two bytes on awaiters lie between.
        let tracebacks = at.is_task.map_or(at.state + 4, |is_task| is_task + 2);
        let optional = |offset: Option<u64>| offset.map_or(Ok(0), word);
        Ok(Self {
            address,
            event_loop: Address(word(at.event_loop)?),
            pending: word(at.state)? as u32 == PENDING,
            must_cancel: word(at.must_cancel)? & at.must_cancel_mask != 0,
            cancel_requests: optional(at.cancel_requests)? as u32,
            waits_for: Address(word(at.fut_waiter)?),
            coroutine: Address(word(at.coroutine)?),
            unretrieved: word(at.state)? as u32 == FINISHED && word(tracebacks)? & 1 != 0,
            // `fut_exception` has followed `fut_callbacks` in every version.
            exception: Address(word(at.callbacks + 8)?),
            name: Address(word(at.name)?),
            awaited_by: Address(optional(at.awaited_by)?),
            awaited_by_is_set: optional(at.awaited_by_is_set)? as u8 != 0,
        })
    }
}

impl<M: Memory> Moment<'_, M> {
    /// A task's name.
    pub(super) fn task_name(&mut self, task: &RawTask) -> Result<String, Invalid> {
        let mut name = match self.kind(task.name)? {
            Kind::Integer => numbered(self.reader, task.name)?,
            _ => self.reader.text(task.name)?,
        };
        if let Some((end, _)) = name.char_indices().nth(LONGEST_NAME) {
            name.truncate(end);
        }
        Ok(name)
    }

    /// The tasks that CPython itself says wait for a task (3.14+).
    pub(super) fn published_awaiters(&self, task: &RawTask) -> Result<Vec<Address>, Invalid> {
        if task.awaited_by.is_null() {
            return Ok(Vec::new());
        }
        if !task.awaited_by_is_set {
            return Ok(vec![task.awaited_by]);
        }
        let at = &self.layout.at.set;
        let slots = self.reader.word(task.awaited_by.offset(at.mask))?.wrapping_add(1);
        if !slots.is_power_of_two() || slots > MOST_AWAITERS {
            return Err(Invalid::Not("set"));
        }
        let table = self.reader.pointer(task.awaited_by.offset(at.table))?;
        let words = self.reader.words(table, slots * 2)?;
        let used = |entry: &&[u64; 2]| entry[0] != 0 && entry[1] != u64::MAX;
        Ok(words.as_chunks::<2>().0.iter().filter(used).map(|entry| Address(entry[0])).collect())
    }

    /// Whether the future at `future` has a result or an exception.
    pub(super) fn has_finished(&self, future: Address) -> Result<bool, Invalid> {
        let state = self.reader.int32(future.offset(self.layout.at.task.state))?;
        Ok(state as u32 == FINISHED)
    }

    /// Whether the future at `future` is done.
    pub(super) fn is_done(&mut self, future: Address) -> bool {
        let is_future = self.kind(future).is_ok_and(Kind::is_future);
        let state = self.reader.int32(future.offset(self.layout.at.task.state));
        is_future && state.is_ok_and(|state| state as u32 != PENDING)
    }
}

/// A task's name from the object that stands for it: a text, or a number until somebody asks for
/// the name (3.12+).
pub(super) fn name_of<M: Memory>(reader: Reader<'_, M>, name: Address) -> Result<String, Invalid> {
    match reader.text(name) {
        Ok(text) => Ok(text),
        Err(_) if reader.type_name_of(name)? == "int" => numbered(reader, name),
        Err(error) => Err(error),
    }
}

fn numbered<M: Memory>(reader: Reader<'_, M>, number: Address) -> Result<String, Invalid> {
    Ok(format!("Task-{}", reader.integer(number)?))
}
