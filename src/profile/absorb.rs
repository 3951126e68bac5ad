//! Counts blocks into a profile.

use crate::model::{Deadlock, Nanos, StackId, Table, Tables, WaitNotes};

use super::aggregate::{Profile, Seen, SeenDeadlock, ThreadProfile};
use super::block::{Block, Lane};
use super::check::{AbsorbError, check};
use super::meta::Usage;
use super::spans::StateKind;
use super::steps::Ends;

/// The most deadlocks that are told apart.
const MAX_DEADLOCKS: usize = 1000;

impl Profile {
    /// Counts a block. Blocks come in the order in which they were cut.
    ///
    /// # Errors
    /// When the block contradicts itself or those before it. Nothing of it is counted then, and no
    /// further block fits.
    pub fn absorb(&mut self, block: &Block) -> Result<(), AbsorbError> {
        self.learn(block)?;
        self.count_block(block);
        Ok(())
    }

    /// Takes a block's entries into the tables, and counts nothing.
    pub(super) fn learn(&mut self, block: &Block) -> Result<(), AbsorbError> {
        check(&self.tables, block)?;
        extend(&mut self.tables, block)?;
        let kinds = block.states.iter().map(|state| StateKind::of(&self.tables, state));
        self.kinds.extend(kinds);
        Ok(())
    }

    /// The same recording with nothing counted: what its ids mean is kept.
    pub(super) fn emptied(&self) -> Self {
        Self {
            meta: self.meta.clone(),
            tables: self.tables.clone(),
            kinds: self.kinds.clone(),
            surroundings: self.surroundings.clone(),
            ..Self::default()
        }
    }

    /// Counts a block that was checked, and whose entries the tables have.
    pub(super) fn count_block(&mut self, block: &Block) {
        self.threads.resize_with(self.tables.threads.len(), ThreadProfile::default);

        let times = times(block);
        self.count_spans(&times, block);
        let ends: Ends =
            block.steps.iter().map(|end| ((end.thread, end.step), end.clone())).collect();
        for lane in &block.lanes {
            self.count_lane(lane, &times, &ends);
        }
        self.overlaps.add(&self.tables, block);
        self.follow_shutdowns(block, &times);
        self.end = block.end.or(self.end);
        if let Some(surroundings) = &block.surroundings {
            self.surroundings.clone_from(surroundings);
        }
        for end in &block.steps {
            self.end_step(end.clone());
        }
        let last = times.last().copied().unwrap_or(block.start);
        for deadlock in &block.waits.deadlocks {
            self.note_deadlock(deadlock, last);
        }
        self.locks.add(WaitNotes { deadlocks: Vec::new(), ..block.waits.clone() });
        for look in &block.looks {
            self.tasks.add(look);
        }
        self.quality.add(&block.quality);
        self.usage.add(&block.usage);
    }

    fn note_deadlock(&mut self, deadlock: &Deadlock, last: Nanos) {
        // Who waits anew for the same was not waiting for ever.
        let anew = |seen: &SeenDeadlock| {
            !deadlock.certain && seen.deadlock.is_same(deadlock) && !seen.deadlock.goes_on(deadlock)
        };
        if self.deadlocks.iter().any(anew) {
            self.deadlocks.retain(|seen| !anew(seen));
            self.refuted.truncate(MAX_DEADLOCKS);
            self.refuted.push(deadlock.clone());
        }
        if !deadlock.certain && self.refuted.iter().any(|refuted| refuted.is_same(deadlock)) {
            return;
        }
        if let Some(known) = self.deadlocks.iter_mut().find(|it| it.deadlock.is_same(deadlock)) {
            known.deadlock = deadlock.clone();
            known.last = last;
        } else if self.deadlocks.len() < MAX_DEADLOCKS {
            let since = deadlock.ring.iter().map(|wait| wait.since);
            let first = since.max().unwrap_or(last);
            self.deadlocks.push(SeenDeadlock { deadlock: deadlock.clone(), first, last });
        }
    }

