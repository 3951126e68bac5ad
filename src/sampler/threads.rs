//! All threads of a process at one tick, by our own reader.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::holders::find_holders;
use super::locks::LockSurvey;
use super::loops::Loops;
use super::process::{AttachError, add_thread};
use super::symbols::Symbols;
use super::thread::{Missed, Shared, ThreadSampler};
use super::waits::look_at_waits;
use super::woken::find_woken;
use crate::model::{
    Activity, Failure, Nanos, Sample, StepNews, Survey, Tables, ThreadId, Tid, WaitDetails,
};
use crate::python::{Edges, Gil, GilWaiters, Interpreter, PythonThread, Runtime, Version, Watch};
use crate::target::{Descriptors, Process, ProcessMemory, WaitInspector};

/// How often new thread states are looked for.
const LIST_INTERVAL: Nanos = Nanos::MILLISECOND;
/// How often what is dear is looked at: names, threads without Python, replaced code.
const REFRESH_INTERVAL: Nanos = Nanos::SECOND;
/// The same while code is being replaced: a program that starts frees the code of each module that
/// it has imported, and the next takes its place. Twice as long each time that none was.
const HASTY_INTERVAL: Nanos = Nanos(100 * Nanos::MILLISECOND.0);

/// What reads the process, and what it has learnt.
#[derive(Debug)]
struct Readers {
    memory: ProcessMemory,
    python: Interpreter<ProcessMemory>,
    descriptors: Descriptors,
    symbols: Symbols,
    edges: Edges,
    loops: Loops,
}

impl Readers {
    fn share<'a>(&'a mut self, tables: &'a mut Tables, news: &'a mut Vec<StepNews>) -> Shared<'a> {
        Shared {
            python: &self.python,
            reader: self.python.reader(),
            memory: &self.memory,
            descriptors: &mut self.descriptors,
            symbols: &mut self.symbols,
            edges: &mut self.edges,
            loops: &mut self.loops,
            tables,
            news,
        }
    }
}

/// The threads of one process, followed as they come and go.
#[derive(Debug)]
pub(super) struct Threads {
    /// Whether the process is stopped while a stack is read.
    blocking: bool,
    own: Readers,
    locks: LockSurvey,
    gil_waiters: FxHashMap<Gil, GilWaiters>,
    threads: Vec<ThreadSampler>,
    /// Tells when there is a new thread state; `None` when they must be listed again anyhow.
    watch: Option<Watch>,
    listed_at: Nanos,
    refreshed_at: Nanos,
    /// How long after that it is done again.
    refresh_interval: Nanos,
    /// Whether the interpreter could not be read when it was last looked at.
    lost: bool,
}

impl Threads {
    /// Finds the threads' interpreter.
    pub(super) fn attach(
        process: &Process,
        runtime: &Runtime,
        blocking: bool,
    ) -> Result<Self, AttachError> {
        let memory = process.memory();
        let python = Interpreter::new(memory.clone(), runtime)?;
        // Asked now, so that an interpreter that cannot be read is told before sampling.
        python.watch().map_err(|source| AttachError::Interpreter { pid: process.pid(), source })?;
        Ok(Self {
            blocking,
            own: Readers {
                memory,
                python,
                descriptors: Descriptors::new(process),
                symbols: Symbols::default(),
                edges: Edges::default(),
                loops: Loops::default(),
            },
            locks: LockSurvey::default(),
            gil_waiters: FxHashMap::default(),
            threads: Vec::new(),
            watch: None,
            listed_at: Nanos(0),
            refreshed_at: Nanos(0),
            refresh_interval: HASTY_INTERVAL,
            lost: false,
        })
    }

    pub(super) fn version(&self) -> Version {
        self.own.python.version()
    }

    /// Whether the interpreter is not where it was: the process runs another program, perhaps.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether any thread has a thread state.
    pub(super) fn has_python(&self) -> bool {
        self.threads.iter().any(|thread| thread.python.is_some())
    }

