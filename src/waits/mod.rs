//! The wait-for graph: which threads wait for each other for ever. Invariant: pure functions of
//! waits; knows neither the process nor the text.

mod graph;

use rustc_hash::FxHashMap;

use self::graph::{Dependency, knots};
use crate::model::{Deadlock, LockWait, ThreadId};

/// The deadlocks among waits that were seen at one moment.
///
/// A thread is stuck when everybody who could end its wait is stuck, or has ended. Only facts
/// count: waits that go on by themselves, threads that moved while they were read, and owners that
/// are merely likely make no deadlock.
#[must_use]
pub fn deadlocks(waits: &[LockWait]) -> Vec<Deadlock> {
    let by_thread: FxHashMap<ThreadId, &LockWait> =
        waits.iter().map(|wait| (wait.thread, wait)).collect();
    let dependencies: Vec<_> = waits.iter().filter_map(dependency).collect();
    let of = |threads: Vec<ThreadId>| -> Vec<LockWait> {
        threads.iter().filter_map(|thread| by_thread.get(thread).copied().cloned()).collect()
    };
    knots(&dependencies)
        .into_iter()
        .map(|knot| Deadlock { ring: of(knot.ring), victims: of(knot.victims) })
        .collect()
}

/// Whom a wait depends on, when that is certain.
fn dependency(wait: &LockWait) -> Option<Dependency<ThreadId>> {
    let facts = wait.settled && !wait.timed && !wait.owners.is_empty();
    (facts && wait.owners.iter().all(|owner| owner.certain)).then(|| Dependency {
        party: wait.thread,
        on: wait.owners.iter().filter_map(|owner| owner.thread).collect(),
    })
}
