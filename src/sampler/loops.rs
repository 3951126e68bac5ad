//! The event loop of one thread, from sample to sample.

use super::thread::Shared;
use crate::model::{
    Activity, Kept, LoopEvidence, LoopKind, Nanos, Step, StepNews, StepTask, ThreadId, Tid, Wait,
    WaitKind,
};
use crate::python::{
    Asyncio, AsyncioLayout, AsyncioLoop, CurrentTask, CurrentTasks, Ends, GeventHub, Interpreter,
    LoopFunction, LoopState, PythonThread, RawFrame, TrioLoop, UvLoop,
};
use crate::target::{Process, ProcessMemory};

/// A loop's clock reading further back than this is not believed: the target may live in a time
/// namespace of its own.
const LONGEST_STEP: Nanos = Nanos(24 * 3600 * Nanos::SECOND.0);
/// How often it is asked whether a thread runs a loop that no frame shows.
const ASK_INTERVAL: Nanos = Nanos(Nanos::SECOND.0 / 20);

/// The same when it seems to have begun something new.
const LEAST_ASK_INTERVAL: Nanos = Nanos(Nanos::SECOND.0 / 50);

/// How often asyncio's layout and gevent's hub are looked for, where that was in vain.
const SEEK_INTERVAL: Nanos = Nanos::SECOND;

/// What the loops of a process have in common.
#[derive(Debug, Default)]
pub(super) struct Loops {
    asyncio: Option<Asyncio>,
    current: CurrentTasks,
    /// Whether a loop was met before asyncio's layout was looked for the last time.
    settled: bool,
    /// Whether a loop was met.
    met: bool,
    /// When asyncio's layout was looked for.
    sought: Nanos,
    /// The main thread.
    main: Tid,
    /// Whether it was seen to begin with what no program begins with: a greenlet, perhaps.
    may_be_greenlet: bool,
    /// The hub that gevent has for it, and when that was looked for.
    gevent: Option<GeventHub>,
    gevent_sought: Nanos,
}

impl Loops {
    fn layout(&self) -> Option<&AsyncioLayout> {
        self.asyncio.as_ref().map(Asyncio::layout)
    }

    /// Finds out how asyncio is laid out; anew when a loop was met since, because asyncio may have
    /// been imported meanwhile. And looks for gevent's hub where there may be one.
    pub(super) fn keep_up(
        &mut self,
        process: &Process,
        python: &Interpreter<ProcessMemory>,
        now: Nanos,
    ) {
        // Where that fails it costs a reading of the target's maps, and would at every sample.
        let missing = self.asyncio.is_none() && now.since(self.sought) >= SEEK_INTERVAL;
        if missing || self.met && !self.settled {
            (self.settled, self.sought) = (self.met, now);
            self.asyncio = Asyncio::find(process, python).ok();
        }
        self.main = process.pid();
        let wanted = self.may_be_greenlet && self.gevent.is_none();
        if wanted && now.since(self.gevent_sought) >= SEEK_INTERVAL {
            self.gevent_sought = now;
            self.gevent = GeventHub::main(process, python.reader());
        }
    }
}

/// What is known of a thread when its loop is looked at.
#[derive(Clone, Copy)]
pub(super) struct Sight {
    pub thread: ThreadId,
    pub python: PythonThread,
    pub activity: Activity,
    /// The frame of a loop.
    pub frame: Option<(RawFrame, LoopFunction)>,
    /// The innermost and the outermost frame of all.
    pub ends: Option<Ends>,
    pub time: Nanos,
}

/// The loop that a thread runs.
#[derive(Debug, Default)]
enum Followed {
    #[default]
    Nothing,
    Asyncio(AsyncioLoop),
    Uvloop(UvLoop),
    Trio(TrioLoop),
    Gevent(GeventHub),
}

/// Follows the steps of a loop.
#[derive(Debug, Default)]
pub(super) struct LoopFollower {
    followed: Followed,
    asked_at: Nanos,
    /// The last sample that saw what the loop does; 0 before the first.
    seen_at: Nanos,
    step: Option<Step>,
    /// Its tasks, where it is the one to tell them.
    tasks: Option<u32>,
    /// At how many samples the step was seen.
    seen: u32,
    /// Whether there is a loop that could not be read at the last sample.
    unsure: bool,
}

