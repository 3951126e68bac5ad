//! One thread, from sample to sample.

use std::io;

use super::loops::{LoopFollower, Loops, Sight};
use super::schedule::{cpu_delta, schedule_of};
use super::symbols::{Interned, LastStack, Symbols};
use crate::model::{
    Activity, Attachment, CpuDelta, Failure, Nanos, StepNews, Tables, ThreadId, ThreadSample, Wait,
    WaitKind,
};
use crate::python::{
    Edges, Interpreter, PythonThread, RawFrame, Reader, ReleasesGil, StackReader, ThreadHead,
    is_parked_on_state,
};
use crate::target::{Descriptors, KernelThread, ProcessMemory, Schedule};

/// Attempts to see a blocked thread blocked from the first look to the last.
const ATTEMPTS: usize = 4;

/// How old the kernel's word may be on a thread that was not seen to block, when samples are taken
/// more often than this.
const KERNEL_INTERVAL: Nanos = Nanos::MILLISECOND;

/// What all threads of a process share while they are sampled.
pub(super) struct Shared<'a> {
    pub python: &'a Interpreter<ProcessMemory>,
    pub reader: Reader<'a, ProcessMemory>,
    pub memory: &'a ProcessMemory,
    pub descriptors: &'a mut Descriptors,
    pub symbols: &'a mut Symbols,
    pub edges: &'a mut Edges,
    pub loops: &'a mut Loops,
    pub tables: &'a mut Tables,
    /// What was learnt of the loops' steps.
    pub news: &'a mut Vec<StepNews>,
}

/// A thread that is sampled.
#[derive(Debug)]
pub(super) struct ThreadSampler {
    pub id: ThreadId,
    pub python: Option<PythonThread>,
    pub kernel: KernelThread,
    stack: StackReader,
    frames: Vec<RawFrame>,
    last_frames: Vec<RawFrame>,
    last_stack: LastStack,
    event_loop: LoopFollower,
    schedule: Option<(Nanos, Schedule)>,
    cpu: CpuDelta,
    /// When the kernel last said that it runs; 0 when it said something else since.
    ran_at: Nanos,
    /// The last sample, when the thread was blocked throughout: as long as it does not run, all of
    /// it stays true.
    blocked: Option<ThreadSample>,
    /// The wait that it is in: its turns on a CPU before, and when it was first seen.
    wait: Option<(u64, Nanos)>,
    last_attachment: Attachment,
}

/// Why a thread has no sample.
#[derive(Debug)]
pub(super) enum Missed {
    /// It could not be read.
    Failed(Failure),
    /// It has ended.
    Gone,
}

impl From<io::Error> for Missed {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Failure> for Missed {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The frames of a thread.
pub(super) struct Frames {
    /// Innermost first.
    pub frames: Vec<RawFrame>,
    /// Its turns on a CPU before they were read; `None` where the kernel does not count.
    pub turns: Option<u64>,
    /// Whether it is in the wait that its last sample found it in.
    pub unmoved: bool,
}

/// What was seen of the interpreter's side at one attempt.
struct Seen {
    activity: Activity,
    attachment: Attachment,
    collecting: bool,
    interned: Interned,
}

impl ThreadSampler {
    pub(super) fn new(id: ThreadId, kernel: KernelThread, python: Option<PythonThread>) -> Self {
        Self {
            id,
            python,
            kernel,
            stack: StackReader::default(),
            frames: Vec::new(),
            last_frames: Vec::new(),
            last_stack: LastStack::default(),
            event_loop: LoopFollower::default(),
            schedule: None,
            cpu: CpuDelta::default(),
            ran_at: Nanos(0),
            blocked: None,
            wait: None,
            last_attachment: Attachment::Unknown,
        }
    }

    /// Forgets what was interned: its code objects may be others now.
    pub(super) fn forget_stack(&mut self) {
        self.last_stack = LastStack::default();
        self.stack.forget();
        self.blocked = None;
    }

    /// Forgets what a wait was seen to be: what was not known of it may be known by now.
    pub(super) fn forget_wait(&mut self) {
        self.blocked = None;
    }

    /// Takes over the thread's state as the interpreter lists it now: a native thread may get one
    /// and lose it again, and a GIL may come into force.
    pub(super) fn follow(&mut self, python: Option<PythonThread>) {
        let address = |python: Option<PythonThread>| python.map(|python| python.address);
        if address(self.python) != address(python) {
            self.stack = StackReader::default();
            self.event_loop = LoopFollower::default();
            self.last_attachment = Attachment::Unknown;
            self.forget_stack();
        }
        self.python = python;
    }

