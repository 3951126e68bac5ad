//! Profiles made by hand, for tests.

use crate::model::{
    Cause, Descriptor, DescriptorId, DescriptorKind, Frame, Function, LabelId, Nanos, SocketRole,
    StackId, State, StateId, Tag, ThreadId, ThreadInfo,
};
use crate::profile::{
    Episode, LoopProfile, Profile, Seen, Shutdown, Span, Spans, StateKind, StepEnd, ThreadProfile,
};

/// Samples of the process in each second.
pub(crate) const RATE: u64 = 100;

/// A profile that is being made: so many seconds at [`RATE`] samples each, all alike.
pub(crate) struct Fixture {
    pub(crate) profile: Profile,
}

/// What a thread does in part of the samples.
pub(crate) struct Doing<'a> {
    /// Frames, outermost first, each `file:function:line`.
    pub(crate) stack: &'a [&'a str],
    pub(crate) cause: Cause,
    pub(crate) note: Option<&'a str>,
    pub(crate) peer: Option<&'a str>,
}

impl<'a> Doing<'a> {
    pub(crate) fn new(cause: Cause, stack: &'a [&'a str]) -> Self {
        Self { stack, cause, note: None, peer: None }
    }

    pub(crate) fn note(self, note: &'a str) -> Self {
        Self { note: Some(note), ..self }
    }

    pub(crate) fn peer(self, peer: &'a str) -> Self {
        Self { peer: Some(peer), ..self }
    }
}

impl Fixture {
    /// A quiet process with a GIL and four CPUs.
    pub(crate) fn new(seconds: u64) -> Self {
        let mut profile = Profile::default();
        profile.meta.gil = true;
        profile.meta.pid = 4242;
        profile.meta.python = "3.13.5".into();
        profile.meta.command = vec!["python3".into(), "app.py".into()];
        profile.meta.usable_cpus = 4.0;
        profile.meta.rate = RATE as f64;
        profile.meta.threshold = Nanos(100 * Nanos::MILLISECOND.0);
        profile.quality.samples = seconds * RATE;
        profile.quality.elapsed = Nanos(seconds * Nanos::SECOND.0);
        profile.quality.own_cpu = Nanos(seconds * 10 * Nanos::MILLISECOND.0);
        let second = Span { samples: RATE, ..Span::default() };
        profile.spans = Spans::of_seconds(vec![second; seconds as usize]);
        Self { profile }
    }

    /// Five seconds of an event loop that `time.sleep` in `app.py:12` blocks for 300 ms in each.
    pub(crate) fn blocked_by_sleep() -> Self {
        let mut fixture = Self::new(5);
        let thread = fixture.thread("MainThread");
        let run = "/usr/lib/python3.13/asyncio/base_events.py:BaseEventLoop._run_once:2000";
        let idle = ["app.py:<module>:90", run, "/usr/lib/python3.13/selectors.py:select:400"];
        let idle = Doing::new(Cause::Parked, &idle).note("event-loop-selector");
        fixture.spend(thread, 70, &idle);
        let handle = "/usr/lib/python3.13/asyncio/events.py:Handle._run:80";
        let stack = ["app.py:<module>:90", run, handle, "app.py:serve:30", "app.py:charge:12"];
        fixture.block(thread, 30, &Doing::new(Cause::Sleep, &stack));
        fixture
    }

    /// Adds a Python thread; the first is the main one.
    pub(crate) fn thread(&mut self, name: &str) -> ThreadId {
        let index = self.profile.threads.len();
        self.profile.tables.threads.push(ThreadInfo {
            tid: 4242 + index as i32,
            name: name.into(),
            python: true,
            main: index == 0,
            interpreter: 0,
            daemon: Some(false),
        });
        self.profile.threads.push(ThreadProfile::default());
        ThreadId::from(index)
    }

    /// Has a thread spend so many of every second's samples on something.
    pub(crate) fn spend(&mut self, thread: ThreadId, samples: u64, doing: &Doing) -> StateId {
        let state = self.state(doing);
        self.count(thread, state, samples, false);
        state
    }

    fn count(&mut self, thread: ThreadId, state: StateId, samples: u64, blocking: bool) {
        let all = samples * self.seconds();
        let kind = self.profile.tables.states.get(state);
        let kind = kind.map(|state| StateKind::of(&self.profile.tables, state)).expect("a state");
        for second in self.profile.spans.iter_mut() {
            *second.kinds.entry((thread, kind)).or_default() += samples;
        }
        let profile = &mut self.profile.threads[usize::from(thread)];
        profile.samples += all;
        let cause = self.profile.tables.states.get(state).map(|state| state.cause);
        if cause == Some(Cause::Python) {
            profile.held += all;
        }
        *profile.states.entry((state, blocking)).or_default() += all;
        self.profile.quality.thread_samples += all;
    }

