//! Joins what threads did at samples into runs, across the blocks of the recording.

use std::collections::BTreeMap;
use std::io;

use crate::model::{Nanos, StateId, ThreadId};
use crate::output::StackOptions;
use crate::profile::{Piece, Profile, Replay};

/// A thread at something for a time without a gap.
#[derive(Debug)]
pub(super) struct Run<K> {
    pub thread: ThreadId,
    /// What it was at.
    pub key: K,
    /// When it began, since the recording's start.
    pub start: Nanos,
    /// When it ended.
    pub end: Nanos,
    pub samples: u64,
    /// Its states with their samples.
    states: BTreeMap<StateId, u64>,
}

impl<K> Run<K> {
    pub(super) fn length(&self) -> Nanos {
        self.end.since(self.start)
    }

    /// The state of most of its samples.
    pub(super) fn main_state(&self) -> Option<StateId> {
        self.states.iter().max_by_key(|&(_, samples)| samples).map(|(&state, _)| state)
    }
}

/// The runs that threads are in.
pub(super) struct Runs<K> {
    open: BTreeMap<ThreadId, Run<K>>,
}

impl<K: PartialEq> Runs<K> {
    pub(super) const fn new() -> Self {
        Self { open: BTreeMap::new() }
    }

    /// Adds what a thread did next, nothing when there is no key; gives the run that this ends.
    pub(super) fn push(&mut self, piece: &Piece<'_>, key: Option<K>) -> Option<Run<K>> {
        let (thread, state, samples) = (piece.row.thread, piece.row.id, piece.row.samples);
        if let Some(run) = self.open.get_mut(&thread)
            && run.end == piece.start()
            && key.as_ref() == Some(&run.key)
        {
            run.end = piece.end;
            run.samples += samples;
            *run.states.entry(state).or_default() += samples;
            return None;
        }
        let Some(key) = key else { return self.open.remove(&thread) };
        let (start, end) = (piece.start(), piece.end);
        let states = BTreeMap::from([(state, samples)]);
        self.open.insert(thread, Run { thread, key, start, end, samples, states })
    }

    /// The runs that go on when the recording ends.
    pub(super) fn finish(self) -> impl Iterator<Item = Run<K>> {
        self.open.into_values()
    }
}

/// Hands all runs of equal keys to `emit`, each when it has ended; of pieces that the options let
/// through and that `key` gives one.
pub(super) fn each_run<K: PartialEq>(
    (profile, replay, options): (&Profile, &mut Replay, &StackOptions),
    key: &dyn Fn(&Piece<'_>) -> Option<K>,
    emit: &mut dyn FnMut(&Run<K>) -> io::Result<()>,
) -> io::Result<()> {
    let mut runs = Runs::new();
    replay.run(profile, &mut |passage| {
        for piece in &passage.pieces {
            let key = key(piece).filter(|_| options.take(&piece.row));
            runs.push(piece, key).as_ref().map_or(Ok(()), &mut *emit)?;
        }
        Ok(())
    })?;
    runs.finish().try_for_each(|run| emit(&run))
}
