//! All threads of a process at one tick.

use std::io;

use rustc_hash::FxHashMap;

use super::symbols::Symbols;
use super::thread::{Missed, Shared, ThreadSampler};
use crate::model::{Nanos, Sample, Tables, ThreadId, ThreadInfo, Tid};
use crate::python::{Interpreter, Invalid, LayoutError, LocateError, PythonThread, Runtime, Version};
use crate::target::{Descriptors, KernelThread, LiveMemory, Process, ProcessState};

/// How often new thread states are looked for.
const LIST_INTERVAL: Nanos = Nanos::MILLISECOND;
/// How often what is dear is looked at: names, threads without Python, replaced code.
const REFRESH_INTERVAL: Nanos = Nanos::SECOND;

/// Why a process cannot be sampled.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// It has no CPython, or none that can be found.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// Its version is not known.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Its interpreter cannot be read.
    #[error("reading the interpreter of process {pid}: {source}")]
    Interpreter {
        /// The process.
        pid: crate::model::Pid,
        /// What was wrong.
        source: Invalid,
    },
    /// Its threads cannot be listed.
    #[error("listing the threads of process {pid}: {source}")]
    Threads {
        /// The process.
        pid: crate::model::Pid,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// The process can no longer be sampled: it has ended, or its place was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped(pub ProcessState);

/// Samples one process.
#[derive(Debug)]
pub struct ProcessSampler {
    process: Process,
    memory: LiveMemory,
    python: Interpreter<LiveMemory>,
    descriptors: Descriptors,
    symbols: Symbols,
    threads: Vec<ThreadSampler>,
    /// The word that changes when a thread state is added, per interpreter.
    list_heads: Vec<u64>,
    listed_at: Nanos,
    refreshed_at: Nanos,
    /// Threads whose info is new or changed, until they are asked for.
    changed: Vec<ThreadId>,
}

impl ProcessSampler {
    /// Attaches to a process: finds its interpreter and its threads. Nothing is changed in it.
    ///
    /// # Errors
    /// When it is not a CPython that is known.
    pub fn attach(process: Process) -> Result<Self, AttachError> {
        let runtime = Runtime::find(&process)?;
        let memory = process.memory();
        let python = Interpreter::new(memory, &runtime)?;
        let descriptors = Descriptors::new(&process);
        let sampler = Self {
            process,
            memory,
            python,
            descriptors,
            symbols: Symbols::default(),
            threads: Vec::new(),
            list_heads: Vec::new(),
            listed_at: Nanos(0),
            refreshed_at: Nanos(0),
            changed: Vec::new(),
        };
        sampler.python.list_heads().map_err(|source| sampler.unreadable(source))?;
        Ok(sampler)
    }

    fn unreadable(&self, source: Invalid) -> AttachError {
        AttachError::Interpreter { pid: self.process.pid(), source }
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The interpreter's version.
    pub fn version(&self) -> Version {
        self.python.version()
    }

    /// Whether any thread is subject to a GIL; only known once a sample was taken.
    pub fn has_gil(&self) -> bool {
        self.threads.iter().any(|thread| thread.python.is_some_and(|python| python.gil.is_some()))
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
        self.keep_up(tables, sample.time)?;
        let mut shared = Shared {
            reader: self.python.reader(),
            memory: &self.memory,
            descriptors: &mut self.descriptors,
            symbols: &mut self.symbols,
            tables,
        };
        self.threads.retain_mut(|thread| match thread.sample(&mut shared, sample.time) {
            Ok(taken) => {
                sample.threads.push(taken);
                true
            }
            Err(Missed::Failed(failure)) => {
                sample.failures.push((thread.id, failure));
                true
            }
            Err(Missed::Gone) => false,
        });
        if sample.threads.is_empty() { self.check_alive() } else { Ok(()) }
    }

    fn check_alive(&self) -> Result<(), Stopped> {
        match self.process.state() {
            ProcessState::Alive => Ok(()),
            state => Err(Stopped(state)),
        }
    }

    /// Follows the threads that come and go.
    fn keep_up(&mut self, tables: &mut Tables, now: Nanos) -> Result<(), Stopped> {
        if now.since(self.refreshed_at) >= REFRESH_INTERVAL {
            self.check_alive()?;
            self.refreshed_at = now;
            self.listed_at = now;
            if self.symbols.drop_replaced(self.python.reader()) {
                self.threads.iter_mut().for_each(ThreadSampler::forget_stack);
            }
            self.relist(tables);
            self.rename(tables);
        } else if now.since(self.listed_at) >= LIST_INTERVAL {
            self.listed_at = now;
            let heads = self.python.list_heads().unwrap_or_default();
            if heads != self.list_heads {
                self.list_heads = heads;
                self.relist(tables);
                self.rename(tables);
            }
        }
        Ok(())
    }

    /// Brings the list of threads up to date.
    fn relist(&mut self, tables: &mut Tables) {
        let Ok(tids) = self.process.tids() else { return };
        // A list that could not be read, because it is changing, is read again at the next tick.
        let Ok(states) = self.python.threads(&tids) else {
            self.list_heads.clear();
            return;
        };
        let mut by_tid: FxHashMap<Tid, PythonThread> = FxHashMap::default();
        for state in states {
            // One native thread may have a state in several interpreters; the list begins with the
            // newest interpreter, which is the one that it runs in most likely.
            by_tid.entry(state.tid).or_insert(state);
        }
        // A thread whose state was replaced has begun or ended its life in Python: it is sampled as
        // another one.
        self.threads.retain(|thread| {
            let tid = tables.thread(thread.id).map_or(0, |info| info.tid);
            tids.contains(&tid) && address_of(thread.python) == address_of(by_tid.get(&tid).copied())
        });
        let mut known: Vec<Tid> = self
            .threads
            .iter()
            .filter_map(|thread| Some(tables.thread(thread.id)?.tid))
            .collect();
        known.sort_unstable();
        for tid in tids.iter().filter(|tid| known.binary_search(tid).is_err()) {
            self.add(*tid, by_tid.get(tid).copied(), tables);
        }
    }

    fn add(&mut self, tid: Tid, python: Option<PythonThread>, tables: &mut Tables) {
        let Ok(kernel) = KernelThread::open(&self.process, tid) else { return };
        let id = ThreadId::from(tables.threads.len());
        tables.threads.push(ThreadInfo {
            tid,
            name: self.process.thread_name(tid).unwrap_or_default().into(),
            python: python.is_some(),
            main: tid == self.process.pid(),
            interpreter: python.map_or(0, |python| python.interpreter),
        });
        self.changed.push(id);
        self.threads.push(ThreadSampler::new(id, kernel, python));
    }

    /// Takes over the names that Python has given its threads.
    fn rename(&mut self, tables: &mut Tables) {
        let names = self.python.thread_names();
        for thread in &self.threads {
            let name = thread.python.and_then(|python| names.get(&python.ident));
            let info = tables.threads.get_mut(usize::from(thread.id));
            if let (Some(name), Some(info)) = (name, info)
                && **name != *info.name
            {
                info.name = name.as_str().into();
                self.changed.push(thread.id);
            }
        }
    }
}

fn address_of(python: Option<PythonThread>) -> Option<crate::model::Address> {
    python.map(|python| python.address)
}
