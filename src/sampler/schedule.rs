//! What the scheduler gave a thread between two samples.

use std::io;

use crate::model::{CpuDelta, Nanos};
use crate::target::{KernelThread, Schedule};

/// The scheduler's account of a thread; `None` on a kernel that keeps none.
///
/// # Errors
/// When the thread has ended.
pub(super) fn schedule_of(kernel: &KernelThread) -> io::Result<Option<Schedule>> {
    match kernel.schedule() {
        Ok(schedule) => Ok(Some(schedule)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

/// The difference between `last` and `now`, which takes its place. Where there is no account, the
/// thread must be taken to have run.
pub(super) fn cpu_delta(
    last: &mut Option<(Nanos, Schedule)>,
    time: Nanos,
    now: Option<Schedule>,
) -> CpuDelta {
    let last = std::mem::replace(last, now.map(|now| (time, now)));
    let (Some((last_time, last)), Some(now)) = (last, now) else {
        return CpuDelta { switches: 1, ..CpuDelta::default() };
    };
    CpuDelta {
        elapsed: time.since(last_time),
        ran: now.ran.since(last.ran),
        queued: now.queued.since(last.queued),
        switches: now.switches.wrapping_sub(last.switches),
        repeated: false,
    }
}
