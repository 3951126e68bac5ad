//! One process, whichever reader its interpreter needs.

use std::collections::BTreeMap;

use super::legacy::LegacySampler;
use super::threads::Threads;
use crate::model::{Nanos, Pid, Sample, Survey, Tables, ThreadId, ThreadInfo, Tid, WaitDetails};
use crate::python::{Invalid, LayoutError, LegacyError, LocateError, Runtime, Version, is_legacy};
use crate::target::{KernelThread, PauseError, Process, ProcessState};

/// How often it is asked whether the process is still the one that it was.
const IDENTITY_INTERVAL: Nanos = Nanos::SECOND;
/// The same while its interpreter is not to be found.
const LOST_INTERVAL: Nanos = Nanos(Nanos::SECOND.0 / 20);

/// Why a process cannot be sampled.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// It has no CPython, or none that can be found.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// Its version is not known.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// It has an old Python, which cannot be read.
    #[error(transparent)]
    Legacy(#[from] LegacyError),
    /// It has no Python thread.
    #[error("process {pid} has no Python thread: it has not begun to run Python, or is ending")]
    NoThread {
        /// The process.
        pid: Pid,
    },
    /// Its interpreter cannot be read.
    #[error("reading the interpreter of process {pid}: {source}")]
    Interpreter {
        /// The process.
        pid: Pid,
        /// What was wrong.
        source: Invalid,
    },
    /// It cannot be stopped, which was asked for.
    #[error(transparent)]
    Pause(#[from] PauseError),
}

/// The process can no longer be sampled: it has ended, or its place was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped(pub ProcessState);

/// Samples one process.
pub struct ProcessSampler {
    process: Process,
    blocking: bool,
    reader: ThreadReader,
    identified_at: Nanos,
    changed: Vec<ThreadId>,
}

/// What reads the threads.
enum ThreadReader {
    Own(Box<Threads>),
    PySpy(Box<LegacySampler>),
}

impl ThreadReader {
    fn attach(process: &Process, blocking: bool) -> Result<Self, AttachError> {
        let runtime = Runtime::find(process)?;
        Ok(if is_legacy(runtime.version) {
            Self::PySpy(Box::new(LegacySampler::attach(process, blocking)?))
        } else {
            Self::Own(Box::new(Threads::attach(process, &runtime, blocking)?))
        })
    }

    /// Whether the interpreter is not where it was.
    fn is_lost(&self) -> bool {
        matches!(self, Self::Own(threads) if threads.is_lost())
    }
}

impl ProcessSampler {
    /// Attaches to a process: finds its interpreter. Nothing is changed in it. With `blocking` it
    /// is stopped each time that a stack is read.
    ///
    /// # Errors
    /// When it is not a CPython that is known, or should be stopped and cannot be.
    pub fn attach(process: Process, blocking: bool) -> Result<Self, AttachError> {
        let reader = ThreadReader::attach(&process, blocking)?;
        if blocking {
            drop(process.pause()?);
        }
        Ok(Self { process, blocking, reader, identified_at: Nanos(0), changed: Vec::new() })
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The interpreter's version.
    pub fn version(&self) -> Version {
        match &self.reader {
            ThreadReader::Own(threads) => threads.version(),
            ThreadReader::PySpy(threads) => threads.version(),
        }
    }

    /// Whether any thread runs Python; only known once a sample was taken.
    pub fn has_python(&self) -> bool {
        match &self.reader {
            ThreadReader::Own(threads) => threads.has_python(),
            ThreadReader::PySpy(_) => true,
        }
    }

    /// Whether any thread is subject to a GIL; only known once a sample was taken.
    pub fn has_gil(&self) -> bool {
        match &self.reader {
            ThreadReader::Own(threads) => threads.has_gil(),
            ThreadReader::PySpy(_) => true,
        }
    }

    /// The threads whose info is new or has changed since the last call.
    pub fn take_changed(&mut self) -> Vec<ThreadId> {
        std::mem::take(&mut self.changed)
    }

    /// Takes a sample of all threads into `sample`, whose `time` and `late` are the caller's.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn sample(&mut self, tables: &mut Tables, sample: &mut Sample) -> Result<(), Stopped> {
        sample.threads.clear();
        sample.failures.clear();
        sample.steps.clear();
        match &mut self.reader {
            ThreadReader::Own(threads) => {
                threads.sample(&self.process, tables, sample, &mut self.changed);
            }
            ThreadReader::PySpy(threads) => {
                threads.sample(&self.process, tables, sample, &mut self.changed);
            }
        }
        // Asked after reading: what was read came from the process that it is still.
        let interval = if self.reader.is_lost() { LOST_INTERVAL } else { IDENTITY_INTERVAL };
        let due = sample.time.since(self.identified_at) >= interval;
        if due || sample.threads.is_empty() {
            self.identified_at = sample.time;
            match self.process.state() {
                ProcessState::Alive => {}
                state => return Err(Stopped(state)),
            }
            // It lives, and runs another program: its interpreter is somewhere else, if it has one.
            if self.reader.is_lost()
                && let Ok(reader) = ThreadReader::attach(&self.process, self.blocking)
            {
                self.reader = reader;
            }
        }
        Ok(())
    }

    /// Reads the stacks of threads again whose last sample was rejected, to learn which call leads
    /// where.
    pub fn study(&mut self, tables: &mut Tables, threads: &[ThreadId]) {
        if let ThreadReader::Own(reader) = &mut self.reader {
            reader.study(tables, threads);
        }
    }

    /// What the threads that `sample` saw blocked in locks wait for, and who has that. `sample` is
    /// the last one; nothing is known of versions that are read by other means.
    pub fn look_at_locks(&mut self, tables: &mut Tables, sample: &Sample) -> Survey {
        match &mut self.reader {
            ThreadReader::Own(threads) => threads.look_at_locks(tables, sample),
            ThreadReader::PySpy(_) => Survey::default(),
        }
    }

    /// What more there is to say of the waits that `sample`, the last one, saw, by thread. Of
    /// threads that are `idle` it is not told what they watch.
    pub fn look_at_waits(
        &mut self,
        tables: &mut Tables,
        sample: &Sample,
        idle: &[ThreadId],
    ) -> BTreeMap<ThreadId, WaitDetails> {
        match &mut self.reader {
            ThreadReader::Own(it) => it.look_at_waits(&self.process, tables, sample, idle),
            ThreadReader::PySpy(it) => it.look_at_waits(&self.process, tables, sample, idle),
        }
    }
}

/// Opens a thread and gives it its place in the tables; `None` when it has ended meanwhile.
/// `interpreter` is the number of the interpreter that it has a thread state in.
pub(super) fn add_thread(
    process: &Process,
    tid: Tid,
    interpreter: Option<u32>,
    tables: &mut Tables,
) -> Option<(ThreadId, KernelThread)> {
    let kernel = KernelThread::open(process, tid).ok()?;
    let id = ThreadId::from(tables.threads.len());
    tables.threads.push(ThreadInfo {
        tid,
        name: process.thread_name(tid).unwrap_or_default().into(),
        python: interpreter.is_some(),
        main: tid == process.pid(),
        interpreter: interpreter.unwrap_or(0),
        daemon: None,
    });
    Some((id, kernel))
}
