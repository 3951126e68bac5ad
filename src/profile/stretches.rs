//! A recording cut into stretches of equal length, each counted by itself: what tells how far a
//! recording differs from itself, and so from another one.

use rustc_hash::FxHashMap;

use crate::model::{Nanos, StateId, Tables, ThreadId};

use super::block::{Block, Lane, StepEnd};
use super::meta::{Meta, Usage};
use super::step_lengths::StepLengths;

/// The most stretches. When there are more, each two become one: what is kept does not grow with a
/// recording's length.
const MOST: usize = 128;

/// What one stretch held, in counts that add up.
#[derive(Debug, Clone, Default)]
pub struct Stretch {
    /// Samples of the process.
    pub samples: u64,
    /// Time on the clock.
    pub elapsed: Nanos,
    /// Samples at which threads had the GIL (or were attached, when free-threaded).
    pub held: u64,
    /// Thread samples in a state; the flag says that they belong to a step that blocked its loop.
    pub states: FxHashMap<(StateId, bool), u64>,
    /// What the target used.
    pub usage: Usage,
    /// The lengths of the steps of event loops that ended in it.
    pub steps: StepLengths,
    /// The sum of the squares of these lengths, in square seconds.
    pub squares: f64,
}

impl Stretch {
    fn add(&mut self, more: Self) {
        self.samples += more.samples;
        self.elapsed.add(more.elapsed);
        self.held += more.held;
        for (key, samples) in more.states {
            *self.states.entry(key).or_default() += samples;
        }
        self.usage.add(&more.usage);
        self.steps.merge(&more.steps);
        self.squares += more.squares;
    }

    fn count(&mut self, key: (StateId, bool), samples: u64) {
        *self.states.entry(key).or_default() += samples;
    }

    fn uncount(&mut self, key: (StateId, bool), samples: u64) {
        if let Some(sum) = self.states.get_mut(&key) {
            *sum = sum.saturating_sub(samples);
        }
    }
}

/// A step that goes on, with the samples in it by stretch and state: whether it blocks its loop is
/// known at its end.
#[derive(Debug, Clone, Default)]
struct Open {
    step: u32,
    samples: FxHashMap<(usize, StateId), u64>,
}

/// The stretches of a recording, oldest first.
#[derive(Debug, Clone)]
pub struct Stretches {
    list: Vec<Stretch>,
    /// Blocks in each stretch.
    blocks_each: usize,
    /// Blocks in the last one.
    blocks_in_last: usize,
    open: FxHashMap<ThreadId, Open>,
}

impl Default for Stretches {
    fn default() -> Self {
        Self { list: Vec::new(), blocks_each: 1, blocks_in_last: 0, open: FxHashMap::default() }
    }
}

impl Stretches {
    /// The stretches, oldest first. The last may be shorter than the others.
    #[must_use]
    pub fn list(&self) -> &[Stretch] {
        &self.list
    }

    /// Adds a block. Blocks come in the order in which they were cut, and fit the tables.
    pub(super) fn add(&mut self, meta: &Meta, tables: &Tables, block: &Block) {
        let last = self.begin();
        if let Some(stretch) = self.list.get_mut(last) {
            stretch.samples += block.quality.samples;
            stretch.elapsed.add(block.quality.elapsed);
            stretch.usage.add(&block.usage);
            stretch.held += block.lanes.iter().map(|lane| u64::from(lane.held)).sum::<u64>();
        }
        let ends: FxHashMap<_, _> =
            block.steps.iter().map(|end| ((end.thread, end.step), end)).collect();
        for lane in &block.lanes {
            self.add_lane((last, lane), meta, tables, &ends);
        }
        for end in &block.steps {
            self.end_step(end, meta);
            let Some(stretch) = self.list.get_mut(last) else { continue };
            stretch.steps.add(end.length());
            stretch.squares += end.length().seconds().powi(2);
        }
    }

    /// The place of the stretch that the next block belongs to.
    fn begin(&mut self) -> usize {
        if self.blocks_in_last == self.blocks_each || self.list.is_empty() {
            if self.list.len() == MOST {
                self.halve();
            }
            // After halving, the last one is full: there was an even number.
            self.list.push(Stretch::default());
            self.blocks_in_last = 0;
        }
        self.blocks_in_last += 1;
        self.list.len() - 1
    }