    /// Counts the samples over time, and divides what the block used among its seconds.
    fn count_spans(&mut self, times: &[Nanos], block: &Block) {
        let origin = self.meta.origin;
        if times.is_empty()
            && let Some(span) = self.spans.at(second_at(origin, block.start))
        {
            span.usage.add(&block.usage);
        }
        let mut before = 0;
        for (second, samples) in by_second(origin, times) {
            let Some(span) = self.spans.at(second) else { continue };
            span.samples += samples;
            // Shares of the sums up to here, so that rounding loses nothing.
            let share = |of: Nanos, upto: u64| {
                let share = u128::from(of.0) * u128::from(upto) / times.len().max(1) as u128;
                Nanos(u64::try_from(share).unwrap_or(u64::MAX))
            };
            let part = |of| share(of, before + samples).since(share(of, before));
            let usage = &block.usage;
            let part = Usage { cpu: part(usage.cpu), queued: part(usage.queued), ..*usage };
            span.usage.add(&part);
            before += samples;
        }
    }

    fn count_lane(&mut self, lane: &Lane, times: &[Nanos], ends: &Ends) {
        let mut present = 0;
        let mut seen = self.threads.get(usize::from(lane.thread)).and_then(|it| it.seen);
        let mut rest = times;
        for run in &lane.runs {
            let Some((times, after)) = rest.split_at_checked(run.samples as usize) else { return };
            rest = after;
            let Some(state) = run.state else { continue };
            present += u64::from(run.samples);
            if let (Some(&first), Some(&last)) = (times.first(), times.last())
                && self.tables.states.get(state).is_some_and(|it| it.stack != StackId::EMPTY)
            {
                let same = seen.filter(|seen| seen.state == state);
                seen = Some(Seen {
                    first: seen.map_or(first, |seen| seen.first),
                    last,
                    state,
                    since: same.map_or(first, |seen| seen.since),
                });
            }
            if run.step != 0 {
                self.enter_step((lane.thread, run.step), times, ends);
            }
            self.count((lane.thread, state, false), u64::from(run.samples));
            if let Some(open) = self.open_steps.get_mut(&lane.thread)
                && open.step == run.step
            {
                *open.states.entry(state).or_default() += u64::from(run.samples);
            }
            let Some(&kind) = self.kinds.get(usize::from(state)) else { continue };
            for (second, samples) in by_second(self.meta.origin, times) {
                if let Some(span) = self.spans.at(second) {
                    *span.kinds.entry((lane.thread, kind)).or_default() += samples;
                }
            }
        }
        if let Some(thread) = self.threads.get_mut(usize::from(lane.thread)) {
            thread.samples += present;
            thread.seen = seen;
            thread.held += u64::from(lane.held);
            for &(holder, samples) in &lane.gil_waits {
                *thread.gil_waits.entry(holder).or_default() += u64::from(samples);
            }
            thread.cpu.add(lane.cpu);
            thread.queued.add(lane.queued);
            if let Some(kind) = lane.event_loop {
                let event_loop = thread.event_loop.get_or_insert_default();
                event_loop.kind = Some(kind);
                event_loop.tasks = lane.tasks.or(event_loop.tasks);
            }
        }
    }
}

/// Adds a checked block's entries to the tables.
fn extend(tables: &mut Tables, block: &Block) -> Result<(), AbsorbError> {
    intern("function", &mut tables.functions, &block.functions)?;
    intern("frame", &mut tables.frames, &block.frames)?;
    intern("stack", &mut tables.stacks, &block.stacks)?;
    intern("descriptor", &mut tables.descriptors, &block.descriptors)?;
    intern("label", &mut tables.labels, &block.labels)?;
    intern("state", &mut tables.states, &block.states)?;
    for (id, info) in &block.threads {
        match tables.threads.get_mut(usize::from(*id)) {
            Some(known) => known.clone_from(info),
            None => tables.threads.push(info.clone()),
        }
    }
    Ok(())
}

fn intern<Id, T>(
    what: &'static str,
    table: &mut Table<Id, T>,
    items: &[T],
) -> Result<(), AbsorbError>
where
    Id: From<usize> + Into<usize> + Copy,
    T: std::hash::Hash + Eq + Clone,
{
    for item in items {
        let length = table.len();
        table.intern(item.clone());
        if table.len() == length {
            return Err(AbsorbError::Repeated { what });
        }
    }
    Ok(())
}

/// When each sample of a block was taken.
pub(super) fn times(block: &Block) -> Vec<Nanos> {
    let mut time = block.start;
    let step = |&micros: &u32| {
        time = Nanos(time.0.saturating_add(u64::from(micros) * 1000));
        time
    };
    block.intervals.iter().map(step).collect()
}

