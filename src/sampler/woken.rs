//! Tells threads that want the GIL from those that need none, among those that run without it.
//!
//! Every waiter wakes each switch interval and, on a busy machine, then stands in a run queue; so
//! does a thread that had to hand the GIL over. The kernel calls them running, and they have not
//! got the GIL. Two witnesses tell them from C code that released it: the GIL's own account of its
//! waiters, and the instruction that the thread is at.

use rustc_hash::FxHashMap;

use super::thread::ThreadSampler;
use crate::model::{Activity, Attachment, Sample, ThreadSample, WaitKind};
use crate::python::{Gil, GilWaiters, Reader};
use crate::target::ProcessMemory;

/// The threads of a sample that have to do with one GIL.
#[derive(Debug, Default)]
struct Candidates {
    /// Threads asleep in its condition variable, and those known to be woken.
    waiting: usize,
    /// Indices of threads that run without it.
    running: Vec<usize>,
}

/// Corrects the attachments in `sample`; `threads` has the thread of each of its samples, in the
/// same order, among others.
pub(super) fn find_woken(
    reader: Reader<'_, ProcessMemory>,
    accounts: &mut FxHashMap<Gil, GilWaiters>,
    threads: &mut [ThreadSampler],
    sample: &mut Sample,
) {
    let settled = !accounts.is_empty() && accounts.values().all(GilWaiters::is_settled);
    let concerns = |thread: &ThreadSample| match thread.attachment {
        Attachment::Detached => thread.activity == Activity::Running,
        Attachment::GilWaiter => !settled,
        _ => false,
    };
    if !sample.threads.iter().any(concerns) {
        return;
    }
    for (gil, mut candidates) in candidates(threads, sample) {
        let settled = accounts.get(&gil).is_some_and(GilWaiters::is_settled);
        if candidates.running.is_empty() && (candidates.waiting == 0 || settled) {
            continue;
        }
        let account = accounts.entry(gil).or_default();
        let (waiting, running) = (candidates.waiting, candidates.running.len());
        let woken = account
            .count(reader, gil, waiting, running)
            .map_or(0, |count| count.saturating_sub(waiting));
        // Where only some of them are waiters, those that have used the CPU least.
        candidates.running.sort_by_key(|index| {
            sample.threads.get(*index).map_or(u64::MAX, |thread| thread.cpu.ran.0)
        });
        for (place, index) in candidates.running.into_iter().enumerate() {
            let Some(taken) = sample.threads.get_mut(index) else { continue };
            let Some(thread) = threads.iter_mut().find(|it| it.id == taken.thread) else {
                continue;
            };
            if place < woken || !thread.may_run_detached(reader, taken.cpu) {
                taken.attachment = Attachment::WokenGilWaiter;
                thread.is_woken();
            }
        }
    }
}

fn candidates(threads: &[ThreadSampler], sample: &Sample) -> FxHashMap<Gil, Candidates> {
    let mut found: FxHashMap<Gil, Candidates> = FxHashMap::default();
    let mut threads = threads.iter();
    for (index, taken) in sample.threads.iter().enumerate() {
        let thread = threads.by_ref().find(|thread| thread.id == taken.thread);
        let Some(gil) = thread.and_then(|thread| thread.python?.gil) else { continue };
        let candidates = found.entry(gil).or_default();
        match (taken.attachment, taken.activity) {
            (Attachment::GilWaiter, Activity::Blocked(wait)) => match wait.kind {
                WaitKind::Futex { address, .. } if gil.is_wait(address) => candidates.waiting += 1,
                _ => {}
            },
            (Attachment::WokenGilWaiter, _) => candidates.waiting += 1,
            (Attachment::Detached, Activity::Running) => candidates.running.push(index),
            _ => {}
        }
    }
    found
}
