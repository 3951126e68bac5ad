//! Threads that wait for the end of the program or of their event loop, and what all others did meanwhile.

use rustc_hash::FxHashMap;

use crate::model::{Nanos, StateId, Tables, ThreadId, note};

use super::aggregate::Profile;
use super::block::{Block, Lane};

/// A thread was about to end, and something kept it from that.
///
/// Told by the notes of its states: those of probes whose ids begin with [`note::SHUTDOWN`].
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// The thread.
    pub thread: ThreadId,
    /// The first sample that saw it there.
    pub since: Nanos,
    /// The last one.
    pub last: Nanos,
    /// At how many samples every thread, also this one, was in which state meanwhile.
    pub states: FxHashMap<(ThreadId, StateId), u64>,
    /// The CPU time of every thread in those blocks that lie wholly within it.
    pub cpu: FxHashMap<ThreadId, Nanos>,
}

impl Shutdown {
    /// From the first sample to the last one.
    #[must_use]
    pub const fn length(&self) -> Nanos {
        self.last.since(self.since)
    }
}

/// The shutdowns of one thread: a program may run one event loop after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Shutdowns {
    /// The one that goes on.
    open: Option<Shutdown>,
    /// The longest that is over.
    longest: Option<Shutdown>,
}

impl Shutdowns {
    fn close(&mut self) {
        let length = |it: &Shutdown| it.length();
        let open = self.open.take();
        if open.as_ref().map(length) > self.longest.as_ref().map(length) {
            self.longest = open;
        }
    }

    fn longest(&self) -> Option<&Shutdown> {
        self.open.iter().chain(&self.longest).max_by_key(|it| it.length())
    }
}

/// The samples of a block that a thread spent in shutdown, by their places in the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    start: usize,
    end: usize,
    /// Whether nothing else was seen of the thread in the block before it, or after it.
    opens: bool,
    ends: bool,
}

impl Profile {
    /// The longest shutdown of each thread that was seen in any.
    pub fn shutdowns(&self) -> impl Iterator<Item = &Shutdown> {
        self.shutdowns.values().filter_map(Shutdowns::longest)
    }

    /// Notes a shutdown that a test has made.
    #[cfg(test)]
    pub(crate) fn note_shutdown(&mut self, shutdown: Shutdown) {
        let of_thread = self.shutdowns.entry(shutdown.thread).or_default();
        of_thread.open = Some(shutdown);
    }

    /// Follows the shutdowns through a block whose samples were taken at `times`.
    pub(super) fn follow_shutdowns(&mut self, block: &Block, times: &[Nanos]) {
        let ending = |state| is_ending(&self.tables, state);
        let found: Vec<_> = block
            .lanes
            .iter()
            .filter(|lane| {
                // Almost every thread of every block: nothing to follow.
                self.shutdowns.contains_key(&lane.thread)
                    || lane.runs.iter().filter_map(|run| run.state).any(ending)
            })
            .map(|lane| (lane.thread, pieces(lane, ending)))
            .collect();
        for (thread, pieces) in found {
            let shutdowns = self.shutdowns.entry(thread).or_default();
            if pieces.is_empty() {
                shutdowns.close();
            }
            for piece in pieces {
                let last = piece.end.checked_sub(1).and_then(|last| times.get(last));
                let (Some(&since), Some(&last)) = (times.get(piece.start), last) else { continue };
                if !piece.opens {
                    shutdowns.close();
                }
                let open = shutdowns.open.get_or_insert_with(|| Shutdown {
                    thread,
                    since,
                    ..Shutdown::default()
                });
                open.last = last;
                let whole = (piece.start, piece.end) == (0, times.len());
                for lane in &block.lanes {
                    count(lane, piece, &mut open.states);
                    if whole {
                        open.cpu.entry(lane.thread).or_default().add(lane.cpu);
                    }
                }
                if !piece.ends {
                    shutdowns.close();
                }
            }
        }
    }
}