impl LoopFollower {
    /// What the loop of a thread does.
    pub(super) fn follow(&mut self, shared: &mut Shared<'_>, sight: Sight) -> Option<LoopEvidence> {
        self.unsure = sight.frame.is_some();
        let Some(state) = self.state(shared, sight) else {
            self.step = None;
            return None;
        };
        self.unsure = false;
        shared.loops.met = true;
        let state =
            if self.seen_at == Nanos(0) { self.confirmed(shared, sight, state) } else { state };
        let step = self.step_of(state, sight.time);
        self.seen_at = sight.time;
        let same = step.map(|step| step.key) == self.step.map(|step| step.key);
        self.seen = if same { self.seen } else { 0 };
        if let (Followed::Trio(event_loop), Some(layout), false) =
            (&self.followed, shared.loops.layout(), same)
        {
            self.tasks = event_loop.tasks(shared.reader, layout).ok();
        }
        self.step = step;
        self.see_again(shared, sight);
        let kind = match self.followed {
            Followed::Asyncio(_) => LoopKind::Asyncio,
            Followed::Uvloop(_) => LoopKind::Uvloop,
            Followed::Trio(_) => LoopKind::Trio,
            Followed::Gevent(_) => LoopKind::Gevent,
            Followed::Nothing => LoopKind::Other,
        };
        Some(LoopEvidence { kind, epoll: state.epoll, step, tasks: self.tasks })
    }

    /// Whether the loop has to be looked at again, though its thread may not have moved.
    pub(super) const fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// Takes down that nothing has changed until `time`.
    pub(super) fn stays(&mut self, time: Nanos) {
        if self.seen_at > Nanos(0) {
            self.seen_at = time;
        }
    }

    /// The first state of a loop, if it is the same when it is read again. Later ones are believed
    /// by the samples before them; this one alone may say that a step began long ago.
    fn confirmed(&mut self, shared: &mut Shared<'_>, sight: Sight, state: LoopState) -> LoopState {
        match self.state(shared, sight) {
            Some(again) if again == state => state,
            _ => {
                self.unsure = true;
                LoopState { callback: None, ..state }
            }
        }
    }

    /// Takes down that the step goes on, and asks about it now and then: not when it is first seen,
    /// because most steps are over then.
    pub(super) fn see_again(&mut self, shared: &mut Shared<'_>, sight: Sight) {
        let Some(step) = self.step else { return };
        self.seen = self.seen.saturating_add(1);
        if self.seen < 2 || !self.seen.is_power_of_two() {
            return;
        }
        let task = self.task(shared, sight.python);
        let kept = self.kept(shared, sight.time);
        // What was read belongs to the step if the loop is in it still.
        let moves = !matches!(sight.activity, Activity::Blocked(_));
        if moves
            && !self.state(shared, sight).is_some_and(|state| {
                state.callback.is_some_and(|callback| callback.key == step.key)
            })
        {
            return;
        }
        shared.news.push(StepNews { thread: sight.thread, key: step.key, task, kept });
    }

    fn state(&mut self, shared: &mut Shared<'_>, sight: Sight) -> Option<LoopState> {
        let Some((frame, function)) = sight.frame else { return self.frameless(shared, sight) };
        let reader = shared.reader;
        match function {
            LoopFunction::Asyncio(slots) => {
                if !matches!(self.followed, Followed::Asyncio(_)) {
                    self.followed = Followed::Asyncio(AsyncioLoop::default());
                }
                let Followed::Asyncio(event_loop) = &mut self.followed else { return None };
                event_loop.read(reader, frame, slots).ok()
            }
            LoopFunction::Trio(_) | LoopFunction::TrioDriver => {
                if !matches!(self.followed, Followed::Trio(_)) {
                    self.followed = Followed::Trio(TrioLoop::default());
                }
                let Followed::Trio(event_loop) = &mut self.followed else { return None };
                let LoopFunction::Trio(slots) = function else { return Some(LoopState::default()) };
                event_loop.read(reader, shared.loops.layout(), frame, slots).ok()
            }
            LoopFunction::GeventHub(slots) => {
                if !matches!(&self.followed, Followed::Gevent(hub) if hub.runs_in(frame)) {
                    self.followed = Followed::Gevent(GeventHub::find(reader, frame, slots).ok()?);
                }
                self.gevent(shared, sight)
            }
        }
    }

    /// The state of gevent's hub, which has a frame while no greenlet runs. The program's own
    /// greenlet is none that others wait for: mostly there are none when it computes.
    fn gevent(&self, shared: &Shared<'_>, sight: Sight) -> Option<LoopState> {
        let Followed::Gevent(hub) = &self.followed else { return None };
        let ends = sight.ends.filter(|it| !shared.symbols.is_program(it.outermost.code))?;
        hub.read(shared.reader, ends).ok()?
    }

