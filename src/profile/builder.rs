//! Collects judged samples into blocks.

use crate::model::{Nanos, Sample, StateId, Tables, TaskLook, ThreadId, WaitNotes};

use super::block::{Block, StepEnd};
use super::lane::LaneBuilder;
use super::lengths::Lengths;
use super::meta::{Quality, Usage};

/// Collects judged samples into blocks, for the whole of a recording.
///
/// A sample costs constant time for each of its threads, and memory only where a thread changes
/// its state.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    /// The block's first sample.
    start: Nanos,
    /// The recording's last sample.
    last: Nanos,
    intervals: Vec<u32>,
    /// The sum of `intervals`.
    span: u64,
    /// By [`ThreadId`].
    lanes: Vec<LaneBuilder>,
    /// The lanes that the block has samples of.
    sampled: Vec<ThreadId>,
    /// The lanes with a step that goes on.
    open: Vec<ThreadId>,
    ended: Vec<StepEnd>,
    changed: Vec<ThreadId>,
    waits: WaitNotes,
    looks: Vec<TaskLook>,
    /// How much of each table is in the blocks that were cut.
    written: Lengths,
}

impl BlockBuilder {
    /// A builder for a new recording.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of samples since the last cut.
    #[must_use]
    pub const fn samples(&self) -> usize {
        self.intervals.len()
    }

    /// Adds a sample; `states` says what each of `sample.threads` did, in the same order.
    pub fn push(&mut self, sample: &Sample, states: &[StateId]) {
        // No block comes near 2^32 samples: the bound only keeps the arithmetic total.
        let at = (u32::try_from(self.intervals.len()).unwrap_or(u32::MAX), sample.time);
        self.tick(sample.time);
        for (thread, &state) in sample.threads.iter().zip(states) {
            let index = usize::from(thread.thread);
            if index >= self.lanes.len() {
                self.lanes.resize_with(index + 1, LaneBuilder::default);
            }
            let Some(lane) = self.lanes.get_mut(index).filter(|lane| !lane.covers(at.0)) else {
                continue;
            };
            if !lane.is_sampled() {
                self.sampled.push(thread.thread);
            }
            let was_open = lane.is_open();
            self.ended.extend(lane.push(at, thread, state));
            if lane.is_open() && !was_open {
                self.open.push(thread.thread);
            }
        }
        for news in &sample.steps {
            if let Some(lane) = self.lanes.get_mut(usize::from(news.thread)) {
                lane.learn(news);
            }
        }
        self.open.retain(|&thread| {
            let Some(lane) = self.lanes.get_mut(usize::from(thread)) else { return false };
            if !lane.covers(at.0) {
                lane.miss(sample.time);
            }
            lane.is_open()
        });
    }

    /// Adds the time of a sample to the block.
    fn tick(&mut self, time: Nanos) {
        if self.intervals.is_empty() {
            self.start = time;
            self.span = 0;
        }
        // Measured from the block's start, so that rounding does not add up over the samples.
        let micros = (time.since(self.start).0 / 1000).saturating_sub(self.span);
        let interval = u32::try_from(micros).unwrap_or(u32::MAX);
        self.intervals.push(interval);
        self.span += u64::from(interval);
        self.last = time;
    }

    /// Has the next block say what is known of a thread whose info changed. New threads are
    /// in the next block without that.
    pub fn note_thread(&mut self, thread: ThreadId) {
        self.changed.push(thread);
    }

    /// Adds what was seen of waits for locks.
    pub fn note_waits(&mut self, seen: WaitNotes) {
        self.waits.add(seen);
    }

    /// Adds what a look at the tasks saw.
    pub fn note_tasks(&mut self, look: TaskLook) {
        self.looks.push(look);
    }

