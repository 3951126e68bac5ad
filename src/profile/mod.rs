//! Aggregation and the recording file. Invariant: counts and times; no percentages, no prose.

mod absorb;
mod aggregate;
mod block;
mod builder;
mod check;
#[cfg(test)]
pub(crate) mod fixture;
mod history;
mod lane;
mod lengths;
mod loop_profile;
mod meta;
mod overlap;
mod reader;
mod recording;
mod shutdowns;
mod snapshot;
mod spans;
mod step_lengths;
mod steps;
mod stretches;
mod task_profile;
mod task_waits;
mod timeline;

pub use self::aggregate::{Profile, Row, Seen, SeenDeadlock, ThreadProfile, count};
pub use self::block::{Block, Lane, Run, StepEnd};
pub use self::builder::BlockBuilder;
pub use self::check::AbsorbError;
pub use self::history::{Beat, History};
pub use self::loop_profile::{Episode, LoopProfile, OpenStep, ShortSteps};
pub use self::meta::{Meta, Quality, Usage};
pub use self::overlap::{Overlap, Overlaps};
pub use self::reader::{
    Recording, RecordingError, read_halves, read_history, read_recording, read_stretches,
};
pub use self::recording::{RecordingWriter, is_recording};
pub use self::shutdowns::Shutdown;
pub use self::snapshot::{Snapshot, ThreadSnapshot};
pub use self::spans::{Span, Spans, StateKind};
pub use self::step_lengths::StepLengths;
pub use self::stretches::{Stretch, Stretches};
pub use self::task_profile::{
    ConnectionProfile, CoroutineProfile, GroupProfile, QueueProfile, Series, SightProfile,
    TaskProfile,
};
pub use self::task_waits::{TaskWait, TaskWaits};
pub use self::timeline::{Passage, Piece, Replay, read_timeline};
