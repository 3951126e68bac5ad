//! What the scheduler gave a thread between two samples.

use crate::model::{CpuDelta, Nanos};
use crate::target::Schedule;

/// The difference between `last` and `now`, which takes its place. Without a last one, only that
/// the thread has run is known.
pub(super) fn cpu_delta(
    last: &mut Option<(Nanos, Schedule)>,
    time: Nanos,
    now: Schedule,
) -> CpuDelta {
    let Some((last_time, last)) = last.replace((time, now)) else {
        return CpuDelta { switches: 1, ..CpuDelta::default() };
    };
    CpuDelta {
        elapsed: time.since(last_time),
        ran: now.ran.since(last.ran),
        queued: now.queued.since(last.queued),
        switches: now.switches.wrapping_sub(last.switches),
    }
}