    /// Ends the block: what was pushed since the last cut, and what `tables` gained since.
    pub fn cut(&mut self, tables: &Tables, quality: Quality, usage: Usage) -> Block {
        if !self.intervals.is_empty() {
            // A thread that a whole block did not see has gone, and its step with it.
            self.close_steps(|lane| !lane.is_sampled());
        }
        self.sampled.sort_unstable();
        let lanes = self
            .sampled
            .drain(..)
            .filter_map(|thread| self.lanes.get_mut(usize::from(thread)).map(LaneBuilder::cut));
        let mut block = Block {
            start: if self.intervals.is_empty() { self.last } else { self.start },
            lanes: lanes.collect(),
            intervals: std::mem::take(&mut self.intervals),
            steps: std::mem::take(&mut self.ended),
            waits: std::mem::take(&mut self.waits),
            looks: std::mem::take(&mut self.looks),
            quality,
            usage,
            ..Block::default()
        };
        // The kernel accounts for it by thread only.
        let queued = block.lanes.iter().fold(0u64, |sum, lane| sum.saturating_add(lane.queued.0));
        block.usage.queued = Nanos(queued);
        self.add_tables(&mut block, tables);
        block
    }

    /// Ends the last block of a recording: the steps that go on end with the last sample.
    pub fn finish(&mut self, tables: &Tables, quality: Quality, usage: Usage) -> Block {
        self.close_steps(|_| true);
        self.cut(tables, quality, usage)
    }

    fn close_steps(&mut self, which: impl Fn(&LaneBuilder) -> bool) {
        self.open.retain(|&thread| {
            let Some(lane) = self.lanes.get_mut(usize::from(thread)) else { return false };
            if which(lane) {
                self.ended.extend(lane.close_unseen(thread, self.last));
            }
            lane.is_open()
        });
    }

    fn add_tables(&mut self, block: &mut Block, tables: &Tables) {
        let written = &mut self.written;
        block.functions.extend(tables.functions.since(written.functions).cloned());
        block.frames.extend(tables.frames.since(written.frames));
        block.stacks.extend(tables.stacks.since(written.stacks));
        block.descriptors.extend(tables.descriptors.since(written.descriptors).cloned());
        block.labels.extend(tables.labels.since(written.labels).cloned());
        block.states.extend(tables.states.since(written.states));

        self.changed.retain(|&thread| usize::from(thread) < written.threads);
        self.changed.extend((written.threads..tables.threads.len()).map(ThreadId::from));
        self.changed.sort_unstable();
        self.changed.dedup();
        block
            .threads
            .extend(self.changed.drain(..).filter_map(|id| Some((id, tables.thread(id)?.clone()))));
        *written = Lengths::of(tables);
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Cause, LoopEvidence, LoopKind, Nanos, Sample, StateId, ThreadId};
    use crate::profile::fixture::{Trace, ms};
    use crate::profile::{Block, Quality, Run, StepEnd, Usage};

    const fn run(state: u32, step: u32, samples: u32) -> Run {
        Run { state: Some(StateId(state)), step, samples }
    }

    const fn gap(samples: u32) -> Run {
        Run { state: None, step: 0, samples }
    }

    /// A trace with one thread and one state.
    fn alone() -> (Trace, ThreadId, StateId) {
        let mut trace = Trace::new(100);
        let thread = trace.thread("main");
        let state = trace.state(&[("main", "app.py", 1)], Cause::Python);
        (trace, thread, state)
    }

    fn ends(blocks: &[Block]) -> Vec<StepEnd> {
        blocks.iter().flat_map(|block| block.steps.clone()).collect()
    }

