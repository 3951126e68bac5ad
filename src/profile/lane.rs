//! One thread's part of a block while it grows: its runs, and the step of its event loop.

use crate::model::{
    Attachment, Kept, Nanos, StateId, Step, StepNews, StepTask, ThreadId, ThreadSample,
};

use super::block::{Lane, Run, StepEnd};

/// One thread's part of a block while it grows. Outlives the block: a step may span several.
#[derive(Debug, Default)]
pub(super) struct LaneBuilder {
    lane: Lane,
    /// How many of the block's samples the runs cover.
    covered: u32,
    open: Option<OpenStep>,
    /// The number of steps met in the recording.
    steps: u32,
    /// When the step before ended: two steps of one loop never overlap.
    ended: Nanos,
}

/// The step that the thread's event loop is in.
#[derive(Debug)]
struct OpenStep {
    key: u64,
    start: Nanos,
    earliest: Nanos,
    exact: bool,
    /// The first sample that saw it.
    first: Nanos,
    /// The last sample that saw it.
    seen: Nanos,
    /// The first sample after that, when the thread was not there.
    missed: Option<Nanos>,
    task: Option<StepTask>,
    kept: Option<Kept>,
}

impl LaneBuilder {
    /// Whether the block has a sample of the thread.
    pub(super) const fn is_sampled(&self) -> bool {
        self.covered > 0
    }

    /// Whether the thread was sampled at the block's sample `index`.
    pub(super) const fn covers(&self, index: u32) -> bool {
        self.covered > index
    }

    /// Whether a step goes on.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Adds the block's sample `index`, taken at `time`; gives the step that it shows to be over.
    pub(super) fn push(
        &mut self,
        (index, time): (u32, Nanos),
        sample: &ThreadSample,
        state: StateId,
    ) -> Option<StepEnd> {
        let ended = self.follow(sample.thread, sample.event_loop.and_then(|it| it.step), time);
        if index > self.covered {
            self.extend(Run { state: None, step: 0, samples: index - self.covered });
        }
        let step = if self.is_open() { self.steps } else { 0 };
        self.extend(Run { state: Some(state), step, samples: 1 });

        let lane = &mut self.lane;
        lane.thread = sample.thread;
        lane.held += u32::from(sample.attachment == Attachment::Holder);
        if !sample.cpu.repeated {
            lane.cpu.0 = lane.cpu.0.saturating_add(sample.cpu.ran.0);
            lane.queued.0 = lane.queued.0.saturating_add(sample.cpu.queued.0);
        }
        if let Some(holder) = sample.gil_holder {
            let place = lane.gil_waits.binary_search_by_key(&holder, |(holder, _)| *holder);
            match place.map(|place| lane.gil_waits.get_mut(place)) {
                Ok(Some((_, samples))) => *samples += 1,
                Ok(None) => {}
                Err(place) => lane.gil_waits.insert(place, (holder, 1)),
            }
        }
        lane.event_loop = sample.event_loop.map(|it| it.kind).or(lane.event_loop);
        lane.tasks = sample.event_loop.and_then(|it| it.tasks).or(lane.tasks);
        ended
    }

    fn extend(&mut self, run: Run) {
        self.covered += run.samples;
        match self.lane.runs.last_mut() {
            Some(last) if last.state == run.state && last.step == run.step => {
                last.samples += run.samples;
            }
            _ => self.lane.runs.push(run),
        }
    }

    /// Follows the event loop into `step`, or out of any.
    fn follow(&mut self, thread: ThreadId, step: Option<Step>, time: Nanos) -> Option<StepEnd> {
        if let (Some(open), Some(step)) = (&mut self.open, step)
            && open.key == step.key
        {
            open.seen = time;
            open.missed = None;
            return None;
        }
        let bound = step.filter(|step| step.exact).map_or(time, |step| step.started);
        let ended = self.close(thread, time, bound);
        self.open = step.map(|step| OpenStep {
            key: step.key,
            start: step.started.max(self.ended),
            earliest: step.earliest,
            exact: step.exact && step.started >= self.ended,
            first: time,
            seen: time,
            missed: None,
            task: None,
            kept: None,
        });
        self.steps = self.steps.saturating_add(u32::from(self.is_open()));
        ended
    }

    /// Ends the open step half way between the last sample that saw it and `next`, the first that
    /// did not, but not after `bound`.
    fn close(&mut self, thread: ThreadId, next: Nanos, bound: Nanos) -> Option<StepEnd> {
        let open = self.open.take()?;
        let end = open.seen.midpoint(next).min(bound).max(open.start);
        self.ended = end;
        let seen = open.seen.max(open.start);
        Some(StepEnd {
            thread,
            step: self.steps,
            start: open.start,
            earliest: open.earliest.min(open.start),
            first: open.first.max(open.start),
            seen,
            end,
            latest: bound.min(next).max(seen),
            exact: open.exact,
            task: open.task,
            kept: open.kept,
        })
    }

    /// Takes down what was learnt of the open step, if it is the one that is meant.
    pub(super) fn learn(&mut self, news: &StepNews) {
        if let Some(open) = self.open.as_mut().filter(|open| open.key == news.key) {
            if news.task.is_some() {
                open.task.clone_from(&news.task);
            }
            open.kept = open.kept.into_iter().chain(news.kept).reduce(Kept::max);
        }
    }

    /// Notes that the thread was not there at `time` while its step was open.
    pub(super) fn miss(&mut self, time: Nanos) {
        if let Some(open) = &mut self.open {
            open.missed.get_or_insert(time);
        }
    }

    /// Ends the open step because no more samples are to come, the last having been at `last`.
    pub(super) fn close_unseen(&mut self, thread: ThreadId, last: Nanos) -> Option<StepEnd> {
        let next = self.open.as_ref()?.missed.unwrap_or(last);
        self.close(thread, next, next)
    }

    /// The finished lane; the builder is ready for the next block.
    pub(super) fn cut(&mut self) -> Lane {
        self.covered = 0;
        std::mem::take(&mut self.lane)
    }
}
