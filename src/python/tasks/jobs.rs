//! Jobs in executors that tasks wait for: whether they have begun, and which thread is at them.

use rustc_hash::FxHashMap;

use super::moment::{Link, Moment};
use crate::model::{Address, Job, Tid};
use crate::python::interpreter::PythonThread;
use crate::target::Memory;

/// Threads whose frames are searched for jobs.
const MOST_THREADS: usize = 1 << 10;
/// The method of `concurrent.futures.thread` that runs a job, and the class that has it.
const RUN: (&str, &str) = ("run", "_WorkItem");

impl<M: Memory> Moment<'_, M> {
    /// The threads that are at a job, by the future of `concurrent.futures` that it fulfils.
    pub(super) fn running_jobs(&mut self, threads: &[PythonThread]) -> FxHashMap<Address, Tid> {
        let threads = threads.iter().take(MOST_THREADS);
        threads.filter_map(|thread| Some((self.job_of(thread)?, thread.tid))).collect()
    }

    fn job_of(&mut self, thread: &PythonThread) -> Option<Address> {
        let frames = self.running_frames(thread, Address::NULL)?;
        // The job is the outermost that such a thread does.
        frames.into_iter().rev().find_map(|at| {
            let named = self.code(at.code).is_ok_and(|code| *code.name == *RUN.0);
            let frame = named.then(|| self.frame(at.code, at.instruction).ok())??;
            let item = self.local(&Link { at, frame }, "self")?;
            let info = self.type_info(item).ok()?;
            (info.name() == RUN.1).then(|| self.reader.attribute(item, "future").ok()?)?
        })
    }

    /// What has become of a job by its future.
    pub(super) fn job(&self, future: Address, running: &FxHashMap<Address, Tid>) -> Option<Job> {
        if let Some(tid) = running.get(&future) {
            return Some(Job::InThread(*tid));
        }
        let state = self.reader.attribute(future, "_state").ok()??;
        match &*self.reader.text(state).ok()? {
            "PENDING" => Some(Job::Queued),
            "RUNNING" => Some(Job::Elsewhere),
            _ => None,
        }
    }
}