    /// Whether any thread is subject to a GIL.
    pub(super) fn has_gil(&self) -> bool {
        self.threads.iter().any(|thread| thread.python.is_some_and(|python| python.gil.is_some()))
    }

    /// Takes a sample of all threads; those whose info is new or different are added to `changed`.
    pub(super) fn sample(
        &mut self,
        process: &Process,
        tables: &mut Tables,
        sample: &mut Sample,
        changed: &mut Vec<ThreadId>,
    ) {
        self.keep_up(process, tables, sample.time, changed);
        self.own.loops.keep_up(process, &self.own.python, sample.time);
        let mut shared = self.own.share(tables, &mut sample.steps);
        let mut before_stop: Vec<Option<Activity>> = Vec::new();
        let mut stop = None;
        if self.blocking {
            let activity = |thread: &ThreadSampler| thread.activity(&mut shared).ok();
            before_stop = self.threads.iter().map(activity).collect();
            match process.pause() {
                Ok(stopped) => stop = Some(stopped),
                Err(_) => {
                    let failed = self.threads.iter().map(|it| (it.id, Failure::Unreadable));
                    sample.failures.extend(failed);
                    return;
                }
            }
        }
        let mut before_stop = before_stop.into_iter();
        self.threads.retain_mut(|thread| {
            match thread.sample(&mut shared, sample.time, before_stop.next().flatten()) {
                Ok(taken) => {
                    sample.threads.push(taken);
                    true
                }
                Err(Missed::Failed(failure)) => {
                    sample.failures.push((thread.id, failure));
                    true
                }
                Err(Missed::Gone) => false,
            }
        });
        let reader = self.own.python.reader();
        find_woken(reader, &mut self.gil_waiters, &mut self.threads, sample);
        find_holders(&self.threads, sample);
        self.locks.tell_kinds(&self.threads, sample);
        drop(stop);
    }

    /// Reads the stacks of threads again, to learn which call leads where.
    pub(super) fn study(&mut self, tables: &mut Tables, threads: &[ThreadId]) {
        let news = &mut Vec::new();
        let shared = &mut self.own.share(tables, news);
        for thread in self.threads.iter_mut().filter(|thread| threads.contains(&thread.id)) {
            // Whether it can be told from a mixture yet is for the next sample to say.
            let _ = thread.frames(shared);
        }
    }

    /// What the threads wait for that `sample`, the last one, saw blocked in locks, and who has it.
    pub(super) fn look_at_locks(&mut self, tables: &mut Tables, sample: &Sample) -> Survey {
        let news = &mut Vec::new();
        let shared = &mut self.own.share(tables, news);
        self.locks.look(shared.python, &mut self.threads, shared, sample)
    }

    /// What more there is to say of the waits that `sample`, the last one, saw.
    pub(super) fn look_at_waits(
        &mut self,
        process: &Process,
        tables: &mut Tables,
        sample: &Sample,
        idle: &[ThreadId],
    ) -> BTreeMap<ThreadId, WaitDetails> {
        let inspector =
            WaitInspector::new(process, &self.own.memory, &mut self.own.descriptors, tables);
        let threads = self.threads.iter().map(|thread| (thread.id, &thread.kernel));
        look_at_waits(threads, sample, idle, inspector)
    }