/// The second of the recording that a time is in.
const fn second_at(origin: Nanos, time: Nanos) -> u64 {
    time.since(origin).0 / Nanos::SECOND.0
}

/// How many samples, given by their times in order, are in which second.
fn by_second(origin: Nanos, times: &[Nanos]) -> impl Iterator<Item = (u64, u64)> {
    times
        .chunk_by(move |&a, &b| second_at(origin, a) == second_at(origin, b))
        .filter_map(move |chunk| Some((second_at(origin, *chunk.first()?), chunk.len() as u64)))
}

#[cfg(test)]
mod tests {
    use crate::model::{
        Cause, Frame, FrameId, FunctionId, LabelId, Nanos, StackId, StackNode, State, StateId, Tag,
        ThreadId,
    };
    use crate::profile::fixture::{Trace, ms};
    use crate::profile::{AbsorbError, Block, Lane, Profile, Run, StateKind};

    /// A loop that sleeps in a step from 800 ms until `until`, sampled at 10 ms up to 1500 ms, with
    /// a cut after each 250 ms, and a second thread that works.
    fn sleeper(until: u64) -> Profile {
        let mut trace = Trace::new(100);
        let looping = trace.thread("loop");
        let other = trace.thread("worker");
        let parked = trace.state(&[("run", "loop.py", 1)], Cause::Parked);
        let sleep = trace.state(&[("run", "loop.py", 1), ("nap", "app.py", 2)], Cause::Sleep);
        let work = trace.state(&[("work", "app.py", 7)], Cause::Python);
        for time in (0..1500).step_by(10) {
            let at = if (800..until).contains(&time) {
                (looping, sleep, Some((5, 800, true)))
            } else {
                (looping, parked, None)
            };
            trace.sample(time, &[at, (other, work, None)]);
            if time % 250 == 240 {
                trace.cut();
            }
        }
        trace.finish().0
    }

    #[test]
    fn a_long_step_blocks_in_all_its_samples() {
        let profile = sleeper(1300);
        let sleep = StateId(1);
        let looping = &profile.threads[0];
        assert_eq!(looping.states.get(&(sleep, true)), Some(&50));
        assert_eq!(looping.states.get(&(sleep, false)), None);
        assert_eq!(looping.samples, 150);
        let event_loop = looping.event_loop.as_ref().unwrap();
        assert_eq!(event_loop.steps.count(), 1);
        assert_eq!(event_loop.steps.max().0 / 1_000_000, 495);
        let episode = &event_loop.episodes[0];
        let step = &episode.step;
        assert_eq!((step.start, step.end, step.exact), (ms(800), ms(1295), true));
        assert_eq!(episode.states, [(sleep, 50)]);

        let key = (ThreadId(0), StateKind { cause: Cause::Sleep, enters: false });
        let slept: Vec<_> = profile.spans.iter().map(|span| span.kinds[&key]).collect();
        assert_eq!(slept, [20, 30], "800 to 1000 ms, 1000 to 1300 ms");
        assert!(profile.open_steps.is_empty());
    }

    #[test]
    fn a_short_step_blocks_nothing() {
        let profile = sleeper(890);
        assert_eq!(profile.threads[0].states.get(&(StateId(1), false)), Some(&9));
        assert_eq!(profile.by_tag().get(&Tag::EventLoopBlocking), None);
        let event_loop = profile.threads[0].event_loop.as_ref().unwrap();
        assert_eq!(event_loop.steps.count(), 1);
        assert!(event_loop.episodes.is_empty());
        let short = &event_loop.short[&StateId(1)];
        assert_eq!((short.count, short.samples, short.longest), (1, 9, Nanos(85_000_000)));
        assert_eq!(short.mean_length(), Nanos(85_000_000));
        assert_eq!(event_loop.short_blocks(&profile.tables, profile.meta.threshold), 9);
        assert!(profile.threads[1].event_loop.is_none());
    }

