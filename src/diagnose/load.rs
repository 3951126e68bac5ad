//! What the process did on average: the numbers that the verdict is made of.

use std::ops::Range;

use crate::model::{Cause, StateId, ThreadId};
use crate::profile::{Overlaps, Profile, ThreadProfile};

use super::marked::Marked;
use super::task_load::TaskLoad;
use super::totals::{Adder, Totals};
use super::words::{ramp, ratio};
use crate::model::note::EVENT_LOOP_SELECTOR;

/// What is known of the recording as a whole only, and not second by second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts {
    /// Whether a GIL is in force.
    pub(super) gil: bool,
    /// CPUs that the process may use; infinite when not known.
    pub(super) usable_cpus: f64,
    /// Python threads that were seen.
    pub(super) python_threads: u64,
    /// Thread samples that were rejected.
    pub(super) rejected: f64,
    /// Share of the process samples at which a thread had the GIL.
    pub(super) held: f64,
    /// The largest share of the process samples at which one and the same thread used or wanted a CPU.
    pub(super) busiest: f64,
    /// The same of the threads that run an event loop.
    pub(super) busiest_loop: f64,
    /// What the tasks wait for.
    pub(super) tasks: TaskLoad,
    /// CPUs that the child processes used, in the mean.
    pub(super) children_cpus: f64,
    /// How far waits overlap.
    pub(super) overlaps: Overlaps,
    /// What the catalogue knows the threads to be at.
    pub(super) marked: Marked,
    /// The largest share of the time at which a loop was blocked by what its own step did, waits
    /// for the GIL and for a CPU left out: by steps as long as the threshold, and by shorter ones
    /// that wait.
    pub(super) blocked: f64,
    /// Of that, the share of the shorter ones.
    pub(super) briefly_blocked: f64,
    /// The longest such step in seconds.
    pub(super) longest_block: f64,
    /// Threads that wait for ever.
    pub(super) deadlocked_threads: usize,
    /// Tasks that wait for each other, and will for ever.
    pub(super) deadlocked_tasks: usize,
}

fn deadlocked_threads(profile: &Profile) -> usize {
    let threads = profile.deadlocks.iter().map(|it| &it.deadlock);
    threads.map(|deadlock| deadlock.ring.len() + deadlock.victims.len()).sum()
}

impl Facts {
    fn of(profile: &Profile) -> Self {
        let samples = profile.quality.samples as f64;
        let usable = profile.meta.usable_cpus;
        let mut facts = Self {
            gil: profile.meta.gil,
            usable_cpus: if usable > 0.0 { usable } else { f64::INFINITY },
            rejected: profile.quality.rejected as f64,
            deadlocked_threads: deadlocked_threads(profile),
            children_cpus: ratio(
                profile.surroundings.children_cpu.seconds(),
                profile.surroundings.after.seconds(),
            ),
            deadlocked_tasks: profile
                .tasks
                .lasting_deadlocks()
                .filter(|(deadlock, lasts, _)| *lasts && !deadlock.expires)
                .map(|(deadlock, ..)| deadlock.members.len())
                .sum(),
            ..Self::default()
        };
        for (index, thread) in profile.threads.iter().enumerate() {
            let info = profile.tables.thread(ThreadId::from(index));
            if thread.samples > 0 && info.is_some_and(|info| info.python) {
                facts.python_threads += 1;
            }
            let busy = ratio(busy_samples(profile, thread), samples);
            facts.busiest = facts.busiest.max(busy);
            facts.held += ratio(thread.held as f64, samples);
            if runs_loop(profile, thread) {
                facts.busiest_loop = facts.busiest_loop.max(busy);
                facts.add_blocks(profile, thread);
            }
        }
        facts.overlaps = profile.overlaps;
        facts.marked = Marked::of(profile);
        facts.tasks = TaskLoad::of(profile, facts.busiest_loop);
        facts
    }