fn is_ending(tables: &Tables, state: StateId) -> bool {
    let note = tables.states.get(state).and_then(|state| tables.note(state));
    note.is_some_and(|note| note.starts_with(note::SHUTDOWN))
}

/// A lane's samples in shutdown. One that is missing between two of them was rejected.
fn pieces(lane: &Lane, ending: impl Fn(StateId) -> bool) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut at, mut elsewhere) = (0, false);
    for run in &lane.runs {
        let start = at;
        at += run.samples as usize;
        let Some(state) = run.state else { continue };
        if !ending(state) {
            elsewhere = true;
            if let Some(last) = pieces.last_mut() {
                last.ends = false;
            }
            continue;
        }
        match pieces.last_mut().filter(|last| last.ends) {
            Some(last) => last.end = at,
            None => pieces.push(Piece { start, end: at, opens: !elsewhere, ends: true }),
        }
    }
    pieces
}

/// Adds how often a lane's thread was in which state during a piece.
fn count(lane: &Lane, piece: Piece, sums: &mut FxHashMap<(ThreadId, StateId), u64>) {
    let mut at = 0;
    for run in &lane.runs {
        let start = at;
        at += run.samples as usize;
        let samples = at.min(piece.end).saturating_sub(start.max(piece.start));
        if let Some(state) = run.state.filter(|_| samples > 0) {
            *sums.entry((lane.thread, state)).or_default() += samples as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Cause, State, StateId};
    use crate::profile::fixture::{Trace, ms};

    /// A state like the one of a probe for a shutdown.
    fn ending(trace: &mut Trace) -> StateId {
        let state = trace.state(&[("end", "lib.py", 1)], Cause::Parked);
        let note = Some(trace.tables.labels.intern("shutdown-test".into()));
        let state = State { note, ..*trace.tables.states.get(state).unwrap() };
        trace.tables.states.intern(state)
    }

    #[test]
    fn a_shutdown_spans_blocks_and_rejected_samples() {
        let mut trace = Trace::new(100);
        let (main, other) = (trace.thread("main"), trace.thread("other"));
        let work = trace.state(&[("main", "app.py", 1)], Cause::Python);
        let nap = trace.state(&[("nap", "app.py", 2)], Cause::Sleep);
        let end = ending(&mut trace);
        for time in (0..1000).step_by(10) {
            let first = (main, if time < 300 { work } else { end }, None);
            let second = (other, if time < 600 { work } else { nap }, None);
            match time {
                // Rejected for once, here and at a block's beginning.
                400 | 500 => trace.sample(time, &[second]),
                _ => trace.sample(time, &[first, second]),
            }
            if time % 250 == 240 {
                trace.cut();
            }
        }
        let profile = trace.finish().0;
        let [shutdown] = &profile.shutdowns().collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!((shutdown.thread, shutdown.since, shutdown.last), (main, ms(300), ms(990)));
        assert_eq!(shutdown.length().seconds(), 0.69);
        assert_eq!(shutdown.states[&(main, end)], 68);
        // Of a sample at a block's edge that was rejected the others are not counted either.
        assert_eq!((shutdown.states[&(other, work)], shutdown.states[&(other, nap)]), (29, 40));
    }

    #[test]
    fn loops_that_end_one_after_the_other_do_not_add_up() {
        let mut trace = Trace::new(100);
        let main = trace.thread("main");
        let work = trace.state(&[("main", "app.py", 1)], Cause::Python);
        let end = ending(&mut trace);
        for time in (0..3000).step_by(10) {
            // Half of each 200 ms, once 150 ms.
            let ends = time % 200 >= if time / 200 == 7 { 50 } else { 100 };
            trace.sample(time, &[(main, if ends { end } else { work }, None)]);
            if time % 250 == 240 {
                trace.cut();
            }
        }
        let profile = trace.finish().0;
        let [shutdown] = &profile.shutdowns().collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!((shutdown.since, shutdown.last), (ms(1450), ms(1590)));
    }
}
