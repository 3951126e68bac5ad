//! What is known of a recording as a whole.

use serde::{Deserialize, Serialize};

use crate::model::{Nanos, Pid};

/// Where a recording comes from and how it was made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// pyconc's version.
    pub recorder: String,
    /// The target's process id.
    pub pid: Pid,
    /// The target's command line.
    pub command: Vec<String>,
    /// The interpreter's version, as `3.13.5`.
    pub python: String,
    /// Whether the interpreter was built without the GIL.
    pub free_threaded: bool,
    /// Whether a GIL is in force (a free-threaded build may run with it).
    pub gil: bool,
    /// CPUs that the target may use: affinity and cgroup quota.
    pub usable_cpus: f64,
    /// The process that it was forked from, if it runs that one's program.
    pub forked_from: Option<Pid>,
    /// Samples a second that were asked for; 0 for as many as possible.
    pub rate: f64,
    /// From which length on a step blocks its event loop.
    pub threshold: Nanos,
    /// Seconds since the Unix epoch at the first sample.
    pub started_at: i64,
    /// `CLOCK_MONOTONIC` at the first sample.
    pub origin: Nanos,
    /// How old the target was then.
    pub age: Nanos,
}

impl Meta {
    /// The time between two samples that was asked for; 0 for as short as possible.
    #[must_use]
    pub fn interval(&self) -> Nanos {
        if self.rate > 0.0 { Nanos((1e9 / self.rate) as u64) } else { Nanos(0) }
    }
}

/// How well sampling went. All counts are of the span that they belong to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// Samples of the process.
    pub samples: u64,
    /// Samples of threads.
    pub thread_samples: u64,
    /// Samples of threads that were rejected after retries.
    pub rejected: u64,
    /// Ticks that came more than half an interval late, or were left out.
    pub late: u64,
    /// Time on the clock.
    pub elapsed: Nanos,
    /// pyconc's own CPU time.
    pub own_cpu: Nanos,
}

/// What the target used, by the kernel's accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time of all threads.
    pub cpu: Nanos,
    /// Time that its threads were ready and had no CPU.
    pub queued: Nanos,
    /// Resident memory in bytes at the end of the span.
    pub resident: u64,
}

impl Quality {
    /// Adds another span's.
    pub(super) fn add(&mut self, more: &Self) {
        self.samples = self.samples.saturating_add(more.samples);
        self.thread_samples = self.thread_samples.saturating_add(more.thread_samples);
        self.rejected = self.rejected.saturating_add(more.rejected);
        self.late = self.late.saturating_add(more.late);
        self.elapsed.add(more.elapsed);
        self.own_cpu.add(more.own_cpu);
    }
}

impl Usage {
    /// Adds that of the span that follows.
    pub(super) fn add(&mut self, more: &Self) {
        self.cpu.add(more.cpu);
        self.queued.add(more.queued);
        // A process that has ended has none: what it had last is told.
        if more.resident != 0 {
            self.resident = more.resident;
        }
    }
}
