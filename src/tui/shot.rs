//! What the screen shows: a stretch of a recording, counted and judged.

use crate::diagnose::Diagnosis;
use crate::profile::{Beat, Profile};

use super::flame::Flame;
use super::functions::{FunctionRow, functions};

/// Where snapshots come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// A process that is being sampled.
    #[default]
    Live,
    /// A process that has ended, or that is sampled no more.
    Ended,
    /// A recording.
    File,
}

/// A stretch of a recording, counted and judged; made outside of the screen's thread.
#[derive(Debug)]
pub struct Shot {
    /// What was counted in it.
    pub profile: Profile,
    /// What that says.
    pub diagnosis: Diagnosis,
    /// Where it comes from.
    pub source: Source,
    /// The number of blocks that are kept, and where in them the stretch ends.
    pub blocks: (usize, usize),
    /// The seconds of the recording before the stretch's end, those no longer kept among them.
    pub position: f64,
    /// What was seen in each block that is kept, oldest first.
    pub beats: Vec<Beat>,
    pub(super) functions: Vec<FunctionRow>,
    pub(super) flame: Flame,
    pub(super) inverted: Flame,
}

impl Shot {
    /// A stretch with what the views are made of.
    #[must_use]
    pub fn new(profile: Profile, diagnosis: Diagnosis, source: Source, beats: Vec<Beat>) -> Self {
        Self {
            functions: functions(&profile),
            flame: Flame::of(&profile, false),
            inverted: Flame::of(&profile, true),
            blocks: (beats.len(), beats.len()),
            position: profile.quality.elapsed.seconds(),
            profile,
            diagnosis,
            source,
            beats,
        }
    }

    /// Says where it lies: it ends at so many of the blocks that are kept, so many seconds after the
    /// recording's start.
    #[must_use]
    pub fn at(self, end: usize, position: f64) -> Self {
        Self { blocks: (self.beats.len(), end), position, ..self }
    }
}