    fn add_blocks(&mut self, profile: &Profile, thread: &ThreadProfile) {
        let mut blocked = 0.0;
        // A thread that was woken and has no CPU yet is shown in its old wait; its account is complete.
        let queued = ratio(thread.queued.seconds(), thread.queued.seconds() + thread.cpu.seconds());
        for episode in thread.event_loop.iter().flat_map(|event_loop| &event_loop.episodes) {
            let length = episode.step.length().seconds();
            let computes = share_of(profile, &episode.states, Cause::is_work);
            let elsewhere =
                share_of(profile, &episode.states, Cause::is_want).max(computes * queued);
            let own = length * (1.0 - elsewhere);
            if own >= profile.meta.threshold.seconds() {
                blocked += episode.step.length_since(profile.meta.origin).seconds();
                self.longest_block = self.longest_block.max(length);
            }
        }
        let waits = thread
            .event_loop
            .as_ref()
            .map_or(0, |it| it.short_blocks(&profile.tables, profile.meta.threshold));
        let briefly = ratio(waits as f64, profile.quality.samples as f64);
        let blocked = ratio(blocked, profile.quality.elapsed.seconds()) + briefly;
        if blocked > self.blocked {
            (self.blocked, self.briefly_blocked) = (blocked, briefly);
        }
    }
}

/// The share of an episode at which it had such a cause.
fn share_of(profile: &Profile, states: &[(StateId, u64)], holds: fn(Cause) -> bool) -> f64 {
    let is_such = |id| profile.tables.states.get(id).is_some_and(|state| holds(state.cause));
    let all: u64 = states.iter().map(|&(_, samples)| samples).sum();
    let such: u64 = states.iter().filter(|&&(id, _)| is_such(id)).map(|&(_, it)| it).sum();
    ratio(such as f64, all as f64)
}

/// Whether a thread runs an event loop. One that has nothing but short steps was perhaps never seen
/// in any; then its waits in the selector tell.
pub(super) fn runs_loop(profile: &Profile, thread: &ThreadProfile) -> bool {
    let selects = |&(id, _): &(StateId, bool)| {
        let state = profile.tables.states.get(id);
        state.and_then(|state| profile.tables.note(state)) == Some(EVENT_LOOP_SELECTOR)
    };
    thread.event_loop.is_some() || thread.states.keys().any(selects)
}

fn busy_samples(profile: &Profile, thread: &ThreadProfile) -> f64 {
    let is_busy = |id| {
        let state = profile.tables.states.get(id);
        state.is_some_and(|state| state.cause.is_work())
    };
    let busy = thread.states.iter().filter(|&(&(id, _), _)| is_busy(id));
    busy.map(|(_, &samples)| samples).sum::<u64>() as f64
}

/// The process's load over a span: means over its samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// What the span adds up to.
    pub(super) totals: Totals,
    /// What is known of the whole recording only.
    pub(super) facts: Facts,
}

impl Load {
    /// The load over the whole recording.
    pub(super) fn of(profile: &Profile) -> Self {
        Self { totals: Adder::new(profile).whole(), facts: Facts::of(profile) }
    }

    /// The load over some of the recording's spans.
    pub(super) fn of_spans(&self, profile: &Profile, spans: Range<usize>) -> Self {
        if spans.len() == profile.spans.iter().count() {
            return *self;
        }
        let adder = Adder::new(profile);
        let mut totals = Totals::default();
        let chosen = profile.spans.iter().take(spans.end).skip(spans.start);
        chosen.for_each(|span| totals += adder.span(span));
        self.with(totals)
    }

    /// The same with other totals: what resampling asks.
    pub(super) const fn with(&self, totals: Totals) -> Self {
        Self { totals, facts: self.facts }
    }

    /// Mean number of threads with a cause.
    pub(super) fn mean(&self, cause: Cause) -> f64 {
        ratio(self.totals.of_cause(cause), self.totals.samples)
    }

    /// Mean number of threads with any of these causes.
    pub(super) fn mean_of(&self, causes: &[Cause]) -> f64 {
        causes.iter().map(|&cause| self.mean(cause)).sum()
    }

    /// Mean number of threads that use a CPU or are ready for one.
    pub(super) fn on_cpu(&self) -> f64 {
        let ready = if self.children_work() { 0.0 } else { self.mean(Cause::CpuWait) };
        self.mean_of(&[Cause::Python, Cause::Native]) + ready
    }