    fn add_lane(
        &mut self,
        (place, lane): (usize, &Lane),
        meta: &Meta,
        tables: &Tables,
        ends: &FxHashMap<(ThreadId, u32), &StepEnd>,
    ) {
        for run in &lane.runs {
            let Some(state) = run.state.filter(|&state| tables.states.get(state).is_some()) else {
                continue;
            };
            let samples = u64::from(run.samples);
            if let Some(stretch) = self.list.get_mut(place) {
                stretch.count((state, false), samples);
            }
            if run.step == 0 {
                continue;
            }
            let other = |open: &Open| open.step != run.step;
            if self.open.get(&lane.thread).is_some_and(other) {
                let before = self.open.get(&lane.thread).map_or(0, |open| open.step);
                match ends.get(&(lane.thread, before)) {
                    Some(end) => self.end_step(end, meta),
                    None => drop(self.open.remove(&lane.thread)),
                }
            }
            let open = self.open.entry(lane.thread).or_default();
            open.step = run.step;
            *open.samples.entry((place, state)).or_default() += samples;
        }
    }

    /// Has the samples of a step that was too long be those of a blocked loop.
    fn end_step(&mut self, end: &StepEnd, meta: &Meta) {
        if self.open.get(&end.thread).is_none_or(|open| open.step != end.step) {
            return;
        }
        let Some(open) = self.open.remove(&end.thread) else { return };
        if !end.blocks(meta.threshold, meta.interval()) {
            return;
        }
        for ((place, state), samples) in open.samples {
            if let Some(stretch) = self.list.get_mut(place) {
                stretch.uncount((state, false), samples);
                stretch.count((state, true), samples);
            }
        }
    }

    /// Makes one of each two.
    fn halve(&mut self) {
        let mut list: Vec<Stretch> = Vec::with_capacity(MOST);
        for (index, stretch) in std::mem::take(&mut self.list).into_iter().enumerate() {
            match list.last_mut() {
                Some(last) if index % 2 == 1 => last.add(stretch),
                _ => list.push(stretch),
            }
        }
        self.list = list;
        self.blocks_each = self.blocks_each.saturating_mul(2);
        for open in self.open.values_mut() {
            for ((place, state), samples) in std::mem::take(&mut open.samples) {
                *open.samples.entry((place / 2, state)).or_default() += samples;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Stretches};
    use crate::model::Cause;
    use crate::profile::fixture::Trace;

    /// A loop that is blocked from the third block on, for as long as six, and a worker.
    #[test]
    fn every_stretch_adds_up_to_the_whole() {
        for blocks in [20, MOST as u64 * 3 + 10] {
            let mut trace = Trace::new(100);
            let looping = trace.thread("loop");
            let worker = trace.thread("worker");
            let parked = trace.state(&[("run", "loop.py", 1)], Cause::Parked);
            let sleep = trace.state(&[("nap", "app.py", 2)], Cause::Sleep);
            let work = trace.state(&[("work", "app.py", 7)], Cause::Python);
            for time in (0..blocks * 100).step_by(10) {
                let step =
                    (250..900).contains(&(time % 1300)).then_some((1 + time / 1300, 0, false));
                let state = if step.is_some() { sleep } else { parked };
                let step = step.map(|(key, _, exact)| (key, time / 1300 * 1300 + 250, exact));
                trace.sample(time, &[(looping, state, step), (worker, work, None)]);
                if time % 100 == 90 {
                    trace.cut();
                }
            }
            let (whole, cut) = trace.finish();
            let mut stretches = Stretches::default();
            let mut profile = crate::profile::Profile::new(whole.meta.clone());
            for block in &cut {
                profile.absorb(block).unwrap();
                stretches.add(&profile.meta, &profile.tables, block);
            }
            let list = stretches.list();
            assert!(list.len() <= MOST && list.len() > MOST / 8, "{}", list.len());
            assert_eq!(list.iter().map(|it| it.samples).sum::<u64>(), whole.quality.samples);
            for row in whole.rows() {
                let key = (row.id, row.blocking);
                let counted = list.iter().filter_map(|it| it.states.get(&key)).sum::<u64>();
                let all = whole.rows().filter(|it| (it.id, it.blocking) == key);
                assert_eq!(counted, all.map(|it| it.samples).sum::<u64>(), "{key:?}");
            }
            assert!(whole.rows().any(|row| row.blocking));
            let steps = list.iter().map(|it| it.steps.count()).sum::<u64>();
            assert_eq!(steps, whole.threads[0].event_loop.as_ref().unwrap().steps.count());
        }
    }
}
