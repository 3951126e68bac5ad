//! What a change would gain, from what was measured.

use serde::Serialize;

use crate::diagnose::load::Load;
use crate::diagnose::words::{ratio, rounded};
use crate::model::Cause;

/// A gain as an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gain {
    /// The least to expect.
    pub low: f64,
    /// The most to expect.
    pub high: f64,
    /// What the numbers mean.
    pub unit: &'static str,
}

/// Times the throughput of today.
const THROUGHPUT: &str = "times the throughput";

/// Seconds that other tasks of the loop no longer wait: on average, and at worst.
const LATENCY: &str = "seconds less delay for other tasks of the loop (mean, worst)";

/// The share of a divided computation that dividing it costs, taken for the low end: arguments and
/// results are copied, and the pieces are never quite equal.
const OVERHEAD: f64 = 0.2;

/// How many requests in flight are taken for the low and for the high end.
const IN_FLIGHT: (f64, f64) = (4.0, 16.0);

impl Gain {
    fn throughput(low: f64, high: f64) -> Self {
        let high = high.max(1.0);
        Self { low: rounded(low.clamp(1.0, high)), high: rounded(high), unit: THROUGHPUT }
    }

    /// By processes, when several threads queue for the GIL.
    ///
    /// Amdahl: what advances today (threads that compute) against what could advance (those and
    /// the GIL's waiters, at most one for each CPU).
    pub(super) fn of_leaving_the_gil(load: &Load) -> Self {
        let today = load.mean_of(&[Cause::Python, Cause::Native, Cause::CpuWait]);
        let could = (today + load.mean(Cause::Gil)).min(load.facts.usable_cpus);
        let high = ratio(could, today);
        Self::throughput(1.0 + (high - 1.0) * (1.0 - OVERHEAD) - OVERHEAD, high)
    }

    /// By dividing one thread's computation among the CPUs.
    ///
    /// Amdahl with the share of the time that computes as the parallel part; 1 at the low end,
    /// since it is not known whether the work can be divided.
    pub(super) fn of_dividing(load: &Load) -> Option<Self> {
        let cpus = load.facts.usable_cpus;
        let parallel = load.facts.busiest.min(1.0);
        cpus.is_finite().then(|| Self::throughput(1.0, 1.0 / (1.0 - parallel + parallel / cpus)))
    }

    /// By letting the waits of one thread overlap.
    ///
    /// Little's law: with so many requests in flight the throughput is so many times that of one,
    /// as long as the other end keeps its response time and one thread can do what is to be done
    /// between the waits.
    pub(super) fn of_overlapping(load: &Load) -> Self {
        let between = ratio(load.on_cpu(), load.active());
        let most = if between > 0.0 { 1.0 / between } else { f64::INFINITY };
        Self::throughput(IN_FLIGHT.0.min(most), IN_FLIGHT.1.min(most))
    }

    /// By computing while waiting.
    pub(super) fn of_mixing(load: &Load) -> Self {
        let (computes, waits) = (load.on_cpu(), load.io());
        Self::throughput(1.0, ratio(computes + waits, computes.max(waits)))
    }

    /// By not holding a lock while waiting: the queue for it could go on, computations in Python
    /// one at a time.
    pub(super) fn of_smaller_blocks(load: &Load) -> Self {
        let computing = ratio(load.on_cpu(), load.active() - load.entering()).min(1.0);
        let one_at_a_time = if load.facts.gil { computing } else { 0.0 };
        Self::throughput(1.0, 1.0 + load.entering() * (1.0 - one_at_a_time))
    }

    /// By getting the CPUs within reach.
    pub(super) fn of_more_cpu(load: &Load) -> Self {
        Self::throughput(1.0, ratio(1.0, 1.0 - load.starvation()))
    }

    /// By an event loop that is no longer blocked.
    pub(super) fn of_latency(mean: f64, worst: f64) -> Self {
        Self { low: rounded(mean), high: rounded(worst), unit: LATENCY }
    }
}
