//! When to look for what threads in locks wait for.

use crate::model::{Activity, Attachment, Nanos, Sample, ThreadSample, Wait, WaitKind};

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
    /// Whether it is time, and any thread has been in a lock since the sample before.
    pub(super) fn is_due(self, sample: &Sample) -> bool {
        sample.time >= self.next && sample.threads.iter().any(waits)
    }

    /// Takes down that looking took from `began` to `ended`.
    pub(super) fn looked(&mut self, began: Nanos, ended: Nanos) {
        let rest = Nanos(ended.since(began).0.saturating_mul(REST));
        self.next = Nanos(ended.0.saturating_add(rest.max(INTERVAL).0));
    }
}

/// Whether a thread was in a lock all the time since the sample before.
fn waits(thread: &ThreadSample) -> bool {
    let in_futex =
        matches!(thread.activity, Activity::Blocked(Wait { kind: WaitKind::Futex { .. }, .. }));
    in_futex && thread.attachment == Attachment::Detached && thread.cpu.switches == 0
}

#[cfg(test)]
mod tests {
    use super::LockWatch;
    use crate::model::{
        Activity, Attachment, CpuDelta, Nanos, Sample, StackId, ThreadId, ThreadSample, Wait,
        WaitKind,
    };

    fn sample(time: u64, switches: u64) -> Sample {
        let kind = WaitKind::Futex { address: 64, stack_pointer: 32, shared: false };
        let wait = Wait { kind, syscall: 202, timed: false, uninterruptible: false };
        let thread = ThreadSample {
            thread: ThreadId(0),
            stack: StackId::EMPTY,
            activity: Activity::Blocked(wait),
            attachment: Attachment::Detached,
            cpu: CpuDelta { switches, ..CpuDelta::default() },
            event_loop: None,
        };
        Sample { time: Nanos(time), threads: vec![thread], ..Sample::default() }
    }

    #[test]
    fn waits_that_last_are_looked_at_now_and_then() {
        let mut watch = LockWatch::default();
        assert!(!watch.is_due(&sample(10, 1)), "the thread has just begun to wait");
        assert!(!watch.is_due(&Sample::default()));
        assert!(watch.is_due(&sample(20, 0)));
        watch.looked(Nanos(20), Nanos(30));
        assert!(!watch.is_due(&sample(40, 0)));
        assert!(watch.is_due(&sample(500_000_030, 0)));
        watch.looked(Nanos(0), Nanos(10_000_000));
        assert!(!watch.is_due(&sample(1_000_000_000, 0)), "looking took 10 ms: 1 s of rest");
        assert!(watch.is_due(&sample(1_010_000_000, 0)));
    }
}
