//! asyncio from outside: every running loop, all its tasks, what they await and who awaits them.

mod awaited;
mod chain;
mod codes;
mod current;
mod failed;
mod find;
mod jobs;
mod kinds;
mod loop_info;
mod moment;
mod peers;
mod plight;
mod queues;
mod scopes;
mod snapshot;
mod suspended;
mod task;
mod told;

pub use self::current::{CurrentTask, CurrentTasks};

use self::moment::Moment;
use self::snapshot::Snapshot;
use super::interpreter::{Interpreter, PythonThread};
use super::layout::{AsyncioLayout, LayoutError, TaskList};
use super::object::{Invalid, Reader};
use crate::model::{Address, Tables, Tasks};
use crate::target::{Lines, Memory, PageCache, Process};

/// Attempts to read lists of tasks that change meanwhile.
const ATTEMPTS: usize = 5;

/// The asyncio of one process.
#[derive(Debug, Clone)]
pub struct Asyncio {
    layout: AsyncioLayout,
}

impl Asyncio {
    /// Finds out how the asyncio of a process is laid out: by the tables, and since 3.14 by what it
    /// publishes itself in the section `.AsyncioDebug` of the program or of its extension module.
    ///
    /// # Errors
    /// When the version is not known, or what is published makes no sense.
    pub fn find<M: Memory>(
        process: &Process,
        python: &Interpreter<M>,
    ) -> Result<Self, LayoutError> {
        let reader = python.reader();
        let version = reader.layout.version;
        let layout = AsyncioLayout::of(version, reader.memory, python.runtime, None)?;
        let layout = match layout.task_list {
            TaskList::Sets => layout,
            TaskList::Linked { .. } => {
                let debug = published(process);
                AsyncioLayout::of(version, reader.memory, python.runtime, debug)?
            }
        };
        Ok(Self { layout })
    }

    /// The layout.
    pub fn layout(&self) -> &AsyncioLayout {
        &self.layout
    }

    /// The loop that a thread runs; null when it runs none.
    ///
    /// # Errors
    /// When the memory changes under the reader.
    pub fn running_loop<M: Memory>(
        &self,
        python: &Interpreter<M>,
        thread: &PythonThread,
    ) -> Result<Address, Invalid> {
        find::running_loop(python.reader(), &self.layout, thread.address)
    }

    /// The descriptor of the socket behind an object that a task waits for; `None` where none is
    /// found.
    pub fn descriptor<M: Memory>(&self, python: &Interpreter<M>, object: Address) -> Option<i32> {
        peers::descriptor(python.reader(), &self.layout, object).ok().flatten()
    }

    /// Whether an object whose method a task waits in keeps a timer of its own.
    pub fn has_timer<M: Memory>(&self, python: &Interpreter<M>, object: Address) -> bool {
        peers::has_timer(python.reader(), object).unwrap_or(false)
    }

    /// Whether a timer of a loop calls a method of a task's: its `cancel`.
    pub fn will_be_cancelled<M: Memory>(
        &self,
        python: &Interpreter<M>,
        task: Address,
        event_loop: Address,
    ) -> bool {
        peers::is_called_by_timer(python.reader(), &self.layout, task, event_loop).unwrap_or(false)
    }

    /// All loops and tasks. `ended` are tasks that were there before and may have failed since.
    /// `threads` are the interpreter's thread states, `lines` the room for the
    /// memory that is read; a caller that keeps it saves taking it anew.
    ///
    /// # Errors
    /// When the lists of tasks change at every attempt to read them.
    pub fn tasks<M: Memory>(
        &self,
        python: &Interpreter<M>,
        threads: &[PythonThread],
        tables: &mut Tables,
        lines: &mut Lines,
        ended: &[Address],
    ) -> Result<Tasks, Invalid> {
        let Reader { memory, layout } = python.reader();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let pages = PageCache::new(memory, lines);
            let reader = Reader { memory: &pages, layout };
            let moment = Moment::new(reader, &self.layout, tables);
            match Snapshot::new(moment).take(&python.interpreters()?, threads, ended) {
                Err(_) if attempt < ATTEMPTS => {}
                taken => {
                    lines.shrink();
                    return taken;
                }
            }
        }
    }
}

/// Where asyncio publishes its offsets.
fn published(process: &Process) -> Option<Address> {
    let maps = process.maps().ok()?;
    let mut seen = None;
    maps.iter()
        .filter(|mapping| {
            let name = mapping.path.as_deref().and_then(|path| path.file_name()?.to_str());
            let likely = name.is_some_and(|name| {
                ["_asyncio", "python", "libpython"].iter().any(|prefix| name.starts_with(prefix))
            });
            let new = seen != mapping.path;
            seen.clone_from(&mapping.path);
            likely && new
        })
        .find_map(|mapping| process.elf(mapping).ok()?.section(".AsyncioDebug"))
        .map(|section| section.address)
}
