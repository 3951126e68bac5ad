//! What a process does at one moment: its threads, locks, waits and tasks.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use super::Session;
use crate::model::{Attachment, Nanos, StateId, ThreadId, note};
use crate::profile::{Snapshot, ThreadSnapshot};
use crate::sampler::{Pace, TaskSampler, TasksError, monotonic_now};
use crate::waits::{LASTING, deadlocks, is_suspicious, task_deadlocks};

/// Looks a second for a snapshot: near enough for one moment, far enough to see who moves.
const SNAPSHOT_RATE: f64 = 1000.0;

/// How long a snapshot waits to see whether what may be a deadlock lasts, a little longer than it
/// must; and how often it samples meanwhile.
const DEADLOCK_PATIENCE: Nanos = Nanos(LASTING.0 + 20 * Nanos::MILLISECOND.0);
const PATIENT_RATE: f64 = 50.0;

/// Tasks of a snapshot whose sockets are looked for.
const MOST_PEERS: usize = 512;

impl Session<'_> {
    /// What every thread does now. Looks a few times: some evidence is a change.
    pub fn snapshot(&mut self) -> Snapshot {
        const LOOKS: usize = 3;
        let mut pace = Pace::new(SNAPSHOT_RATE);
        let never = AtomicBool::new(false);
        let mut shown = self.shown();
        let mut lives = true;
        for _ in 0..LOOKS {
            // A target that ends meanwhile is shown as it was last.
            lives = pace.wait(&never, None).is_some_and(|tick| self.take_sample(tick).is_ok());
            if !lives {
                break;
            }
            shown = self.shown();
        }
        let mut survey = self.sampler.look_at_locks(&mut self.tables, &self.sample);
        // What only lasting proves is worth some patience, as long as it lasts.
        let began = self.sample.time;
        let mut pace = Pace::new(PATIENT_RATE);
        while lives
            && self.sample.time.since(began) < DEADLOCK_PATIENCE
            && is_suspicious(survey.waits.iter().filter(|wait| wait.since <= began))
        {
            lives = pace.wait(&never, None).is_some_and(|tick| self.take_sample(tick).is_ok());
            survey = self.sampler.look_at_locks(&mut self.tables, &self.sample);
        }
        if lives {
            self.judge(&survey.waits);
            shown = self.shown();
        }
        shown.deadlocks = deadlocks(&survey.waits, self.sample.time);
        shown.waits = survey.waits;
        let idle = self.idle_loops();
        shown.details = self.sampler.look_at_waits(&mut self.tables, &self.sample, &idle);
        shown.tables = self.tables.clone();
        shown
    }

    /// The threads whose event loop has nothing to do: it watches whatever may come.
    fn idle_loops(&self) -> Vec<ThreadId> {
        let is_idle = |state: &StateId| {
            let state = self.tables.states.get(*state);
            state.and_then(|state| self.tables.note(state)) == Some(note::EVENT_LOOP_SELECTOR)
        };
        let threads = self.sample.threads.iter().zip(&self.states);
        threads.filter(|(_, state)| is_idle(state)).map(|(taken, _)| taken.thread).collect()
    }

    /// What every thread does now, and every task.
    ///
    /// # Errors
    /// When the tasks cannot be read.
    pub fn snapshot_of_tasks(&mut self) -> Result<Snapshot, TasksError> {
        let mut snapshot = self.snapshot();
        snapshot.time = monotonic_now();
        self.add_tasks(&mut snapshot)?;
        Ok(snapshot)
    }

    /// Adds the tasks to a snapshot.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn add_tasks(&self, snapshot: &mut Snapshot) -> Result<(), TasksError> {
        let mut sampler = TaskSampler::attach(self.sampler.process())?;
        let mut tasks = sampler.sample(&mut snapshot.tables)?;
        let awaits = tasks.tasks.iter_mut().filter_map(|task| task.awaits.as_mut());
        for awaits in awaits.filter(|awaits| awaits.may_have_peer()).take(MOST_PEERS) {
            awaits.descriptor = sampler.socket(awaits, &mut snapshot.tables);
        }
        snapshot.task_deadlocks = task_deadlocks(&tasks);
        snapshot.tasks = Some(tasks);
        Ok(())
    }

    /// The last sample as a snapshot.
    fn shown(&self) -> Snapshot {
        let threads =
            self.sample.threads.iter().zip(&self.states).map(|(thread, state)| ThreadSnapshot {
                thread: thread.thread,
                state: *state,
                holds_gil: thread.attachment == Attachment::Holder,
                step: thread.event_loop.and_then(|event_loop| event_loop.step),
            });
        Snapshot {
            meta: self.profile.meta.clone(),
            tables: self.tables.clone(),
            time: self.sample.time,
            threads: threads.collect(),
            missed: self.sample.failures.iter().map(|(thread, _)| *thread).collect(),
            waits: Vec::new(),
            details: BTreeMap::new(),
            deadlocks: Vec::new(),
            tasks: None,
            task_deadlocks: Vec::new(),
        }
    }
}