    #[test]
    fn threads_come_late_miss_samples_and_go() {
        let (mut trace, a, work) = alone();
        let b = trace.thread("late");
        let wait = trace.state(&[("wait", "app.py", 2)], Cause::Lock);
        trace.sample(0, &[(a, work, None)]);
        trace.sample(10, &[(a, work, None), (b, wait, None)]);
        trace.sample(20, &[(b, wait, None)]);
        trace.sample(30, &[(a, wait, None)]);
        let (_, blocks) = trace.finish();
        let lanes = &blocks[0].lanes;
        assert_eq!(lanes[0].runs, [run(0, 0, 2), gap(1), run(1, 0, 1)]);
        assert_eq!(lanes[1].runs, [gap(1), run(1, 0, 2)], "no run for the end");
        assert_eq!((lanes[0].held, lanes[1].held), (3, 1));
        assert_eq!(lanes[0].cpu, Nanos(3_000_000));
        assert!(lanes[0].event_loop.is_none());
    }

    #[test]
    fn a_thread_that_is_not_sampled_has_no_lane() {
        let (mut trace, a, work) = alone();
        let b = trace.thread("gone");
        trace.sample(0, &[(a, work, None), (b, work, None)]);
        trace.cut();
        trace.sample(10, &[(b, work, None)]);
        let (_, blocks) = trace.finish();
        assert_eq!(blocks[1].lanes.len(), 1);
        assert_eq!(blocks[1].lanes[0].thread, b);
        assert_eq!(blocks[1].lanes[0].runs, [run(0, 0, 1)]);
    }

    #[test]
    fn intervals_do_not_add_up_their_rounding() {
        let (mut trace, ..) = alone();
        for tick in 0..=3000 {
            let sample = Sample { time: Nanos(tick * 333_333), ..Sample::default() };
            trace.builder.push(&sample, &[]);
        }
        let block = trace.builder.cut(&trace.tables, Quality::default(), Usage::default());
        assert_eq!(block.intervals[0], 0);
        let span: u32 = block.intervals.iter().sum();
        assert_eq!(span, 999_999);
    }

    #[test]
    fn a_block_holds_what_the_tables_gained() {
        let (mut trace, a, work) = alone();
        trace.sample(0, &[(a, work, None)]);
        trace.cut();
        let b = trace.thread("new");
        trace.tables.threads[0].name = "renamed".into();
        trace.builder.note_thread(a);
        trace.builder.note_thread(a);
        let wait = trace.state(&[("main", "app.py", 1), ("get", "queue.py", 5)], Cause::Lock);
        trace.sample(10, &[(b, wait, None)]);
        trace.cut();
        let (profile, blocks) = trace.finish();
        assert_eq!(blocks[0].functions.len(), 1);
        assert_eq!(blocks[1].functions.len(), 1);
        assert_eq!((blocks[1].stacks.len(), blocks[1].states.len()), (1, 1));
        let named: Vec<_> = blocks[1].threads.iter().map(|(id, it)| (*id, &*it.name)).collect();
        assert_eq!(named, [(a, "renamed"), (b, "new")]);
        assert!(blocks[2].functions.is_empty() && blocks[2].threads.is_empty());
        assert_eq!(&*profile.tables.threads[0].name, "renamed");
    }

    #[test]
    fn a_step_ends_half_way_to_the_sample_that_misses_it() {
        let (mut trace, a, work) = alone();
        trace.sample(0, &[(a, work, Some((1, 0, true)))]);
        trace.sample(10, &[(a, work, Some((1, 0, true)))]);
        trace.cut();
        trace.sample(20, &[(a, work, Some((2, 15, false)))]);
        trace.sample(30, &[(a, work, None)]);
        trace.sample(40, &[(a, work, Some((3, 31, true)))]);
        let (_, blocks) = trace.finish();
        assert_eq!(blocks[0].lanes[0].runs, [run(0, 1, 2)]);
        assert_eq!(blocks[1].lanes[0].runs, [run(0, 2, 1), run(0, 0, 1), run(0, 3, 1)]);
        let expected = [
            (1, ms(0), ms(10), ms(15), true),
            (2, ms(15), ms(20), ms(25), false),
            (3, ms(31), ms(40), ms(40), true),
        ];
        let ends = ends(&blocks);
        let seen = ends.iter().map(|it| (it.step, it.start, it.seen, it.end, it.exact));
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        let bounds = ends.iter().map(|it| (it.shortest(), it.length(), it.longest()));
        let bounds: Vec<_> = bounds.map(|(a, b, c)| [a, b, c].map(|it| it.0 / 1_000_000)).collect();
        assert_eq!(bounds, [[10, 15, 20], [0, 10, 15], [9, 9, 9]]);
        assert!(blocks[0].steps.is_empty());
        assert!(blocks[0].lanes[0].event_loop.is_some());
    }