    /// The state of a loop that has no frame.
    fn frameless(&mut self, shared: &mut Shared<'_>, sight: Sight) -> Option<LoopState> {
        if matches!(self.followed, Followed::Gevent(_)) {
            return self.gevent(shared, sight);
        }
        if sight.time.since(self.asked_at) >= ASK_INTERVAL {
            self.ask(shared, sight);
        }
        if matches!(self.followed, Followed::Nothing) && sight.python.tid == shared.loops.main {
            return self.main_greenlet(shared, sight);
        }
        let known = self.step.map(|step| step.key);
        let state = self.uvloop(shared, sight.activity)?;
        // It may have ended: the program goes on after it, or in another one.
        let new = state.callback.is_some_and(|callback| Some(callback.key) != known);
        if new && sight.time.since(self.asked_at) >= LEAST_ASK_INTERVAL {
            self.ask(shared, sight);
            return self.uvloop(shared, sight.activity);
        }
        Some(state)
    }

    /// The state of a main thread that may run a greenlet, and whose hub was not seen yet.
    fn main_greenlet(&mut self, shared: &mut Shared<'_>, sight: Sight) -> Option<LoopState> {
        sight.ends.filter(|it| !shared.symbols.is_program(it.outermost.code))?;
        shared.loops.may_be_greenlet = true;
        self.followed = Followed::Gevent(shared.loops.gevent?);
        self.gevent(shared, sight)
    }

    /// Asks which loop the thread runs. What cannot be told for the moment stays as it was.
    fn ask(&mut self, shared: &Shared<'_>, sight: Sight) {
        let Some(asyncio) = &shared.loops.asyncio else { return };
        let Ok(running) = asyncio.running_loop(shared.python, &sight.python) else { return };
        self.asked_at = sight.time;
        if running.is_null() {
            self.followed = Followed::Nothing;
        } else if !matches!(&self.followed, Followed::Uvloop(it) if it.address() == running)
            && let Ok(found) = UvLoop::find(shared.reader, asyncio.layout(), running, sight.time)
        {
            self.followed = found.map_or(Followed::Nothing, Followed::Uvloop);
        }
    }

    fn uvloop(&self, shared: &Shared<'_>, activity: Activity) -> Option<LoopState> {
        let Followed::Uvloop(event_loop) = &self.followed else { return None };
        let idle = match activity {
            Activity::Blocked(Wait { kind: WaitKind::Select { epoll, .. }, .. }) => {
                epoll == Some(event_loop.epoll())
            }
            _ => false,
        };
        event_loop.read(shared.reader, idle).ok()
    }

    /// The step that the loop is in. A step other than the last sample's began between the two
    /// samples, unless the loop itself says when.
    fn step_of(&self, state: LoopState, time: Nanos) -> Option<Step> {
        let before = self.seen_at;
        let callback = state.callback?;
        if let Some(step) = self.step.filter(|step| step.key == callback.key) {
            return Some(step);
        }
        let iteration = callback.iteration_started;
        // The clock's reading may have been overwritten just before it was read. An iteration whose
        // first callback is new has begun since the last sample.
        let recent = before == Nanos(0) || iteration >= before || !callback.first;
        let plausible = iteration <= time && time.since(iteration) < LONGEST_STEP && recent;
        let exact = callback.first && plausible;
        let certain = plausible && callback.began_later;
        let earliest = if certain { iteration.max(before) } else { before };
        let (started, earliest) = match (exact, earliest) {
            (true, _) => (iteration, iteration),
            (false, Nanos(0)) => (time, time),
            // Of the callbacks of one iteration most take no time at all.
            (false, earliest) if plausible && iteration >= before => (iteration, earliest),
            (false, earliest) => (earliest.midpoint(time), earliest),
        };
        Some(Step { key: callback.key, started, earliest, exact })
    }

    fn task(&self, shared: &mut Shared<'_>, python: PythonThread) -> Option<StepTask> {
        if let Followed::Trio(event_loop) = &self.followed {
            let name = event_loop.task(shared.reader, shared.loops.layout()?).ok()?;
            return Some(StepTask { name: name.into(), coroutine: None });
        }
        let Loops { asyncio, current, .. } = &mut *shared.loops;
        let task = current.of(shared.python, asyncio.as_ref()?.layout(), &python).ok()??;
        let CurrentTask { name, coroutine, .. } = task;
        let coroutine = coroutine.and_then(|frame| {
            shared.symbols.function(shared.reader, frame.code, shared.tables).ok()
        });
        Some(StepTask { name: name.into(), coroutine })
    }

    fn kept(&mut self, shared: &Shared<'_>, now: Nanos) -> Option<Kept> {
        let (reader, layout) = (shared.reader, shared.loops.layout());
        match &mut self.followed {
            Followed::Asyncio(event_loop) => event_loop.kept(reader, layout?, now).ok(),
            Followed::Uvloop(event_loop) => event_loop.kept(reader).ok(),
            Followed::Trio(event_loop) => event_loop.kept(reader, layout?).ok(),
            Followed::Gevent(_) | Followed::Nothing => None,
        }
    }
}
