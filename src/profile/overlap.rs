//! How far the waits of threads overlap: whether they wait side by side or in turns.

use crate::model::{Cause, Tables};

use super::block::Block;

/// How far waits of one kind overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overlap {
    /// Samples of the process at which at least one Python thread waited.
    pub samples: u64,
    /// Samples of threads that waited.
    pub threads: u64,
}

/// The overlaps of the kinds that are told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overlaps {
    /// Waits for input and output.
    pub io: Overlap,
    /// Waits for the GIL.
    pub gil: Overlap,
}

/// What answers a program waits for.
const IO: [Cause; 4] = [Cause::Network, Cause::Disk, Cause::Pipe, Cause::Child];

impl Overlaps {
    /// Counts a checked block, whose entries `tables` has.
    pub(super) fn add(&mut self, tables: &Tables, block: &Block) {
        self.io.add(tables, block, &IO);
        self.gil.add(tables, block, &[Cause::Gil]);
    }
}

impl Overlap {
    fn add(&mut self, tables: &Tables, block: &Block, causes: &[Cause]) {
        // Where runs begin and end, so that it costs by the run and not by the sample.
        let mut changes = vec![0i64; block.intervals.len() + 1];
        for lane in &block.lanes {
            if !tables.thread(lane.thread).is_some_and(|thread| thread.python) {
                continue;
            }
            let mut start = 0;
            for run in &lane.runs {
                let end = start + run.samples as usize;
                let state = run.state.and_then(|state| tables.states.get(state));
                if state.is_some_and(|state| causes.contains(&state.cause)) {
                    for (at, change) in [(start, 1), (end, -1)] {
                        if let Some(place) = changes.get_mut(at) {
                            *place += change;
                        }
                    }
                }
                start = end;
            }
        }
        let mut waiting = 0;
        for change in changes.iter().take(block.intervals.len()) {
            waiting += change;
            self.samples += u64::from(waiting > 0);
            self.threads += waiting.unsigned_abs();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Overlap;
    use crate::model::Cause;
    use crate::profile::fixture::Trace;

    #[test]
    fn waits_side_by_side_are_told_from_waits_in_turns() {
        for (in_turns, expected) in [
            (false, Overlap { samples: 10, threads: 20 }),
            (true, Overlap { samples: 20, threads: 20 }),
        ] {
            let mut trace = Trace::new(100);
            let [a, b] = ["a", "b"].map(|name| trace.thread(name));
            let waits = trace.state(&[("get", "app.py", 1)], Cause::Network);
            let works = trace.state(&[("work", "app.py", 2)], Cause::Python);
            for index in 0..20 {
                let first = if index % 4 < 2 { waits } else { works };
                let second = if (index % 4 < 2) == in_turns { works } else { waits };
                trace.sample(index * 10, &[(a, first, None), (b, second, None)]);
                if index == 7 {
                    trace.cut();
                }
            }
            assert_eq!(trace.finish().0.overlaps.io, expected);
        }
    }
}