    #[test]
    fn a_step_ends_before_the_next_one_begins() {
        let (mut trace, a, work) = alone();
        trace.sample(0, &[(a, work, Some((1, 0, true)))]);
        trace.sample(10, &[(a, work, Some((2, 3, true)))]);
        trace.sample(20, &[(a, work, Some((3, 11, false)))]);
        let (_, blocks) = trace.finish();
        let ends: Vec<_> = ends(&blocks).iter().map(|it| (it.start, it.end, it.exact)).collect();
        assert_eq!(ends[0], (ms(0), ms(3), true), "the next one's start is exact");
        assert_eq!(ends[1], (ms(3), ms(15), true), "the next one's start is an estimate");
        assert_eq!(ends[2], (ms(15), ms(20), false), "two steps never overlap");
    }

    #[test]
    fn a_missed_sample_does_not_end_a_step() {
        let (mut trace, a, work) = alone();
        let b = trace.thread("other");
        trace.sample(0, &[(a, work, Some((1, 0, true))), (b, work, None)]);
        trace.sample(10, &[(b, work, None)]);
        trace.sample(20, &[(a, work, Some((1, 0, true))), (b, work, None)]);
        let (_, blocks) = trace.finish();
        assert_eq!(blocks[0].lanes[0].runs, [run(0, 1, 1), gap(1), run(0, 1, 1)]);
        assert_eq!(ends(&blocks).len(), 1);
        assert_eq!(ends(&blocks)[0].end, ms(20));
    }

    #[test]
    fn a_step_goes_with_its_thread() {
        let (mut trace, a, work) = alone();
        let b = trace.thread("other");
        trace.sample(0, &[(a, work, Some((1, 0, true))), (b, work, None)]);
        trace.sample(10, &[(b, work, None)]);
        trace.cut();
        trace.sample(1000, &[(b, work, None)]);
        trace.cut();
        assert_eq!(ends(&trace.blocks).len(), 1);
        assert_eq!(ends(&trace.blocks)[0].end, ms(5), "not when its absence was certain");
        trace.sample(2000, &[(a, work, Some((1, 0, true)))]);
        let (_, blocks) = trace.finish();
        assert_eq!(ends(&blocks)[1].step, 2);
        assert_eq!(ends(&blocks)[1].start, ms(5));
    }

    #[test]
    fn an_idle_loop_is_a_loop() {
        let (mut trace, a, work) = alone();
        trace.sample(0, &[(a, work, Some((1, 0, true)))]);
        let mut sample = Sample { time: ms(10), ..Sample::default() };
        trace.sample(5, &[]);
        sample.threads.push(crate::model::ThreadSample {
            thread: a,
            stack: crate::model::StackId::EMPTY,
            activity: crate::model::Activity::Running,
            attachment: crate::model::Attachment::Detached,
            collecting: false,
            cpu: crate::model::CpuDelta::default(),
            event_loop: Some(LoopEvidence {
                kind: LoopKind::Asyncio,
                epoll: Some(3),
                step: None,
                tasks: None,
            }),
            since: ms(10),
            awaits: None,
            gil_holder: None,
        });
        trace.cut();
        trace.builder.push(&sample, &[work]);
        trace.cut();
        let lane = &trace.blocks[1].lanes[0];
        assert!(lane.event_loop.is_some());
        assert_eq!(lane.runs, [run(0, 0, 1)]);
        assert_eq!(ends(&trace.blocks)[0].end, ms(5));
    }
}