    /// Both steps are in the first block, which ends the first; the second goes on in the next.
    #[test]
    fn the_end_of_one_step_leaves_the_next_one_open() {
        let mut trace = Trace::new(100);
        let looping = trace.thread("loop");
        let sleep = trace.state(&[("nap", "app.py", 2)], Cause::Sleep);
        for time in (0..600).step_by(10) {
            let step = if time < 150 { (1, 0, true) } else { (2, 150, true) };
            trace.sample(time, &[(looping, sleep, Some(step))]);
            if time == 300 {
                trace.cut();
            }
        }
        let profile = trace.finish().0;
        let looping = &profile.threads[0];
        assert_eq!(looping.states.get(&(sleep, true)), Some(&60));
        assert_eq!(looping.event_loop.as_ref().unwrap().episodes.len(), 2);
    }

    #[test]
    fn a_gap_between_samples_blocks_nothing() {
        let mut trace = Trace::new(100);
        let looping = trace.thread("loop");
        let work = trace.state(&[("work", "app.py", 2)], Cause::Python);
        trace.sample(0, &[(looping, work, Some((1, 0, true)))]);
        trace.sample(400, &[(looping, work, None)]);
        let profile = trace.finish().0;
        let event_loop = profile.threads[0].event_loop.as_ref().unwrap();
        assert!(event_loop.episodes.is_empty());
        assert_eq!(event_loop.steps.max(), Nanos(0), "as long as is certain");
    }

    #[test]
    fn counts_agree_with_each_other() {
        let profile = sleeper(1300);
        assert_eq!(profile.quality.samples, 150);
        assert_eq!(profile.thread_samples(), 300);
        assert_eq!(profile.by_tag().values().sum::<u64>(), 300);
        assert_eq!(profile.by_cause()[&Cause::Sleep], 50);
        assert_eq!(profile.by_cause()[&Cause::Python], 150);
        assert_eq!(profile.by_thread()[&ThreadId(1)], 150);
        assert_eq!(profile.tag_of(StateId(1), true), Some(Tag::EventLoopBlocking));
        assert_eq!(profile.tag_of(StateId(1), false), Some(Tag::IdleWaiting));
        assert_eq!(profile.tag_of(StateId(9), false), None);
        assert_eq!(profile.rows_of(ThreadId(9)).count(), 0);

        let samples: Vec<_> = profile.spans.iter().map(|second| second.samples).collect();
        assert_eq!(samples, [100, 50]);
        let cpu: Vec<_> = profile.spans.iter().map(|it| it.usage.cpu.0 / 1_000_000).collect();
        assert_eq!(cpu, [100, 50], "a block's CPU time is divided among its seconds");
        assert_eq!(profile.usage.cpu, Nanos(150_000_000));
        assert_eq!(profile.threads[0].cpu, Nanos(150_000_000));
    }

    #[test]
    fn an_open_step_counts_as_not_blocking_until_it_ends() {
        let mut trace = Trace::new(100);
        let looping = trace.thread("loop");
        let sleep = trace.state(&[("nap", "app.py", 2)], Cause::Sleep);
        for time in (0..300).step_by(10) {
            trace.sample(time, &[(looping, sleep, Some((5, 0, true)))]);
        }
        trace.cut();
        assert_eq!(trace.profile.by_tag()[&Tag::IdleWaiting], 30);
        assert_eq!(trace.profile.open_steps[&looping].first, ms(0));
        assert_eq!(trace.profile.open_steps[&looping].last, ms(290));
        trace.profile.finish();
        assert_eq!(trace.profile.by_tag()[&Tag::EventLoopBlocking], 30);
        assert_eq!(trace.profile.by_tag().len(), 1);
    }

    #[test]
    fn a_step_whose_end_is_lost_ends_at_the_next() {
        let mut trace = Trace::new(100);
        let looping = trace.thread("loop");
        let sleep = trace.state(&[("nap", "app.py", 2)], Cause::Sleep);
        for time in (0..400).step_by(10) {
            trace.sample(time, &[(looping, sleep, Some((time / 200, time / 200 * 200, true)))]);
        }
        let mut profile = Profile::new(trace.profile.meta.clone());
        let mut blocks = trace.finish().1;
        blocks[0].steps.clear();
        profile.absorb(&blocks[0]).unwrap();
        assert_eq!(profile.open_steps.len(), 1);
        profile.finish();
        let event_loop = profile.threads[0].event_loop.as_ref().unwrap();
        assert_eq!(event_loop.steps.count(), 2);
        assert_eq!(event_loop.steps.max().0 / 1_000_000, 190);
    }

