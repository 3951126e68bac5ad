//! The task that a thread's loop runs now: the name for a step that blocks it.

use super::find::{current_task, current_tasks, running_loop};
use super::suspended::Suspended;
use super::task::name_of;
use crate::model::Address;
use crate::python::interpreter::{Interpreter, PythonThread};
use crate::python::layout::{AsyncioLayout, TaskList};
use crate::python::object::{Invalid, Reader};
use crate::python::stack::RawFrame;
use crate::target::Memory;

/// A task that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentTask {
    /// Where it lies.
    pub address: Address,
    /// Its name.
    pub name: String,
    /// The frame of its coroutine, the outermost of its await chain.
    pub coroutine: Option<RawFrame>,
}

/// Tells which task a thread's loop runs, and remembers where that is written.
///
/// Costs about ten small reads, and up to 3.13 those of a small dict: meant to be asked once a
/// step, not once a sample.
#[derive(Debug, Default)]
pub struct CurrentTasks {
    /// The dict of the task that each loop runs, by interpreter (up to 3.13).
    dicts: Vec<(u32, Address)>,
}

impl CurrentTasks {
    /// The task that the loop of `thread` runs; `None` when it runs none: a plain callback, or no
    /// loop at all.
    ///
    /// # Errors
    /// When the memory changes under the reader.
    pub fn of<M: Memory>(
        &mut self,
        python: &Interpreter<M>,
        layout: &AsyncioLayout,
        thread: &PythonThread,
    ) -> Result<Option<CurrentTask>, Invalid> {
        let reader = python.reader();
        // Since 3.14 the thread itself tells, whatever its loop.
        let (running, dict) = match layout.task_list {
            TaskList::Linked { .. } => (Address::NULL, None),
            TaskList::Sets => {
                let running = running_loop(reader, layout, thread.address)?;
                if running.is_null() {
                    return Ok(None);
                }
                (running, self.dict(python, layout, thread.interpreter)?)
            }
        };
        let address = current_task(reader, layout, thread.address, running, dict)?;
        if address.is_null() {
            return Ok(None);
        }
        let name = reader.pointer(address.offset(layout.at.task.name))?;
        let coroutine = reader.pointer(address.offset(layout.at.task.coroutine))?;
        Ok(Some(CurrentTask {
            address,
            name: name_of(reader, name)?,
            coroutine: coroutine_frame(reader, layout, coroutine),
        }))
    }

    fn dict<M: Memory>(
        &mut self,
        python: &Interpreter<M>,
        layout: &AsyncioLayout,
        interpreter: u32,
    ) -> Result<Option<Address>, Invalid> {
        let known = self.dicts.iter().find(|(number, _)| *number == interpreter);
        if let Some((_, dict)) = known {
            return Ok(Some(*dict));
        }
        let all = python.interpreters()?;
        let Some((address, _)) = all.into_iter().find(|(_, number)| *number == interpreter) else {
            return Ok(None);
        };
        let dict = current_tasks(python.reader(), layout, address)?;
        self.dicts.extend(dict.map(|dict| (interpreter, dict)));
        Ok(dict)
    }
}

fn coroutine_frame<M: Memory>(
    reader: Reader<'_, M>,
    layout: &AsyncioLayout,
    coroutine: Address,
) -> Option<RawFrame> {
    // Anything else that can be awaited (Cython's coroutines) has no frame.
    if reader.type_name_of(coroutine).ok()? != "coroutine" {
        return None;
    }
    let at = Suspended::read(reader, layout, coroutine).ok()??;
    Some(RawFrame { address: at.frame, code: at.code, instruction: at.instruction })
}
