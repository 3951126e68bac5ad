//! When to look for what threads in locks wait for, and what of it is kept.

use crate::model::{HeldLock, LockKind, LockWait, Nanos, Sample, StateId};

/// How often it is looked for.
const INTERVAL: Nanos = Nanos(Nanos::SECOND.0 / 2);
/// How many times as long as looking takes it must have been left alone: what it may cost.
const REST: u64 = 100;

/// Decides when to look.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LockWatch {
    /// From when on it may be looked again.
    next: Nanos,
}

impl LockWatch {
    /// Whether it is time.
    pub(super) fn is_due(self, now: Nanos) -> bool {
        now >= self.next
    }

    /// Takes down that looking took from `began` to `ended`.
    pub(super) fn looked(&mut self, began: Nanos, ended: Nanos) {
        let rest = Nanos(ended.since(began).0.saturating_mul(REST));
        self.next = Nanos(ended.0.saturating_add(rest.max(INTERVAL).0));
    }
}

/// The locks that other threads have for certain, each with one waiter; `states` says what each of
/// `sample.threads` did.
pub(super) fn held_locks(
    waits: &[LockWait],
    sample: &Sample,
    states: &[StateId],
) -> Vec<(HeldLock, u32)> {
    let held = |wait: &LockWait| {
        let is_lock = matches!(wait.kind, LockKind::Lock | LockKind::RLock | LockKind::Condition);
        let [owner] = wait.owners[..] else { return None };
        let thread =
            owner.thread.filter(|thread| is_lock && owner.certain && *thread != wait.thread)?;
        let place = sample.threads.iter().position(|seen| seen.thread == thread)?;
        let lock = HeldLock {
            kind: wait.kind,
            object: wait.object,
            name: wait.name.clone(),
            site: wait.site,
            owner_site: owner.site,
            owner_state: *states.get(place)?,
        };
        Some((lock, 1))
    };
    waits.iter().filter_map(held).collect()
}

#[cfg(test)]
mod tests {
    use super::LockWatch;
    use crate::model::Nanos;

    #[test]
    fn looking_costs_a_hundredth_of_the_time_at_most() {
        let mut watch = LockWatch::default();
        assert!(watch.is_due(Nanos(20)));
        watch.looked(Nanos(20), Nanos(30));
        assert!(!watch.is_due(Nanos(40)));
        assert!(watch.is_due(Nanos(500_000_030)));
        watch.looked(Nanos(0), Nanos(10_000_000));
        assert!(!watch.is_due(Nanos(1_000_000_000)), "looking took 10 ms: a second of rest");
        assert!(watch.is_due(Nanos(1_010_000_000)));
    }
}