    /// Of the work on CPUs: the share in C code that released the GIL.
    pub(super) fn native_share(&self) -> f64 {
        ratio(self.mean(Cause::Native), self.mean_of(&[Cause::Python, Cause::Native]))
    }

    /// Mean number of threads that wait to enter a critical section.
    pub(super) fn entering(&self) -> f64 {
        ratio(self.totals.entering + self.totals.polling, self.totals.samples)
    }

    /// Mean number of threads that wait for a signal from another thread.
    pub(super) fn awaiting_signal(&self) -> f64 {
        (self.mean(Cause::Lock) - ratio(self.totals.entering, self.totals.samples)).max(0.0)
    }

    /// Mean number of threads that wait for something outside the process.
    pub(super) fn waiting_outside(&self) -> f64 {
        self.mean_of(&[Cause::Network, Cause::Disk, Cause::Pipe, Cause::Child])
            + self.awaiting_children()
    }

    /// Mean number of threads that wait for a signal, in a process whose children do the work.
    pub(super) fn awaiting_children(&self) -> f64 {
        if !self.children_work() {
            return 0.0;
        }
        let waiting = self.awaiting_signal() + self.mean(Cause::CpuWait);
        waiting.min(1.0) * ramp(self.facts.children_cpus, 0.1, 0.4)
    }

    /// Whether the children do most of the work. Threads that are ready then queue behind them.
    pub(super) fn children_work(&self) -> bool {
        let children = self.facts.children_cpus;
        children >= 0.1 && self.cpus_used() <= children / 2.0
    }

    /// Mean number of event loops in their own selector that count as waiting for I/O: what their
    /// tasks wait for tells.
    pub(super) fn loop_waits(&self) -> f64 {
        ratio(self.totals.selecting, self.totals.samples) * self.facts.tasks.weight
    }

    /// Mean number of threads in input and output.
    pub(super) fn io(&self) -> f64 {
        self.waiting_outside() + self.loop_waits()
    }

    /// Mean number of threads that are neither idle by design nor asleep: that work, or wait for
    /// something that holds them back.
    pub(super) fn active(&self) -> f64 {
        self.on_cpu() + self.mean(Cause::Gil) + self.entering() + self.io()
    }

    /// Whether next to no CPU time is used: what looks like waiting for answers may be waiting for
    /// messages, which is idle by design but cannot be told from outside.
    pub(super) fn without_work(&self) -> bool {
        let network = self.mean(Cause::Network);
        let asks = network > 0.0 && self.facts.marked.asking >= 0.5 * network;
        // A child that is waited for is no message.
        let waits_for_child = self.mean(Cause::Child) >= 0.5 * self.waiting_outside();
        self.cpus_used() < 0.005 && self.on_cpu() < 0.005 && !asks && !waits_for_child
    }

    /// CPUs used, by the kernel's accounts.
    pub(super) fn cpus_used(&self) -> f64 {
        ratio(self.totals.cpu, self.totals.elapsed)
    }

    /// Mean number of threads in run queues, by the kernel's accounts.
    pub(super) fn run_queue(&self) -> f64 {
        ratio(self.totals.queued, self.totals.elapsed)
    }

    /// The share of the CPU time within reach that the process did not get.
    pub(super) fn starvation(&self) -> f64 {
        let reach = self.within_reach();
        ratio((reach - self.cpus_used()).max(0.0), reach)
    }

    /// CPUs that the threads asked for, at most those that the process may use: more threads are its
    /// own doing, and so is what a pool of its own uses. A process that may not use two CPUs at once
    /// can never work in parallel; whatever it asks for in vain counts.
    pub(super) fn within_reach(&self) -> f64 {
        let pool = if self.facts.marked.ipc >= 0.05 { self.facts.children_cpus } else { 0.0 };
        let asked = self.cpus_used() + (self.run_queue() - pool).max(0.0);
        let usable = self.facts.usable_cpus;
        if usable < 1.5 { asked } else { asked.min((usable - pool).max(self.cpus_used())) }
    }
}
