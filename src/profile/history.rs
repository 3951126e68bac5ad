//! The last blocks of a recording, kept so that any stretch of it can be counted, or written, again.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::ops::Range;

use crate::model::{Nanos, Tables, Tag, ThreadId};

use super::aggregate::Profile;
use super::block::Block;
use super::check::AbsorbError;
use super::meta::Meta;
use super::recording::RecordingWriter;

/// The last blocks of a recording.
#[derive(Debug, Default)]
pub struct History {
    /// All of the recording, counted; its tables are those of all blocks.
    whole: Profile,
    blocks: VecDeque<Block>,
    beats: VecDeque<Beat>,
    /// The most blocks that are kept.
    most: usize,
    /// How many were dropped.
    dropped: usize,
}

/// What threads did during a block, in short.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Beat {
    /// When it began.
    pub start: Nanos,
    /// Thread samples by tag, in the order of [`Tag::ALL`].
    pub tags: [u64; Tag::ALL.len()],
    /// Whether a step of an event loop that ended in it was at least as long as the threshold.
    pub blocked: bool,
    /// Whether threads, or tasks, were found to wait for each other for ever.
    pub deadlocked: bool,
}

impl History {
    /// A history of a recording that keeps so many blocks, of about a second each.
    #[must_use]
    pub fn new(meta: Meta, most: usize) -> Self {
        Self { whole: Profile::new(meta), most, ..Self::default() }
    }

    /// Adds a block. Blocks come in the order in which they were cut.
    ///
    /// # Errors
    /// When the block contradicts itself or those before it.
    pub fn push(&mut self, block: Block) -> Result<(), AbsorbError> {
        self.whole.absorb(&block)?;
        self.beats.push_back(Beat::of(&self.whole, &block));
        // The tables are kept once, for all of them.
        self.blocks.push_back(Block {
            functions: Vec::new(),
            frames: Vec::new(),
            stacks: Vec::new(),
            descriptors: Vec::new(),
            labels: Vec::new(),
            states: Vec::new(),
            threads: Vec::new(),
            ..block
        });
        if self.blocks.len() > self.most {
            self.blocks.pop_front();
            self.beats.pop_front();
            self.dropped += 1;
        }
        Ok(())
    }

    /// Says that what comes is sampled so often.
    pub const fn change_rate(&mut self, rate: f64) {
        self.whole.meta.rate = rate;
    }

    /// All of the recording, counted: also what is no longer kept.
    #[must_use]
    pub const fn whole(&self) -> &Profile {
        &self.whole
    }

    /// How many blocks are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How many blocks came before those that are kept.
    #[must_use]
    pub const fn dropped(&self) -> usize {
        self.dropped
    }

    /// What threads did during each block that is kept, oldest first.
    pub fn beats(&self) -> impl ExactSizeIterator<Item = &Beat> {
        self.beats.iter()
    }

    /// Some of the blocks, counted as if they were all of the recording: those in `range` of
    /// [`Self::len`].
    #[must_use]
    pub fn profile(&self, range: Range<usize>) -> Profile {
        let mut profile = self.whole.emptied();
        let chosen = || self.blocks.range(self.clamped(&range));
        if let Some(first) = chosen().next() {
            profile.meta.origin = first.start;
        }
        for block in chosen() {
            profile.count_block(block);
        }
        profile.finish();
        profile
    }

    /// Writes some of the blocks as a recording: those in `range` of [`Self::len`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save<W: Write>(&self, writer: W, range: Range<usize>) -> io::Result<()> {
        let mut chosen = self.blocks.range(self.clamped(&range));
        let first = chosen.next();
        let origin = first.map_or(self.whole.meta.origin, |first| first.start);
        let later = origin.since(self.whole.meta.origin).0 / Nanos::SECOND.0;
        let meta = Meta {
            origin,
            started_at: self.whole.meta.started_at.saturating_add_unsigned(later),
            ..self.whole.meta.clone()
        };
        let mut recording = RecordingWriter::create(writer, &meta)?;
        if let Some(first) = first {
            let surroundings = Some(self.whole.surroundings.clone());
            let first = Block { surroundings, ..first.clone() };
            recording.append(&with_tables(first, &self.whole.tables))?;
        }
        chosen.try_for_each(|block| recording.append(block))?;
        recording.finish()
    }

    fn clamped(&self, range: &Range<usize>) -> Range<usize> {
        let end = range.end.min(self.blocks.len());
        range.start.min(end)..end
    }
}