    /// Has the process use so many CPUs while so many threads wait for one.
    pub(crate) fn cpus(&mut self, used: f64, queued: f64) {
        let nanos = |mean: f64, seconds: u64| Nanos((mean * 1e9) as u64 * seconds);
        for second in self.profile.spans.iter_mut() {
            second.usage.cpu = nanos(used, 1);
            second.usage.queued = nanos(queued, 1);
        }
        self.profile.usage.cpu = nanos(used, self.seconds());
        self.profile.usage.queued = nanos(queued, self.seconds());
    }

    /// Has a thread run an event loop.
    pub(crate) fn event_loop(&mut self, thread: ThreadId) -> &mut LoopProfile {
        self.profile.threads[usize::from(thread)].event_loop.get_or_insert_default()
    }

    /// Has a thread's event loop be blocked once in every second, for so many of its samples.
    pub(crate) fn block(&mut self, thread: ThreadId, samples: u64, doing: &Doing) {
        let state = self.state(doing);
        self.count(thread, state, samples, true);
        let length = samples * Nanos::SECOND.0 / RATE;
        let starts = (0..self.seconds()).map(|second| second * Nanos::SECOND.0);
        let states = vec![(state, samples)];
        let episodes = starts.map(|start| Episode {
            step: StepEnd {
                thread,
                start: Nanos(start),
                earliest: Nanos(start),
                first: Nanos(start),
                seen: Nanos(start + length),
                end: Nanos(start + length),
                latest: Nanos(start + length),
                exact: true,
                ..StepEnd::default()
            },
            states: states.clone(),
        });
        let event_loop =
            self.profile.threads[usize::from(thread)].event_loop.get_or_insert_default();
        event_loop.episodes.extend(episodes);
        for episode in &event_loop.episodes {
            event_loop.steps.add(episode.step.length());
        }
    }

    /// Has a thread's event loop spend so many of every second's samples in steps of a length.
    pub(crate) fn short_steps(
        &mut self,
        thread: ThreadId,
        samples: u64,
        length: Nanos,
        doing: &Doing,
    ) {
        let state = self.spend(thread, samples, doing);
        let samples = samples * self.seconds();
        let count = (samples * Nanos::SECOND.0 / RATE).div_ceil(length.0).min(samples);
        let event_loop = self.event_loop(thread);
        for _ in 0..count {
            event_loop.steps.add(length);
            let step = event_loop.short.entry(state).or_default();
            step.add(StepEnd::default(), length, samples / count);
        }
    }

    /// Has a thread be at its end from a second on, while all do what they do in all of the time;
    /// `cpu` is what each of them used of a CPU meanwhile.
    pub(crate) fn shutdown(&mut self, thread: ThreadId, since: u64, cpu: Nanos) {
        let length = self.seconds() - since;
        let mut shutdown = Shutdown {
            thread,
            since: Nanos(since * Nanos::SECOND.0),
            last: Nanos(self.seconds() * Nanos::SECOND.0),
            ..Shutdown::default()
        };
        for (index, profile) in self.profile.threads.iter_mut().enumerate() {
            let of = ThreadId::from(index);
            let states = profile.states.iter();
            let states =
                states.map(|(&(state, _), all)| ((of, state), all * length / (length + since)));
            shutdown.states.extend(states);
            shutdown.cpu.insert(of, cpu);
            if let Some(&(state, _)) = profile.states.keys().next() {
                profile.seen =
                    Some(Seen { first: Nanos(0), last: shutdown.last, state, since: Nanos(0) });
            }
        }
        self.profile.note_shutdown(shutdown);
    }

    fn seconds(&self) -> u64 {
        self.profile.spans.iter().count() as u64
    }

    fn state(&mut self, doing: &Doing) -> StateId {
        let stack = self.stack(doing.stack);
        let descriptor = doing.peer.map(|peer| self.socket(peer));
        let tables = &mut self.profile.tables;
        let note: Option<LabelId> = doing.note.map(|note| tables.labels.intern(note.into()));
        let tag = doing.cause.tag().unwrap_or(Tag::IdleWaiting);
        tables.states.intern(State { stack, tag, cause: doing.cause, descriptor, note })
    }

    fn socket(&mut self, peer: &str) -> DescriptorId {
        let kind = DescriptorKind::Socket {
            role: SocketRole::Client,
            local: "10.0.0.1:50000".into(),
            peer: peer.into(),
        };
        self.profile.tables.descriptors.intern(Descriptor { number: 7, kind })
    }

    fn stack(&mut self, frames: &[&str]) -> StackId {
        let tables = &mut self.profile.tables;
        frames.iter().fold(StackId::EMPTY, |caller, text| {
            let (rest, line) = text.rsplit_once(':').unwrap();
            let (file, name) = rest.rsplit_once(':').unwrap();
            let function = tables.functions.intern(Function {
                name: name.into(),
                qualified: true,
                module: file.trim_end_matches(".py").into(),
                file: file.into(),
                first_line: 1,
            });
            let line = line.parse().unwrap();
            let frame = tables.frames.intern(Frame { function, line });
            tables.push_frame(caller, frame)
        })
    }
}
