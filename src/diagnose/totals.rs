//! What spans of a recording add up to.

use std::iter::Sum;
use std::ops::AddAssign;

use crate::model::{Cause, State, ThreadId, note};
use crate::profile::{Profile, Span, StateKind, Usage};

use super::load::runs_loop;
use super::site::innermost_user;
use super::words::ratio;

/// What a span of the recording adds up to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    /// Samples of the process.
    pub(super) samples: f64,
    /// Thread samples by cause, in the order of [`Cause::ALL`].
    pub(super) causes: [f64; Cause::ALL.len()],
    /// Of the thread samples with cause `lock`: those that wait to enter a critical section.
    pub(super) entering: f64,
    /// Of the thread samples with cause `sleep`: C code that waits for a database's lock by trying
    /// again and again.
    pub(super) polling: f64,
    /// Of the thread samples with cause `parked`: event loops in their own selector.
    pub(super) selecting: f64,
    /// CPU time in seconds.
    pub(super) cpu: f64,
    /// Time in run queues in seconds.
    pub(super) queued: f64,
    /// Time on the clock in seconds.
    pub(super) elapsed: f64,
}

impl Totals {
    /// Thread samples with a cause.
    pub(super) fn of_cause(&self, cause: Cause) -> f64 {
        self.causes.get(cause as usize).copied().unwrap_or_default()
    }

    /// Thread samples of any cause.
    pub(super) fn thread_samples(&self) -> f64 {
        self.causes.iter().sum()
    }

    fn add_usage(&mut self, usage: &Usage) {
        self.cpu += usage.cpu.seconds();
        self.queued += usage.queued.seconds();
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, more: Self) {
        self.samples += more.samples;
        for (sum, more) in self.causes.iter_mut().zip(more.causes) {
            *sum += more;
        }
        self.entering += more.entering;
        self.polling += more.polling;
        self.selecting += more.selecting;
        self.cpu += more.cpu;
        self.queued += more.queued;
        self.elapsed += more.elapsed;
    }
}

impl<'a> Sum<&'a Self> for Totals {
    fn sum<I: Iterator<Item = &'a Self>>(spans: I) -> Self {
        spans.fold(Self::default(), |mut sum, span| {
            sum += *span;
            sum
        })
    }
}

/// Whether a state is C code's sleep between two attempts.
pub(super) fn is_native_sleep(profile: &Profile, state: &State) -> bool {
    profile.tables.note(state) == Some(note::NATIVE_SLEEP)
}

/// Whether most sleeps of C code are those of a database that is locked, by the lines that call it: the
/// calls of Python's interface to databases (PEP 249) that may have to wait.
pub(super) fn waits_for_database(profile: &Profile) -> bool {
    const CALLS: [&str; 4] = [".execute", ".commit(", ".rollback(", ".fetch"];
    let (mut all, mut database) = (0, 0);
    for row in profile.rows().filter(|row| is_native_sleep(profile, row.state)) {
        let line = innermost_user(&profile.tables, row.state.stack);
        let source =
            line.and_then(|line| profile.surroundings.source(&line.function.file, line.line));
        let calls = source.is_some_and(|source| CALLS.iter().any(|call| source.contains(call)))
            // `with connection:` commits where the block ends.
            || source.is_some_and(|source| source.starts_with("with "));
        all += row.samples;
        database += if calls { row.samples } else { 0 };
    }
    2 * database > all
}

/// Adds up thread samples; knows what each state means for the totals.
pub(super) struct Adder<'a> {
    profile: &'a Profile,
    runs_loop: Vec<bool>,
    /// Whether sleeps of C code are waits for a database's lock.
    polls: bool,
}

impl<'a> Adder<'a> {
    pub(super) fn new(profile: &'a Profile) -> Self {
        let runs_loop = profile.threads.iter().map(|thread| runs_loop(profile, thread)).collect();
        Self { profile, runs_loop, polls: waits_for_database(profile) }
    }

    /// The whole recording.
    pub(super) fn whole(&self) -> Totals {
        let quality = &self.profile.quality;
        let mut totals = Totals {
            samples: quality.samples as f64,
            elapsed: quality.elapsed.seconds(),
            ..Totals::default()
        };
        totals.add_usage(&self.profile.usage);
        for (index, thread) in self.profile.threads.iter().enumerate() {
            for (&(state, _), &samples) in &thread.states {
                let Some(state) = self.profile.tables.states.get(state) else { continue };
                let kind = StateKind::of(&self.profile.tables, state);
                self.add(&mut totals, ThreadId::from(index), kind, samples);
            }
        }
        totals
    }

    /// One span of it. Its time on the clock is its share of the samples, since the first and the
    /// last one are cut.
    pub(super) fn span(&self, span: &Span) -> Totals {
        let quality = &self.profile.quality;
        let share = ratio(span.samples as f64, quality.samples as f64);
        let mut totals = Totals {
            samples: span.samples as f64,
            elapsed: quality.elapsed.seconds() * share,
            ..Totals::default()
        };
        totals.add_usage(&span.usage);
        for (&(thread, kind), &samples) in &span.kinds {
            self.add(&mut totals, thread, kind, samples);
        }
        totals
    }

    /// Threads that are not Python's count while they use a CPU or want one (a numeric library's
    /// own pool); what they wait for otherwise is no concern of the program's.
    fn add(&self, totals: &mut Totals, thread: ThreadId, kind: StateKind, samples: u64) {
        let StateKind { cause, enters } = kind;
        let python = self.profile.tables.thread(thread).is_some_and(|info| info.python);
        if !python && !matches!(cause, Cause::Native | Cause::CpuWait) {
            return;
        }
        let samples = samples as f64;
        if let Some(sum) = totals.causes.get_mut(cause as usize) {
            *sum += samples;
        }
        match cause {
            Cause::Lock if enters => totals.entering += samples,
            Cause::Sleep if enters && self.polls => totals.polling += samples,
            _ => {}
        }
        let runs_loop = self.runs_loop.get(usize::from(thread)).is_some_and(|&runs| runs);
        if cause == Cause::Parked && runs_loop {
            totals.selecting += samples;
        }
    }
}
