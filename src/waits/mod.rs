//! The wait-for graph: which threads wait for each other for ever. Invariant: pure functions of
//! waits; knows neither the process nor the text.

mod graph;
#[cfg(test)]
mod task_fixture;
mod tasks;

pub use self::tasks::task_deadlocks;

use rustc_hash::FxHashMap;

use self::graph::{Dependency, knots};
use crate::model::{Deadlock, LockKind, LockWait, Nanos, ThreadId};

/// How long threads must not have moved for a deadlock among whose owners some are merely likely.
pub const LASTING: Nanos = Nanos(300 * Nanos::MILLISECOND.0);

/// The deadlocks among waits that were seen at one moment, `now`.
///
/// A thread is stuck when everybody who could end its wait is stuck, or has ended. Waits that go on
/// by themselves and threads that moved while they were read make no deadlock. First those that are
/// facts; then those with owners that are merely likely, of threads that have waited for
/// [`LASTING`].
#[must_use]
pub fn deadlocks(waits: &[LockWait], now: Nanos) -> Vec<Deadlock> {
    let mut found = knots_of(waits, true, certain);
    let is_known = |wait: &LockWait| {
        let mut known = found.iter().flat_map(|it| it.ring.iter().chain(&it.victims));
        known.any(|known| known.thread == wait.thread)
    };
    let lasts = |wait: &LockWait| now.since(wait.since) >= LASTING;
    let likely = |wait: &LockWait| (certain(wait) || one_owner(wait)) && lasts(wait);
    let more: Vec<_> = knots_of(waits, false, likely)
        .into_iter()
        .filter(|deadlock| !deadlock.ring.iter().any(is_known))
        .collect();
    found.extend(more);
    found
}

/// Whether some of the waits would be a deadlock if they lasted.
#[must_use]
pub fn is_suspicious<'w>(waits: impl Iterator<Item = &'w LockWait>) -> bool {
    let waits: Vec<_> = waits.cloned().collect();
    waits.iter().any(could_be_abandoned)
        || knots_of(&waits, false, |wait| certain(wait) || one_owner(wait))
            .iter()
            .any(|knot| knot.ring.iter().any(|wait| !certain(wait)))
}

/// The knots among the waits for which `counts`.
fn knots_of(
    waits: &[LockWait],
    certain: bool,
    counts: impl Fn(&LockWait) -> bool,
) -> Vec<Deadlock> {
    let by_thread: FxHashMap<ThreadId, &LockWait> =
        waits.iter().map(|wait| (wait.thread, wait)).collect();
    let dependency = |wait: &LockWait| Dependency {
        party: wait.thread,
        on: wait.owners.iter().filter_map(|owner| owner.thread).collect(),
    };
    let stuck = |wait: &&LockWait| wait.settled && !wait.timed && !wait.owners.is_empty();
    let dependencies: Vec<_> =
        waits.iter().filter(stuck).filter(|wait| counts(wait)).map(dependency).collect();
    let of = |threads: Vec<ThreadId>| -> Vec<LockWait> {
        threads.iter().filter_map(|thread| by_thread.get(thread).copied().cloned()).collect()
    };
    knots(&dependencies)
        .into_iter()
        .map(|knot| Deadlock { ring: of(knot.ring), victims: of(knot.victims), certain })
        .collect()
}

/// Whether it is a fact who can end a wait.
fn certain(wait: &LockWait) -> bool {
    wait.owners.iter().all(|owner| owner.certain)
}

/// Whether there is only one who comes into question: where there are several, that each of them is
/// likely says little.
fn one_owner(wait: &LockWait) -> bool {
    wait.owners.len() == 1
}

/// Whether it could turn out that nobody who lives has what is waited for.
fn could_be_abandoned(wait: &LockWait) -> bool {
    wait.kind == LockKind::Lock && !wait.timed && wait.owners.is_empty()
}
