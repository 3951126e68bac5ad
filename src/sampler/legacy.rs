//! Processes whose interpreter py-spy reads (2.7, 3.6, 3.7): its stacks, the kernel's causes.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::process::add_thread;
use super::schedule::{cpu_delta, schedule_of};
use super::waits::look_at_waits;
use crate::model::{
    Attachment, Failure, Frame, Nanos, Sample, StackId, Tables, ThreadId, ThreadSample, Tid,
    WaitDetails,
};
use crate::python::{LegacyError, LegacyInterpreter, LegacyThread, Version};
use crate::target::{Descriptors, KernelThread, Process, ProcessMemory, Schedule, WaitInspector};

/// A native thread.
#[derive(Debug)]
struct Thread {
    id: ThreadId,
    kernel: KernelThread,
    last: Option<(Nanos, Schedule)>,
}

/// Samples a process with an old interpreter.
pub(super) struct LegacySampler {
    memory: ProcessMemory,
    python: LegacyInterpreter<ProcessMemory>,
    descriptors: Descriptors,
    threads: FxHashMap<Tid, Thread>,
}

impl LegacySampler {
    pub(super) fn attach(process: &Process, blocking: bool) -> Result<Self, LegacyError> {
        let memory = process.memory();
        let python = LegacyInterpreter::new(process, memory.clone(), blocking)?;
        Ok(Self {
            memory,
            python,
            descriptors: Descriptors::new(process),
            threads: FxHashMap::default(),
        })
    }

    pub(super) fn version(&self) -> Version {
        self.python.version()
    }

    /// Takes a sample of all Python threads; those that are new are added to `changed`.
    pub(super) fn sample(
        &mut self,
        process: &Process,
        tables: &mut Tables,
        sample: &mut Sample,
        changed: &mut Vec<ThreadId>,
    ) {
        let tids = process.tids().unwrap_or_default();
        self.threads.retain(|tid, _| tids.contains(tid));
        let Ok(stacks) = self.python.threads(&tids) else {
            let failed = self.threads.values().map(|thread| (thread.id, Failure::Unreadable));
            sample.failures.extend(failed);
            return;
        };
        for stack in stacks.iter().filter(|stack| tids.contains(&stack.tid)) {
            if let Entry::Vacant(place) = self.threads.entry(stack.tid) {
                let Some((id, kernel)) = add_thread(process, stack.tid, Some(0), tables) else {
                    continue;
                };
                changed.push(id);
                place.insert(Thread { id, kernel, last: None });
            }
            if let Some(taken) = self.sample_thread(stack, sample.time, tables) {
                sample.threads.push(taken);
            }
        }
    }

    /// What more there is to say of the waits that `sample`, the last one, saw.
    pub(super) fn look_at_waits(
        &mut self,
        process: &Process,
        tables: &mut Tables,
        sample: &Sample,
        idle: &[ThreadId],
    ) -> BTreeMap<ThreadId, WaitDetails> {
        let inspector = WaitInspector::new(process, &self.memory, &mut self.descriptors, tables);
        let threads = self.threads.values().map(|thread| (thread.id, &thread.kernel));
        look_at_waits(threads, sample, idle, inspector)
    }

    fn sample_thread(
        &mut self,
        stack: &LegacyThread,
        time: Nanos,
        tables: &mut Tables,
    ) -> Option<ThreadSample> {
        let thread = self.threads.get_mut(&stack.tid)?;
        let schedule = schedule_of(&thread.kernel).ok()?;
        let cpu = cpu_delta(&mut thread.last, time, schedule);
        let activity = thread.kernel.activity(&mut self.descriptors, &self.memory, tables).ok()?;
        // Where the GIL lies is not known: a futex may be it or any lock.
        let attachment = if stack.holds_gil { Attachment::Holder } else { Attachment::Unknown };
        let interned =
            stack.frames.iter().rev().fold(StackId::EMPTY, |caller, (function, line)| {
                let function = tables.functions.intern(function.clone());
                let frame = tables.frames.intern(Frame { function, line: *line });
                tables.push_frame(caller, frame)
            });
        Some(ThreadSample {
            thread: thread.id,
            stack: interned,
            activity,
            collecting: false,
            attachment,
            cpu,
            event_loop: None,
            since: time,
            awaits: None,
            gil_holder: None,
        })
    }
}
