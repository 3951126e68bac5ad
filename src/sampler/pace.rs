//! When to sample: jittered ticks on the monotonic clock, that never queue up.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use rustix::process::setpriority_process;

use crate::model::Nanos;

/// How far a tick may be moved from its place, as a share of the interval. Without it, a target
/// with a period of its own near the interval's would be seen at one phase of it for long.
const JITTER: f64 = 0.4;

/// The nice value that is asked for, since a late sample widens every bound that rests on it.
const PRIORITY: i32 = -10;

/// The time on `CLOCK_MONOTONIC`, which is also asyncio's clock.
#[must_use]
pub fn monotonic_now() -> Nanos {
    read_clock(ClockId::CLOCK_MONOTONIC)
}

/// The CPU time that this process has used.
#[must_use]
pub fn own_cpu_time() -> Nanos {
    read_clock(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// The CPU time that the calling thread has used.
#[must_use]
pub fn own_thread_cpu_time() -> Nanos {
    read_clock(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn read_clock(clock: ClockId) -> Nanos {
    // None of these clocks can fail on Linux.
    clock_gettime(clock).map(|time| std::time::Duration::from(time).into()).unwrap_or_default()
}

/// Asks for a higher priority; where that is not allowed, things stay as they are.
pub fn raise_priority() {
    let _ = setpriority_process(None, PRIORITY);
}

/// A moment at which to sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// When it came.
    pub time: Nanos,
    /// How long after its planned time.
    pub late: Nanos,
    /// How many ticks before it were left out, because their time had passed.
    pub skipped: u64,
}

/// A sequence of ticks.
#[derive(Debug)]
pub struct Pace {
    /// Zero: as fast as possible.
    interval: u64,
    origin: Nanos,
    /// The number of the next tick.
    next: u64,
    jitter: fastrand::Rng,
}

impl Pace {
    /// Ticks `rate` times a second, from now on; as many as possible when `rate` is 0.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        let interval = if rate > 0.0 { (1e9 / rate) as u64 } else { 0 };
        Self { interval, origin: monotonic_now(), next: 0, jitter: fastrand::Rng::new() }
    }

    /// Waits for the next tick, but not beyond `end`; `None` when `stop` was set meanwhile.
    pub fn wait(&mut self, stop: &AtomicBool, end: Option<Nanos>) -> Option<Tick> {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let now = monotonic_now();
        if self.interval == 0 {
            return Some(Tick { time: now, late: Nanos(0), skipped: 0 });
        }
        let due = now.since(self.origin).0 / self.interval;
        let skipped = due.saturating_sub(self.next);
        self.next = self.next.max(due);
        let shift = (self.jitter.f64() * JITTER * self.interval as f64) as u64;
        let planned = Nanos(self.origin.0 + self.next * self.interval + shift);
        self.next += 1;
        let planned = end.map_or(planned, |end| planned.min(end));
        while monotonic_now() < planned {
            sleep_until(planned);
            if stop.load(Ordering::Relaxed) {
                return None;
            }
        }
        let time = monotonic_now();
        Some(Tick { time, late: time.since(planned), skipped })
    }
}

/// Sleeps until `time`, or until a signal comes.
fn sleep_until(time: Nanos) {
    let until = std::time::Duration::from(time).into();
    let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &until);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::{Nanos, Pace};

    #[test]
    fn ticks_never_queue_up() {
        let mut pace = Pace::new(1000.0);
        pace.origin = Nanos(pace.origin.0 - 10 * Nanos::SECOND.0);
        let stop = AtomicBool::new(false);
        let first = pace.wait(&stop, None).unwrap();
        assert!(first.skipped >= 9_999, "{first:?}");
        assert!(pace.wait(&stop, None).unwrap().skipped < 9_999);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(pace.wait(&stop, None), None);
    }
}
