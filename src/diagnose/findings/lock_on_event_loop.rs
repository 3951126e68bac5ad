//! `lock-on-event-loop`: a thread that runs an event loop waits for other threads.

use crate::diagnose::event_loop::{is_in_step, selector_stacks};
use crate::diagnose::lock_use::{LocksBySite, holders};
use crate::diagnose::locks::lock_words;
use crate::diagnose::words::{ratio, rounded};
use crate::model::{Cause, LockKind};

use super::{Case, Finding, Severity, evidence, total};

const ID: &str = "lock-on-event-loop";

/// From which share of the loop's time on it is told, and from which it is grave.
const MATERIAL: f64 = 0.005;
const GRAVE: f64 = 0.05;
/// From how many samples on.
const FEWEST: u64 = 3;

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let by_site = LocksBySite::of(case.profile);
    let selectors: Vec<_> = case
        .profile
        .threads
        .iter()
        .map(|thread| thread.event_loop.as_ref().map(|_| selector_stacks(case.tables(), thread)))
        .collect();
    let waits = |row: &super::Row| {
        let selectors = selectors.get(usize::from(row.thread)).and_then(Option::as_ref);
        // A file's lock is no thread's: `blocked-event-loop` has it.
        row.state.cause == Cause::Lock
            && row.state.descriptor.is_none()
            && selectors
                .is_some_and(|selectors| is_in_step(case.tables(), selectors, row.state.stack))
            && !case.is_deadlocked(row.thread)
    };
    let mut found = Vec::new();
    for (site, rows) in case.by_site(waits) {
        let count = total(&rows);
        let Some(row) = rows.first() else { continue };
        let all = case.profile.threads.get(usize::from(row.thread)).map_or(0, |it| it.samples);
        let share = ratio(count as f64, all as f64);
        if count < FEWEST || share < MATERIAL {
            continue;
        }
        let lock = by_site.lock_at(case.tables(), row.state.stack);
        let sights = case.profile.locks.sights.iter();
        let sights = sights.filter(|(sight, _)| lock.is_some_and(|lock| lock.is_same(&sight.lock)));
        let holders = holders(case.tables(), sights.map(|(sight, count)| (sight, *count)));
        let what = lock.map_or_else(|| "a lock".to_owned(), lock_words);
        found.push(Finding {
            id: ID,
            name: format!("the event loop waits for {what}"),
            severity: if share >= GRAVE { Severity::Error } else { Severity::Warning },
            share: rounded(share),
            seconds: rounded(case.seconds(count)),
            count,
            site,
            source: None,
            thread: case.thread_name(row.thread),
            task: None,
            evidence: evidence([
                ("share_of", "the loop thread's time".into()),
                ("count_of", "samples of the loop's thread in this wait".into()),
                ("lock", lock.map(|lock| lock.name.to_string()).into()),
                ("kind", lock.map(|lock| lock.kind.name()).into()),
                ("holders", serde_json::to_value(&holders).unwrap_or_default()),
            ]),
            advice: advice(lock.map(|lock| lock.kind)).to_owned(),
        });
    }
    found
}

const fn advice(kind: Option<LockKind>) -> &'static str {
    match kind {
        Some(LockKind::Future) => {
            "Await it: `await asyncio.wrap_future(future)`, or submit the job by \
             `await loop.run_in_executor(...)`. `result()` stops every task of the loop."
        }
        Some(LockKind::ThreadJoin) => {
            "Join in a worker: `await asyncio.to_thread(thread.join)`, or have the thread set an \
             asyncio.Event by `loop.call_soon_threadsafe`."
        }
        Some(LockKind::QueueGet | LockKind::QueuePut | LockKind::SimpleQueue) => {
            "Use asyncio.Queue between tasks. Between threads and the loop, put by \
             `loop.call_soon_threadsafe(queue.put_nowait, item)`, or get by \
             `await asyncio.to_thread(queue.get)`."
        }
        Some(LockKind::Event | LockKind::Condition | LockKind::Barrier) => {
            "Use asyncio's own Event or Condition, and have other threads set it by \
             `loop.call_soon_threadsafe`."
        }
        _ => {
            "While the loop waits for the lock, no task runs. Guard what only tasks share by \
             asyncio.Lock; where threads share it too, do the whole of it in one \
             `await asyncio.to_thread(...)`, and hold the lock for moments only."
        }
    }
}