    /// Follows the threads that come and go.
    fn keep_up(
        &mut self,
        process: &Process,
        tables: &mut Tables,
        now: Nanos,
        changed: &mut Vec<ThreadId>,
    ) {
        let refresh = now.since(self.refreshed_at) >= self.refresh_interval;
        if !refresh && now.since(self.listed_at) < LIST_INTERVAL {
            return;
        }
        self.listed_at = now;
        let changed_list =
            self.watch.as_mut().is_none_or(|watch| self.own.python.has_changed(watch));
        if refresh {
            self.refreshed_at = now;
            self.refresh_interval = Nanos(self.refresh_interval.0 * 2).min(REFRESH_INTERVAL);
            if self.own.symbols.drop_replaced(self.own.python.reader()) {
                self.refresh_interval = HASTY_INTERVAL;
                self.own.edges.clear();
                self.locks.forget();
                self.threads.iter_mut().for_each(ThreadSampler::forget_stack);
            }
            self.threads.iter_mut().for_each(ThreadSampler::forget_wait);
        }
        if !refresh && !changed_list {
            return;
        }
        let watch = self.own.python.watch();
        self.lost = watch.is_err();
        self.watch = watch.ok();
        self.relist(process, tables, changed);
        self.rename(tables, changed);
    }

    /// Brings the list of threads up to date.
    fn relist(&mut self, process: &Process, tables: &mut Tables, changed: &mut Vec<ThreadId>) {
        let Ok(tids) = process.tids() else { return };
        // A list that could not be read, because it is changing, is read again at the next tick.
        let Ok(states) = self.own.python.threads(&tids) else {
            self.watch = None;
            return;
        };
        let (by_tid, settled) = self.one_state_each(states);
        if !settled {
            self.watch = None;
        }
        for thread in &mut self.threads {
            let Some(info) = tables.threads.get_mut(usize::from(thread.id)) else { continue };
            let python = by_tid.get(&info.tid).copied();
            thread.follow(python);
            if python.is_some() && !info.python {
                info.python = true;
                changed.push(thread.id);
            }
        }
        self.threads
            .retain(|thread| tables.thread(thread.id).is_some_and(|info| tids.contains(&info.tid)));
        let mut known: Vec<Tid> =
            self.threads.iter().filter_map(|thread| Some(tables.thread(thread.id)?.tid)).collect();
        known.sort_unstable();
        for tid in tids.iter().filter(|tid| known.binary_search(tid).is_err()) {
            let python = by_tid.get(tid).copied();
            let interpreter = python.map(|python| python.interpreter);
            let Some((id, kernel)) = add_thread(process, *tid, interpreter, tables) else {
                continue;
            };
            changed.push(id);
            self.threads.push(ThreadSampler::new(id, kernel, python));
        }
    }

    /// The thread state of each native thread, and whether that is the last word.
    ///
    /// A state is in the list before its thread runs; until then it has no native id, or that of
    /// the thread that made it, which is in the list further back. And one native thread may have a
    /// state in several interpreters, of which it runs in one that has a frame.
    fn one_state_each(&self, states: Vec<PythonThread>) -> (FxHashMap<Tid, PythonThread>, bool) {
        let mut by_tid: FxHashMap<Tid, PythonThread> = FxHashMap::default();
        let mut settled = true;
        for state in states {
            if state.tid == 0 {
                settled = false;
                continue;
            }
            match by_tid.entry(state.tid) {
                Entry::Vacant(place) => {
                    place.insert(state);
                }
                Entry::Occupied(mut known) => {
                    let same = known.get().interpreter == state.interpreter;
                    settled &= !same;
                    if same || !self.own.python.has_frame(known.get()) {
                        known.insert(state);
                    }
                }
            }
        }
        (by_tid, settled)
    }

    /// Takes over what Python says of its threads: their names, and who is a daemon.
    fn rename(&self, tables: &mut Tables, changed: &mut Vec<ThreadId>) {
        let idents = self.threads.iter().filter_map(|thread| Some(thread.python?.ident));
        let known = self.own.python.known_threads(idents.collect());
        for thread in &self.threads {
            let known = thread.python.and_then(|python| known.get(&python.ident));
            let info = tables.threads.get_mut(usize::from(thread.id));
            if let (Some(known), Some(info)) = (known, info)
                && (*known.name != *info.name || known.daemon != info.daemon)
            {
                info.name = known.name.as_str().into();
                info.daemon = known.daemon;
                changed.push(thread.id);
            }
        }
    }
}
