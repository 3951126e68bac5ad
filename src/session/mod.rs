//! The pipeline that ties sampler, classifier and profile. Invariant: the pipeline, and nothing else.

mod children;
mod locks;
mod outlook;
mod run;
mod snapshot;
mod study;
mod task_looker;
mod task_peers;
mod task_watch;

use std::sync::atomic::AtomicBool;

use self::children::ChildWatch;
use self::locks::{LockWatch, notes};
use self::outlook::Outlook;
pub use self::run::{Ending, Observer, Options, SessionError};
use self::study::Study;
use self::task_looker::TaskLooker;
use crate::catalog::Catalog;
use crate::classify::Classifier;
use crate::model::{LockWait, Nanos, Sample, StateId, Tables, WaitNotes};
use crate::profile::{Block, BlockBuilder, Meta, Profile, Quality, Usage};
use crate::sampler::{
    AttachError, Pace, ProcessSampler, Stopped, Tick, monotonic_now, own_cpu_time, raise_priority,
};
use crate::target::{Process, syscall_name};
use crate::waits::deadlocks;

/// How often a block is cut: what a crash may lose.
const BLOCK_LENGTH: Nanos = Nanos::SECOND;

/// Samples a process into a profile.
pub struct Session<'c> {
    sampler: ProcessSampler,
    classifier: Classifier<'c>,
    options: Options,
    tables: Tables,
    builder: BlockBuilder,
    profile: Profile,
    sample: Sample,
    states: Vec<StateId>,
    lock_watch: LockWatch,
    /// Looks at the tasks, once an event loop was met.
    task_looker: Option<TaskLooker>,
    /// Looks at what surrounds the target, once it is sampled for a while.
    outlook: Option<Outlook>,
    children: ChildWatch<'c>,
    /// What was counted since the last block.
    quality: Quality,
    /// The accounts at the last block.
    since: Accounts,
}

/// Counters that only grow.
#[derive(Debug, Clone, Copy)]
struct Accounts {
    time: Nanos,
    own_cpu: Nanos,
    target_cpu: Nanos,
}

impl<'c> Session<'c> {
    /// Attaches to `process`. The first sample is taken at once, so that what can be wrong shows
    /// here and not later.
    ///
    /// # Errors
    /// When the process cannot be sampled.
    pub fn attach(
        process: Process,
        catalog: &'c Catalog,
        options: Options,
    ) -> Result<Self, AttachError> {
        let sampler = ProcessSampler::attach(process, options.blocking)?;
        let since = Accounts::now(&sampler);
        let mut session = Self {
            sampler,
            classifier: Classifier::new(catalog, syscall_name),
            options,
            tables: Tables::default(),
            builder: BlockBuilder::new(),
            profile: Profile::default(),
            sample: Sample::default(),
            states: Vec::new(),
            lock_watch: LockWatch::default(),
            task_looker: None,
            outlook: None,
            children: ChildWatch::new(catalog),
            quality: Quality::default(),
            since,
        };
        // The first sample finds the threads; whether the target lives on is for `run` to say.
        let _ = session.take_sample(Tick { time: since.time, late: Nanos(0), skipped: 0 });
        if !session.sampler.has_python() {
            return Err(AttachError::NoThread { pid: session.sampler.process().pid() });
        }
        session.profile = Profile::new(session.meta());
        Ok(session)
    }

    fn meta(&self) -> Meta {
        let process = self.sampler.process();
        let version = self.sampler.version();
        Meta {
            recorder: env!("CARGO_PKG_VERSION").to_owned(),
            pid: process.pid(),
            command: process.command_line(),
            python: version.to_string(),
            free_threaded: version.free_threaded,
            gil: self.sampler.has_gil(),
            usable_cpus: process.usable_cpus(),
            forked_from: process.forked_from(),
            rate: self.options.rate,
            threshold: self.options.threshold.into(),
            started_at: jiff::Timestamp::now().as_second(),
            origin: self.since.time,
            age: process.age().unwrap_or(Nanos(u64::MAX)),
        }
    }

