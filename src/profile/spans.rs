//! Counts over time, in a number of spans that has a bound.

use rustc_hash::FxHashMap;

use crate::model::{Cause, Function, Origin, State, Tables, ThreadId, note};

use super::meta::Usage;

/// The most spans. When there are more, each two become one: a recording of any length is told in
/// 512 to 1,024 of them, so that what is kept does not grow with its length.
const MOST_SPANS: usize = 1024;

/// What states are told apart by over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateKind {
    /// The cause.
    pub cause: Cause,
    /// Whether it is a wait to *enter* a critical section: some thread is in it and has to leave.
    /// Other waits with cause `lock` are for a signal (a queue's item, an event, a future's result,
    /// a thread's end), and there another thread's work is what takes the time. A sleep of C code
    /// between two attempts counts as one, too: for which lock, others have to tell.
    pub enters: bool,
}

impl StateKind {
    /// The kind of a state.
    #[must_use]
    pub fn of(tables: &Tables, state: &State) -> Self {
        let enters = match state.cause {
            Cause::Lock => enters_critical_section(tables, state),
            Cause::Sleep => tables.note(state) == Some(note::NATIVE_SLEEP),
            _ => false,
        };
        Self { cause: state.cause, enters }
    }
}

/// The family of probes for waits for one of a bounded number of things, which whoever has it has to
/// give back.
const POOLS: &str = "pool-";

/// The call through which the standard library was entered tells: none at all (a lock written in
/// C), or one of the two names of the lock protocol. So does the catalogue for pools of connections.
fn enters_critical_section(tables: &Tables, state: &State) -> bool {
    if tables.note(state).is_some_and(|note| note.starts_with(POOLS)) {
        return true;
    }
    let mut entry = None;
    for frame in tables.frames_of(state.stack) {
        let function = tables.frames.get(frame).and_then(|it| tables.functions.get(it.function));
        let Some(function) = function else { continue };
        if Origin::of(function) != Origin::Standard {
            return entry.is_none_or(is_lock_protocol);
        }
        entry = Some(function);
    }
    false
}

fn is_lock_protocol(function: &Function) -> bool {
    let name = function.name.rsplit('.').next();
    matches!(name, Some("acquire" | "__enter__"))
}

/// A span of the recording.
#[derive(Debug, Clone, Default)]
pub struct Span {
    /// Process samples in it.
    pub samples: u64,
    /// Thread samples in it by thread and kind of state.
    pub kinds: FxHashMap<(ThreadId, StateKind), u64>,
    /// What the target used in it.
    pub usage: Usage,
}

impl Span {
    fn add(&mut self, more: Self) {
        self.samples += more.samples;
        for (key, samples) in more.kinds {
            *self.kinds.entry(key).or_default() += samples;
        }
        self.usage.add(&more.usage);
    }
}

/// The spans of a recording, one after the other, all of one length.
#[derive(Debug, Clone)]
pub struct Spans {
    list: Vec<Span>,
    /// The length of each.
    seconds: u64,
}

impl Default for Spans {
    fn default() -> Self {
        Self { list: Vec::new(), seconds: 1 }
    }
}

impl Spans {
    /// Spans of a second each.
    #[must_use]
    pub const fn of_seconds(list: Vec<Span>) -> Self {
        Self { list, seconds: 1 }
    }

    /// The length of each, in seconds.
    #[must_use]
    pub const fn seconds(&self) -> u64 {
        self.seconds
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Span> {
        self.list.iter()
    }

    /// All of them, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Span> {
        self.list.iter_mut()
    }

    /// The span that a second of the recording belongs to, counted from its start; none only when
    /// no such second can be.
    pub(super) fn at(&mut self, second: u64) -> Option<&mut Span> {
        while second / self.seconds >= MOST_SPANS as u64 {
            self.halve();
        }
        let index = usize::try_from(second / self.seconds).ok()?;
        if self.list.len() <= index {
            self.list.resize_with(index + 1, Span::default);
        }
        self.list.get_mut(index)
    }

    /// Makes one of each two.
    fn halve(&mut self) {
        let mut list = Vec::with_capacity(MOST_SPANS);
        for (index, span) in std::mem::take(&mut self.list).into_iter().enumerate() {
            match list.last_mut() {
                Some(last) if index % 2 == 1 => Span::add(last, span),
                _ => list.push(span),
            }
        }
        self.list = list;
        self.seconds = self.seconds.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_SPANS, Spans, StateKind};
    use crate::model::{Cause, ThreadId};

    #[test]
    fn a_long_recording_has_longer_spans_and_loses_nothing() {
        let mut spans = Spans::default();
        let kind = StateKind { cause: Cause::Python, enters: false };
        let seconds = 5 * MOST_SPANS as u64 + 3;
        for second in 0..seconds {
            let span = spans.at(second).unwrap();
            span.samples += 1;
            *span.kinds.entry((ThreadId(0), kind)).or_default() += 2;
        }
        assert_eq!(spans.seconds(), 8);
        assert_eq!(spans.iter().count() as u64, seconds.div_ceil(8));
        assert_eq!(spans.iter().map(|span| span.samples).sum::<u64>(), seconds);
        assert!(spans.iter().take(600).all(|span| span.samples == 8));
        let kinds = spans.iter().flat_map(|span| span.kinds.values());
        assert_eq!(kinds.sum::<u64>(), 2 * seconds);
    }
}
