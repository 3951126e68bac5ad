//! Tells for each waiter for a GIL which thread had it at that sample.

use rustc_hash::FxHashMap;

use super::thread::ThreadSampler;
use crate::model::{Attachment, Sample, ThreadId};
use crate::python::Gil;

/// Fills in [`ThreadSample::gil_holder`](crate::model::ThreadSample::gil_holder); `threads` has the
/// thread of each sample, in the same order, among others.
pub(super) fn find_holders(threads: &[ThreadSampler], sample: &mut Sample) {
    let waits =
        |attachment| matches!(attachment, Attachment::GilWaiter | Attachment::WokenGilWaiter);
    if !sample.threads.iter().any(|taken| waits(taken.attachment)) {
        return;
    }
    let gils: Vec<Option<Gil>> = {
        let mut threads = threads.iter();
        let gil_of = |id| threads.by_ref().find(|thread| thread.id == id)?.python?.gil;
        sample.threads.iter().map(|taken| taken.thread).map(gil_of).collect()
    };
    let mut holders: FxHashMap<Gil, ThreadId> = FxHashMap::default();
    for (taken, gil) in sample.threads.iter().zip(&gils) {
        if let (Attachment::Holder, Some(gil)) = (taken.attachment, gil) {
            holders.insert(*gil, taken.thread);
        }
    }
    for (taken, gil) in sample.threads.iter_mut().zip(&gils) {
        if waits(taken.attachment) {
            taken.gil_holder = gil.and_then(|gil| holders.get(&gil)).copied();
        }
    }
}