    /// What is known of the target and of how it is sampled.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Samples until the time is over, `stop` is set or the target ends. Whatever was sampled up to
    /// then is in the profile and was shown to `observer`, also on an error of the observer's.
    ///
    /// # Errors
    /// When the observer fails.
    pub fn run(
        &mut self,
        stop: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Ending, SessionError> {
        self.outlook = Some(Outlook::new(self.sampler.process()));
        raise_priority();
        let started = monotonic_now();
        let end = self.options.duration.map(|length| Nanos(started.0 + Nanos::from(length).0));
        let mut pace = Pace::new(self.options.rate);
        let mut study = Study::default();
        let interval = self.profile.meta.interval();
        let ending = loop {
            let Some(tick) = pace.wait(stop, end) else { break Ending::Asked };
            if end.is_some_and(|end| tick.time >= end) {
                break Ending::Elapsed;
            }
            if let Err(Stopped(state)) = self.take_sample(tick) {
                break Ending::Target(state);
            }
            if self.lock_watch.is_due(tick.time) {
                self.look_at_locks();
            }
            self.look_at_tasks();
            self.children.follow(tick.time);
            study.follow(&mut self.sampler, &mut self.tables, &self.sample, interval);
            if tick.time.since(self.since.time) >= BLOCK_LENGTH {
                self.cut(observer, None)?;
            }
        };
        // What lasts has lasted longest at the end; but what was asked to end with us ends already.
        let lasts = match ending {
            Ending::Target(_) => false,
            Ending::Asked => !self.options.launched,
            Ending::Elapsed => true,
        };
        if lasts {
            self.look_at_locks();
        }
        let looker = self.task_looker.take().filter(|_| ending != Ending::Asked || lasts);
        if let Some(mut looker) = looker {
            for look in looker.finish(&mut self.tables) {
                self.builder.note_tasks(look);
            }
        }
        self.cut(observer, Some(ending))?;
        Ok(ending)
    }

    /// Samples so often from the next run on.
    pub fn set_rate(&mut self, rate: f64) {
        self.options.rate = rate;
        self.profile.meta.rate = rate;
    }

    /// Ends the session.
    #[must_use]
    pub fn into_profile(self) -> Profile {
        self.profile
    }

    fn take_sample(&mut self, tick: Tick) -> Result<(), Stopped> {
        self.sample.time = tick.time;
        self.sample.late = tick.late;
        self.sampler.sample(&mut self.tables, &mut self.sample)?;
        self.judge(&[]);
        self.builder.push(&self.sample, &self.states);
        self.lock_watch.see(&self.sample);
        self.quality.samples += 1;
        self.quality.thread_samples += self.sample.threads.len() as u64;
        self.quality.rejected += self.sample.failures.len() as u64;
        let late = self.options.rate > 0.0 && tick.late.seconds() > 0.5 / self.options.rate;
        self.quality.late += tick.skipped + u64::from(late);
        Ok(())
    }

    /// Judges the last sample; `waits` is what is known since of the waits in it.
    fn judge(&mut self, waits: &[LockWait]) {
        self.states.clear();
        for taken in &mut self.sample.threads {
            let known = waits.iter().find(|wait| wait.thread == taken.thread);
            taken.awaits = known
                .filter(|wait| wait.since == taken.since)
                .map_or(taken.awaits, |it| Some(it.kind));
            let state = self.classifier.classify(taken, &mut self.tables);
            self.states.push(self.tables.states.intern(state));
        }
    }

    fn look_at_locks(&mut self) {
        let began = monotonic_now();
        let survey = self.sampler.look_at_locks(&mut self.tables, &self.sample);
        let deadlocks = deadlocks(&survey.waits, self.sample.time);
        let seen = notes(&survey, deadlocks, &self.sample, &self.states, &self.tables);
        self.builder.note_waits(seen);
        self.lock_watch.looked(&survey, began, monotonic_now());
    }

    /// Has the tasks be looked at once an event loop was met.
    fn look_at_tasks(&mut self) {
        let met = || self.sample.threads.iter().any(|thread| thread.event_loop.is_some());
        if self.task_looker.is_none() && met() {
            self.task_looker = Some(TaskLooker::new(self.sampler.process()));
        }
        let Some(looker) = &mut self.task_looker else { return };
        if let Some(look) = looker.follow(&mut self.tables, &self.sample) {
            self.builder.note_tasks(look);
        }
    }

    /// Cuts a block and hands it on; the last one at the session's end.
    fn cut(
        &mut self,
        observer: &mut dyn Observer,
        ending: Option<Ending>,
    ) -> Result<(), SessionError> {
        for thread in self.sampler.take_changed() {
            self.builder.note_thread(thread);
        }
        let spells = self.lock_watch.take_spells();
        self.builder.note_waits(WaitNotes { spells, ..WaitNotes::default() });
        let now = Accounts::now(&self.sampler);
        let quality = Quality {
            elapsed: now.time.since(self.since.time),
            own_cpu: now.own_cpu.since(self.since.own_cpu),
            ..std::mem::take(&mut self.quality)
        };
        let usage = Usage {
            cpu: now.target_cpu.since(self.since.target_cpu),
            resident: self.sampler.process().resident_bytes(),
            ..Usage::default()
        };
        self.since = now;
        let mut block = match ending {
            None => self.builder.cut(&self.tables, quality, usage),
            Some(ending) => {
                let block = self.builder.finish(&self.tables, quality, usage);
                let target = matches!(ending, Ending::Target(_)).then_some(self.sampler.process());
                Block { end: target.map(Process::end), ..block }
            }
        };
        self.profile.absorb(&block)?;
        let outlook = self.outlook.as_mut();
        if let Some(mut seen) = outlook.and_then(|it| it.follow(&self.profile, ending.is_some())) {
            self.children.meet(&seen.children);
            seen.workers = self.children.sight();
            self.profile.surroundings.clone_from(&seen);
            block.surroundings = Some(seen);
        }
        if ending.is_some() {
            self.profile.finish();
        }
        observer.block(&block, &self.profile)?;
        Ok(())
    }
}

impl Accounts {
    fn now(sampler: &ProcessSampler) -> Self {
        Self {
            time: monotonic_now(),
            own_cpu: own_cpu_time(),
            target_cpu: sampler.process().cpu_time(),
        }
    }
}
