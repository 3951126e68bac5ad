//! What is done between two samples about threads whose stacks could not be told from mixtures: they are
//! read again, to learn which call leads where.

use std::time::Duration;

use crate::model::{Failure, Nanos, Sample, Tables, ThreadId};
use crate::sampler::{ProcessSampler, monotonic_now, own_thread_cpu_time};

/// How often a thread is read again before the next sample.
const READINGS: u64 = 12;
/// The shortest interval between samples that leaves time for it.
const SHORTEST: Nanos = Nanos(4 * Nanos::MILLISECOND.0);
/// The CPU time that it may take: so much at once, and so many parts in a hundred of the time.
const ALLOWANCE: Nanos = Nanos(60 * Nanos::MILLISECOND.0);
const PERCENT: u64 = 2;

/// Reads stacks again, within a budget.
#[derive(Debug, Default)]
pub(super) struct Study {
    began: Option<Nanos>,
    spent: Nanos,
}

impl Study {
    /// Studies the threads that `sample`, the last one, could not read, for the best part of the interval
    /// to the next one.
    pub(super) fn follow(
        &mut self,
        sampler: &mut ProcessSampler,
        tables: &mut Tables,
        sample: &Sample,
        interval: Nanos,
    ) {
        let torn = sample.failures.iter().filter(|(_, failure)| *failure == Failure::Torn);
        let torn: Vec<ThreadId> = torn.map(|(thread, _)| *thread).collect();
        if torn.is_empty() || interval < SHORTEST {
            return;
        }
        let began = *self.began.get_or_insert(sample.time);
        let budget = ALLOWANCE.0 + sample.time.since(began).0 / 100 * PERCENT;
        // Jitter may bring the next sample early.
        let end = Nanos(sample.time.0 + interval.0 / 2);
        let rest = Duration::from_nanos(interval.0 / 2 / READINGS);
        for _ in 0..READINGS {
            if self.spent.0 >= budget || monotonic_now() >= end {
                return;
            }
            let before = own_thread_cpu_time();
            sampler.study(tables, &torn);
            self.spent.add(own_thread_cpu_time().since(before));
            std::thread::sleep(rest);
        }
    }
}
