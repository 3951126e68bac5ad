//! A closer look at the waits that a sample saw.

use std::collections::BTreeMap;

use crate::model::{Activity, Sample, ThreadId, Wait, WaitDetails};
use crate::target::{KernelThread, WaitInspector};

/// What there is to say of the waits that `sample`, the last one, saw threads in and that they are
/// still in. Of the threads that are `idle` it is not told what they watch.
pub(super) fn look_at_waits<'a>(
    threads: impl Iterator<Item = (ThreadId, &'a KernelThread)>,
    sample: &Sample,
    idle: &[ThreadId],
    mut inspector: WaitInspector<'_>,
) -> BTreeMap<ThreadId, WaitDetails> {
    let waits: BTreeMap<ThreadId, Wait> = sample
        .threads
        .iter()
        .filter_map(|taken| match taken.activity {
            Activity::Blocked(wait) => Some((taken.thread, wait)),
            _ => None,
        })
        .collect();
    let look = |(id, thread): (ThreadId, &KernelThread)| {
        let details = inspector.look(thread, waits.get(&id)?, idle.contains(&id))?;
        Some((id, details))
    };
    let (ids, mut details): (Vec<_>, Vec<_>) = threads.filter_map(look).unzip();
    inspector.find_other_ends(&mut details);
    ids.into_iter().zip(details).collect()
}
