//! Tasks that nobody looks after: unreferenced ones, the siblings that a failed `gather` left
//! behind, and those whose exception nobody has asked for.

use super::chain::Chain;
use super::kinds::Kind;
use super::moment::Moment;
use super::suspended::code_of;
use super::task::RawTask;
use crate::model::{Address, Plight, Relation, StackId};
use crate::python::layout::TaskList;
use crate::python::object::Invalid;
use crate::target::Memory;

/// The classes of the arguments with which asyncio's server calls its handler. It kept no reference
/// to the handler's task up to 3.11, which is no fault of the program's.
const HANDLER_ARGUMENTS: [&str; 2] = ["StreamReader", "StreamWriter"];

impl<M: Memory> Moment<'_, M> {
    /// What has become of a task that waits and that no task waits for.
    pub(super) fn plight(&mut self, task: &RawTask, chain: &Chain) -> Option<Plight> {
        if self.is_left_by_gather(task).unwrap_or(false) {
            return Some(Plight::LeftByGather);
        }
        let orphan = self.is_unreferenced(task).unwrap_or(false);
        (orphan && !self.handles_connection(chain)).then_some(Plight::Orphan)
    }

    /// What a task that has failed is in while nobody has asked for its exception.
    pub(super) fn unretrieved(&mut self, task: &RawTask) -> Option<Plight> {
        let exception = Some(task.exception).filter(|_| task.unretrieved)?;
        let name = if exception.is_null() {
            String::new()
        } else {
            self.reader.type_name_of(exception).ok()?
        };
        Some(Plight::Unretrieved { exception: name.into(), at_hand: false })
    }

    /// Where the coroutine of a task that has ended is defined, as a stack.
    pub(super) fn definition(&mut self, coroutine: Address) -> Result<StackId, Invalid> {
        if self.kind(coroutine)? != Kind::Generator {
            return Ok(StackId::EMPTY);
        }
        let code = code_of(self.reader, self.layout, coroutine)?;
        let frame = self.codes.get(self.reader, self.tables, code)?.definition(self.tables);
        Ok(self.tables.push_frame(StackId::EMPTY, frame))
    }

    /// Whether a task has no other reference than the one by which it is woken: nothing that the
    /// program has keeps it.
    fn is_unreferenced(&self, task: &RawTask) -> Result<bool, Invalid> {
        // Since 3.14 what a task waits for knows the task, too.
        let own = match self.layout.task_list {
            TaskList::Sets => 1,
            TaskList::Linked { .. } => 2,
        };
        Ok(self.references(task)? <= own)
    }

    /// `ob_refcnt`; of a free-threaded build `ob_ref_local` and `ob_ref_shared` together.
    fn references(&self, task: &RawTask) -> Result<i64, Invalid> {
        let low = |at: u64| self.reader.int32(task.address.offset(at)).map(i64::from);
        match self.reader.layout.at.object.mutex {
            // Two bits of the shared count are flags.
            Some(mutex) => Ok(low(mutex + 2)? + (low(mutex + 6)? >> 2)),
            None => low(0),
        }
    }

    /// Whether a task was given to a `gather` that has raised meanwhile.
    fn is_left_by_gather(&mut self, task: &RawTask) -> Result<bool, Invalid> {
        for callback in self.callbacks(task.address)? {
            if self.kind(callback)? != Kind::Function
                || self.relation_of(callback)? != Some(Relation::Gather)
            {
                continue;
            }
            for part in self.closure(callback)? {
                if !part.is_null()
                    && self.kind(part)? == Kind::Gathering
                    && self.has_finished(part)?
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether a task is the handler of a connection that asyncio's server has accepted.
    fn handles_connection(&mut self, chain: &Chain) -> bool {
        let Some(outermost) = chain.links.first().copied() else { return false };
        let Ok(names) = self
            .codes
            .get(self.reader, self.tables, outermost.at.code)
            .and_then(|code| code.locals(self.reader, outermost.at.code))
        else {
            return false;
        };
        HANDLER_ARGUMENTS.iter().all(|class| {
            names.iter().take(3).any(|name| {
                self.local(&outermost, name)
                    .and_then(|object| self.type_info(object).ok())
                    .is_some_and(|info| info.names.iter().any(|name| **name == **class))
            })
        })
    }
}