    /// Whether the thread of a sample that was just taken could run without the GIL, by the
    /// instruction that it is at.
    pub(super) fn may_run_detached(
        &self,
        reader: Reader<'_, ProcessMemory>,
        cpu: CpuDelta,
    ) -> bool {
        let releases = self.last_frames.first().map(|frame| ReleasesGil::at(reader, *frame));
        match releases {
            Some(Ok(ReleasesGil::Never)) => false,
            Some(Ok(ReleasesGil::Seldom)) => cpu.ran.0 > cpu.elapsed.0 / 10 * 9,
            Some(Ok(ReleasesGil::Maybe) | Err(_)) | None => true,
        }
    }

    /// Takes it back that the thread runs detached: it is a waiter for the GIL that was woken.
    pub(super) fn is_woken(&mut self) {
        self.last_attachment = Attachment::WokenGilWaiter;
    }

    /// What the kernel says, for [`Self::sample`] of a process that is about to be stopped: being
    /// stopped hides it.
    pub(super) fn activity(&self, shared: &mut Shared<'_>) -> Result<Activity, Missed> {
        Ok(self.kernel.activity(shared.descriptors, shared.memory, shared.tables)?)
    }

    /// How often it was put on a CPU so far; `None` where the kernel does not count.
    pub(super) fn turns(&self) -> Option<u64> {
        self.kernel.schedule().ok().map(|schedule| schedule.switches)
    }

    /// How often it had been put on a CPU when its last sample found it in a wait.
    pub(super) fn turns_before_wait(&self) -> Option<u64> {
        self.wait.filter(|_| self.blocked.is_some()).map(|(turns, _)| turns)
    }

    /// Its frames: those of its last sample while it has not moved since.
    pub(super) fn frames(&mut self, shared: &mut Shared<'_>) -> Option<Frames> {
        let turns = self.turns();
        if turns.is_some() && turns == self.turns_before_wait() {
            return Some(Frames { frames: self.last_frames.clone(), turns, unmoved: true });
        }
        let mut frames = Vec::new();
        self.stack.read(shared.reader, &self.python?, shared.edges, &mut frames).ok()?;
        Some(Frames { frames, turns, unmoved: false })
    }

    /// Takes a sample at `time`. `before_stop` is the thread's activity before the process was
    /// stopped, when it is.
    pub(super) fn sample(
        &mut self,
        shared: &mut Shared<'_>,
        time: Nanos,
        before_stop: Option<Activity>,
    ) -> Result<ThreadSample, Missed> {
        // Being stopped is having run: then the account says nothing, and need not.
        let stopped = before_stop.is_some();
        // Of a thread that ran, the kernel brings it up to date at its own ticks only.
        let due = self.schedule.is_none_or(|(read_at, _)| time.since(read_at) >= KERNEL_INTERVAL);
        let mut witness = None;
        if due || self.blocked.is_some() {
            let schedule = schedule_of(&self.kernel)?;
            self.cpu = cpu_delta(&mut self.schedule, time, schedule);
            witness = Some(schedule);
        }
        let cpu = CpuDelta { repeated: witness.is_none(), ..self.cpu };
        if let Some(blocked) = self.blocked.filter(|_| cpu.switches == 0) {
            if blocked.event_loop.is_some_and(|it| it.step.is_some())
                && let Some(sight) = self.sight(blocked.activity, Interned::default(), time)
            {
                self.event_loop.see_again(shared, sight);
            }
            self.event_loop.stays(time);
            return Ok(ThreadSample { cpu, ..blocked });
        }
        self.blocked = None;
        for _ in 0..ATTEMPTS {
            let seen = match self.look(shared, time, cpu, before_stop) {
                Err(Missed::Failed(Failure::Invalid)) => continue,
                seen => seen?,
            };
            let sight = self.sight(seen.activity, seen.interned, time);
            let event_loop = sight.and_then(|sight| self.event_loop.follow(shared, sight));
            let blocked = matches!(seen.activity, Activity::Blocked(_));
            if blocked && !stopped {
                let after = schedule_of(&self.kernel)?;
                // A thread that ran at first and went to sleep has had no further turn, but more
                // time: its account is brought up to date when it leaves the CPU.
                let account = |schedule: Option<Schedule>| schedule.map(|it| (it.switches, it.ran));
                if witness.replace(after).map(account) != Some(account(after)) {
                    continue;
                }
            }
            let turns = witness.flatten().map(|schedule| schedule.switches);
            self.wait = turns.filter(|_| blocked && !stopped).map(|turns| match self.wait {
                Some(wait) if wait.0 == turns => wait,
                _ => (turns, time),
            });
            let sample = ThreadSample {
                thread: self.id,
                stack: seen.interned.stack,
                activity: seen.activity,
                attachment: seen.attachment,
                collecting: seen.collecting,
                cpu,
                event_loop,
                since: self.wait.map_or(time, |(_, since)| since),
                awaits: None,
                gil_holder: None,
            };
            // Being suspended ends without the thread's running.
            let lasts = blocked
                && !stopped
                && seen.attachment != Attachment::Suspended
                && !self.event_loop.is_unsure();
            self.blocked = lasts.then_some(sample);
            self.last_attachment = seen.attachment;
            std::mem::swap(&mut self.frames, &mut self.last_frames);
            return Ok(sample);
        }
        Err(Failure::Torn.into())
    }