    /// A block that is good as it is.
    fn good() -> Block {
        let mut trace = Trace::new(100);
        let (a, b) = (trace.thread("a"), trace.thread("b"));
        let state = trace.state(&[("main", "app.py", 1), ("f", "app.py", 2)], Cause::Python);
        trace.sample(0, &[(a, state, None), (b, state, None)]);
        trace.sample(10, &[(a, state, None), (b, state, None)]);
        trace.finish().1.remove(0)
    }

    #[test]
    fn hostile_blocks_are_refused_and_not_counted() {
        fn lane(block: &mut Block) -> &mut Lane {
            &mut block.lanes[0]
        }
        type Change = fn(&mut Block);
        let unknown = |what, id, known| AbsorbError::Unknown { what, id, known };
        let length = AbsorbError::LaneLength { thread: 0, samples: 2 };
        let cases: [(Change, AbsorbError); 16] = [
            (|it| it.frames[0].function = FunctionId(u32::MAX), unknown("function", u32::MAX, 2)),
            (|it| it.stacks[0].frame = FrameId(7), unknown("frame", 7, 2)),
            (|it| it.stacks[1].caller = StackId(2), unknown("stack", 2, 2)),
            (|it| it.states[0].stack = StackId(3), unknown("stack", 3, 3)),
            (|it| it.states[0].note = Some(LabelId(0)), unknown("label", 0, 0)),
            (|it| it.states[0].tag = Tag::EventLoopBlocking, AbsorbError::Tag { id: 0 }),
            (|it| it.threads[1].0 = ThreadId(9), unknown("thread", 9, 2)),
            (|it| lane(it).thread = ThreadId(2), AbsorbError::LaneOrder { thread: 1 }),
            (|it| lane(it).thread = ThreadId(1), AbsorbError::LaneOrder { thread: 1 }),
            (|it| it.lanes[1].thread = ThreadId(2), unknown("thread", 2, 2)),
            (|it| lane(it).runs[0].state = Some(StateId(1)), unknown("state", 1, 1)),
            (|it| lane(it).runs[0].samples = 3, length),
            (|it| lane(it).runs = vec![Run { samples: u32::MAX, ..Run::default() }; 9], length),
            (|it| lane(it).runs.push(Run::default()), length),
            (|it| lane(it).held = 3, length),
            (|it| it.frames.push(it.frames[0]), AbsorbError::Repeated { what: "frame" }),
        ];
        for (index, (change, error)) in cases.into_iter().enumerate() {
            let mut block = good();
            change(&mut block);
            let mut profile = Profile::default();
            assert_eq!(profile.absorb(&block), Err(error), "case {index}");
            assert_eq!(profile.thread_samples(), 0, "case {index}");
        }
        assert_eq!(Profile::default().absorb(&good()), Ok(()));
    }

    #[test]
    fn a_claimed_time_takes_little_memory() {
        let mut block = good();
        block.start = Nanos(u64::MAX);
        block.intervals = vec![u32::MAX; 2];
        block.usage.cpu = Nanos(u64::MAX);
        block.quality.samples = u64::MAX;
        let mut profile = Profile::default();
        profile.absorb(&block).unwrap();
        assert!(profile.spans.iter().count() <= 1024);
        assert_eq!(profile.spans.iter().last().unwrap().samples, 2);
        let again = Block {
            lanes: block.lanes,
            intervals: block.intervals,
            usage: block.usage,
            quality: block.quality,
            ..Block::default()
        };
        profile.absorb(&again).unwrap();
        assert_eq!(profile.thread_samples(), 8);
    }

    #[test]
    fn a_blocks_own_additions_count_for_its_ids() {
        let mut profile = Profile::default();
        profile.absorb(&good()).unwrap();
        let more = Block {
            frames: vec![Frame { function: FunctionId(1), line: 50 }],
            stacks: vec![StackNode { caller: StackId(2), frame: FrameId(2) }],
            states: vec![State {
                stack: StackId(3),
                ..*profile.tables.states.get(StateId(0)).unwrap()
            }],
            ..Block::default()
        };
        assert_eq!(profile.absorb(&more), Ok(()));
        assert_eq!(profile.tables.frames_of(StackId(3)).count(), 3);
    }
}
