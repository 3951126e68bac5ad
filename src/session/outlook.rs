//! When it is looked at what surrounds the target, and which lines of its code are worth keeping.

use rustc_hash::FxHashMap;

use crate::model::{Cause, FrameId, Origin, StackId, Surroundings, Tables};
use crate::profile::Profile;
use crate::sampler::SurroundingsSampler;

/// Lines of source text that a recording keeps: the heaviest.
const MOST_LINES: usize = 200;

/// Looks at what surrounds the target: after 1, 2, 4, 8, … blocks, so that little is lost when the
/// target ends, and at the end.
pub(super) struct Outlook {
    sampler: SurroundingsSampler,
    blocks: u64,
}

impl Outlook {
    pub(super) const fn new(sampler: SurroundingsSampler) -> Self {
        Self { sampler, blocks: 0 }
    }

    /// What there is to see at the end of a block, if it is time, of a recording so far.
    pub(super) fn look(&mut self, profile: &Profile, ends: bool) -> Option<Surroundings> {
        self.blocks += 1;
        if !ends && !self.blocks.is_power_of_two() {
            return None;
        }
        let tables = &profile.tables;
        let lines = heaviest(profile).into_iter().filter_map(|frame| {
            let frame = tables.frames.get(frame)?;
            Some((&*tables.functions.get(frame.function)?.file, frame.line))
        });
        self.sampler.sample(&lines.collect::<Vec<_>>())
    }
}

/// The lines of the program's own code that most samples, and most tasks, were in.
fn heaviest(profile: &Profile) -> Vec<FrameId> {
    let tables = &profile.tables;
    let mut weights: FxHashMap<FrameId, u64> = FxHashMap::default();
    let mut add = |stack: StackId, weight: u64| {
        for frame in tables.frames_of(stack).filter(|frame| is_users(tables, *frame)) {
            *weights.entry(frame).or_default() += weight;
        }
    };
    for row in profile.rows().filter(|row| row.state.cause != Cause::Parked) {
        add(row.state.stack, row.samples);
    }
    for (group, seen) in &profile.tasks.groups {
        add(group.chain, seen.tasks);
    }
    let mut heaviest: Vec<_> = weights.into_iter().collect();
    heaviest.sort_unstable_by_key(|&(frame, weight)| (std::cmp::Reverse(weight), frame));
    heaviest.into_iter().map(|(frame, _)| frame).take(MOST_LINES).collect()
}

fn is_users(tables: &Tables, frame: FrameId) -> bool {
    let frame = tables.frames.get(frame);
    let function = frame.and_then(|frame| tables.functions.get(frame.function));
    function.is_some_and(|function| Origin::of(function) == Origin::User)
}
