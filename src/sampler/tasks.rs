//! The tasks of a process, on demand: dear to enumerate, and therefore no part of a sample.

use super::process::AttachError;
use crate::model::{Address, Awaited, DescriptorId, Pid, Tables, Tasks};
use crate::python::{Asyncio, Interpreter, Invalid, LayoutError, Runtime, Version, is_legacy};
use crate::target::{Connection, Descriptors, Lines, Process, ProcessMemory};

/// Why tasks cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum TasksError {
    /// The process cannot be read at all.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Its Python is too old.
    #[error("process {pid} runs CPython {version}; tasks are told of CPython 3.8 and later")]
    TooOld {
        /// The process.
        pid: Pid,
        /// Its version.
        version: Version,
    },
    /// Its lists of tasks changed at every attempt to read them, or are not what they should be.
    #[error("reading the tasks of process {pid}: {source}")]
    Unreadable {
        /// The process.
        pid: Pid,
        /// What was wrong.
        source: Invalid,
    },
}

/// Reads the tasks of one process.
pub struct TaskSampler {
    process: Process,
    python: Interpreter<ProcessMemory>,
    asyncio: Asyncio,
    lines: Lines,
    /// The tasks of the last look that had not ended: those that fail are asked about until
    /// somebody asks for their exception.
    pending: Vec<Address>,
    descriptors: Descriptors,
}

impl TaskSampler {
    /// Finds the asyncio of a process.
    ///
    /// # Errors
    /// When its Python is not known.
    pub fn attach(process: &Process) -> Result<Self, TasksError> {
        let runtime = Runtime::find(process).map_err(AttachError::from)?;
        if is_legacy(runtime.version) {
            return Err(TasksError::TooOld { pid: process.pid(), version: runtime.version });
        }
        let layout = |error: LayoutError| AttachError::from(error);
        let python = Interpreter::new(process.memory(), &runtime).map_err(layout)?;
        let asyncio = Asyncio::find(process, &python).map_err(layout)?;
        Ok(Self {
            process: process.clone(),
            python,
            asyncio,
            lines: Lines::default(),
            pending: Vec::new(),
            descriptors: Descriptors::new(process),
        })
    }

    /// The socket that a task waits for, as far as its objects lead to one.
    pub fn socket(&mut self, awaits: &Awaited, tables: &mut Tables) -> Option<DescriptorId> {
        let object = if awaits.via.is_null() { awaits.object } else { awaits.via };
        let number = self.asyncio.descriptor(&self.python, object)?;
        Some(self.descriptors.resolve(number, tables))
    }

    /// Whether the object whose method a task waits in limits the wait by a timer of its own.
    #[must_use]
    pub fn limits(&self, awaits: &Awaited) -> bool {
        !awaits.via.is_null() && self.asyncio.has_timer(&self.python, awaits.via)
    }

    /// Whether a timer of a loop will cancel a task.
    #[must_use]
    pub fn will_be_cancelled(&self, task: Address, event_loop: Address) -> bool {
        self.asyncio.will_be_cancelled(&self.python, task, event_loop)
    }

    /// The servers whose answers these selectors are to tell of, with the number of connections.
    pub fn awaited_servers(
        &mut self,
        selectors: &[i32],
        tables: &mut Tables,
    ) -> Vec<(Box<str>, u32)> {
        self.descriptors.awaited_servers(selectors, tables)
    }

    /// The connections that the process has opened.
    pub fn connections(&mut self) -> Vec<Connection> {
        self.descriptors.client_connections()
    }

    /// All loops and tasks as they are now; what their ids mean is added to `tables`.
    ///
    /// # Errors
    /// When the lists of tasks change at every attempt to read them.
    pub fn sample(&mut self, tables: &mut Tables) -> Result<Tasks, TasksError> {
        let pid = self.process.pid();
        let failed = |source| TasksError::Unreadable { pid, source };
        let tids = self.process.tids().unwrap_or_default();
        let threads = self.python.threads(&tids).map_err(failed)?;
        let ended = std::mem::take(&mut self.pending);
        let tasks = self
            .asyncio
            .tasks(&self.python, &threads, tables, &mut self.lines, &ended)
            .map_err(failed)?;
        self.pending = tasks.tasks.iter().map(|task| task.address).collect();
        Ok(tasks)
    }
}