/// A block that brings all of the tables.
fn with_tables(block: Block, tables: &Tables) -> Block {
    let threads = tables.threads.iter().enumerate();
    Block {
        functions: tables.functions.since(0).cloned().collect(),
        frames: tables.frames.since(0).copied().collect(),
        stacks: tables.stacks.since(0).copied().collect(),
        descriptors: tables.descriptors.since(0).cloned().collect(),
        labels: tables.labels.since(0).cloned().collect(),
        states: tables.states.since(0).copied().collect(),
        threads: threads.map(|(index, info)| (ThreadId::from(index), info.clone())).collect(),
        ..block
    }
}

impl Beat {
    fn of(whole: &Profile, block: &Block) -> Self {
        let (threshold, interval) = (whole.meta.threshold, whole.meta.interval());
        let long = |thread: ThreadId, step: u32| {
            let ends = block.steps.iter().filter(|end| (end.thread, end.step) == (thread, step));
            ends.into_iter().any(|end| end.blocks(threshold, interval))
        };
        let mut beat = Self {
            start: block.start,
            deadlocked: !block.waits.deadlocks.is_empty()
                || block.looks.iter().any(|look| !look.deadlocks.is_empty()),
            ..Self::default()
        };
        for lane in &block.lanes {
            if !whole.tables.thread(lane.thread).is_some_and(|thread| thread.python) {
                continue;
            }
            for run in &lane.runs {
                let Some(state) = run.state.and_then(|state| whole.tables.states.get(state)) else {
                    continue;
                };
                let blocks = run.step != 0 && long(lane.thread, run.step);
                beat.blocked |= blocks;
                let tag = if blocks { Tag::EventLoopBlocking } else { state.tag };
                let place = Tag::ALL.iter().position(|other| *other == tag);
                if let Some(sum) = place.and_then(|place| beat.tags.get_mut(place)) {
                    *sum += u64::from(run.samples);
                }
            }
        }
        beat
    }
}

#[cfg(test)]
mod tests {
    use super::History;
    use crate::model::{Cause, Tag};
    use crate::profile::fixture::Trace;
    use crate::profile::{Block, Profile, read_recording};

    /// Six blocks of 250 ms: the first three compute, the others sleep.
    fn blocks() -> (Profile, Vec<Block>) {
        let mut trace = Trace::new(100);
        let thread = trace.thread("main");
        let work = trace.state(&[("main", "app.py", 1), ("work", "app.py", 7)], Cause::Python);
        let nap = trace.state(&[("main", "app.py", 1), ("nap", "app.py", 9)], Cause::Sleep);
        for time in (0..1500).step_by(10) {
            trace.sample(time, &[(thread, if time < 750 { work } else { nap }, None)]);
            if time % 250 == 240 {
                trace.cut();
            }
        }
        trace.finish()
    }

    fn history(most: usize) -> History {
        let (profile, blocks) = blocks();
        let mut history = History::new(profile.meta, most);
        blocks.into_iter().for_each(|block| history.push(block).unwrap());
        history
    }

    #[test]
    fn any_stretch_is_counted_by_itself() {
        let history = history(100);
        let (whole, _) = blocks();
        let all = history.profile(0..history.len());
        assert_eq!(all.by_cause(), whole.by_cause());
        assert_eq!(all.by_cause(), history.whole().by_cause());
        let part = history.profile(2..4).by_cause();
        assert_eq!((part[&Cause::Python], part[&Cause::Sleep]), (25, 25));
        assert!(history.profile(9..12).by_cause().is_empty());
        let beats: Vec<_> = history.beats().map(|beat| beat.tags).collect();
        let running = Tag::ALL.iter().position(|tag| *tag == Tag::Running).unwrap();
        assert_eq!(beats[0][running], 25);
        assert_eq!(beats[5][running], 0);
    }

    #[test]
    fn what_is_saved_can_be_read_by_itself() {
        let history = history(4);
        assert_eq!(
            (history.len(), history.dropped()),
            (4, history.whole().spans.iter().count() + 1)
        );
        let mut file = Vec::new();
        history.save(&mut file, 1..3).unwrap();
        let read = read_recording(&file[..]).unwrap();
        assert!(read.complete);
        assert_eq!(read.profile.by_cause(), history.profile(1..3).by_cause());
        assert_eq!(read.profile.meta.origin, history.profile(1..3).meta.origin);
    }
}