    /// What its event loop is followed by; `None` of a thread that has no Python.
    fn sight(&self, activity: Activity, interned: Interned, time: Nanos) -> Option<Sight> {
        Some(Sight {
            thread: self.id,
            python: self.python?,
            activity,
            frame: interned.loop_frame,
            ends: interned.ends,
            time,
        })
    }

    /// One look at the kernel's side and the interpreter's.
    fn look(
        &mut self,
        shared: &mut Shared<'_>,
        time: Nanos,
        cpu: CpuDelta,
        before_stop: Option<Activity>,
    ) -> Result<Seen, Missed> {
        let Some(python) = self.python else {
            let activity = before_stop.map_or_else(|| self.activity(shared), Ok)?;
            let interned = Interned::default();
            let attachment = Attachment::Foreign;
            return Ok(Seen { activity, attachment, collecting: false, interned });
        };
        let head = self.stack.read(shared.reader, &python, shared.edges, &mut self.frames)?;
        let activity = match before_stop {
            Some(activity) => activity,
            None => self.activity_beside(shared, time, head)?,
        };
        let interned = shared.symbols.intern(
            shared.reader,
            &self.frames,
            &mut self.last_stack,
            shared.tables,
        )?;
        let (attachment, activity) = self.attachment(shared, python, head, activity, cpu)?;
        let collecting = head.collecting && attachment == Attachment::Holder;
        Ok(Seen { activity, attachment, collecting, interned })
    }

    /// What the kernel says of a thread with this head. One that has the GIL and ran when the kernel
    /// was last asked, a moment ago, is taken to run still.
    fn activity_beside(
        &mut self,
        shared: &mut Shared<'_>,
        time: Nanos,
        head: ThreadHead,
    ) -> Result<Activity, Missed> {
        let attached = head.holds_gil || head.attach_state == Some(1);
        if attached && time.since(self.ran_at) < KERNEL_INTERVAL {
            return Ok(Activity::Running);
        }
        let activity = self.activity(shared)?;
        self.ran_at = if activity == Activity::Running { time } else { Nanos(0) };
        Ok(activity)
    }

    /// How the thread stands to its interpreter; the activity comes back as it is then.
    fn attachment(
        &mut self,
        shared: &mut Shared<'_>,
        python: PythonThread,
        head: ThreadHead,
        activity: Activity,
        cpu: CpuDelta,
    ) -> Result<(Attachment, Activity), Missed> {
        let attachment = match head.attach_state {
            Some(1) => Some(Attachment::Holder),
            // So are threads that wait for something else while the world is stopped.
            Some(2) if self.awaits_world(shared, python, activity) => Some(Attachment::Suspended),
            Some(2) => Some(Attachment::Detached),
            Some(0) if python.gil.is_none() => Some(Attachment::Detached),
            Some(0) | None => None,
            Some(_) => Some(Attachment::Unknown),
        };
        if let Some(attachment) = attachment {
            return Ok((attachment, activity));
        }
        let waits = |activity| match activity {
            Activity::Blocked(wait) => match wait.kind {
                WaitKind::Futex { address, .. } => {
                    python.gil.is_some_and(|gil| gil.contains(address))
                }
                _ => false,
            },
            _ => false,
        };
        if head.holds_gil && !waits(activity) {
            return Ok((Attachment::Holder, activity));
        }
        if waits(activity) {
            return Ok((Attachment::GilWaiter, activity));
        }
        if activity != Activity::Running {
            return Ok((Attachment::Detached, activity));
        }
        // On a CPU without the GIL: C code that released it, or a waiter on one of its short
        // wake-ups (every waiter wakes each switch interval), which a second look mostly finds
        // asleep again.
        let again = self.activity(shared)?;
        if waits(again) {
            return Ok((Attachment::GilWaiter, again));
        }
        // Without the GIL a waiter cannot move in its code, and it hardly runs.
        let waited =
            matches!(self.last_attachment, Attachment::GilWaiter | Attachment::WokenGilWaiter);
        let unmoved = self.frames == self.last_frames;
        let woken = head.requests_gil || (waited && unmoved && cpu.ran.0 <= cpu.elapsed.0 / 2);
        let attachment = if woken { Attachment::WokenGilWaiter } else { Attachment::Detached };
        Ok((attachment, activity))
    }

    /// Whether a suspended thread runs into its suspension, or waits for its end.
    fn awaits_world(&self, shared: &Shared<'_>, python: PythonThread, activity: Activity) -> bool {
        match activity {
            Activity::Blocked(Wait { kind: WaitKind::Futex { address, .. }, .. }) => {
                is_parked_on_state(shared.reader, python.address, address)
            }
            Activity::Blocked(_) => false,
            _ => true,
        }
    }
}
