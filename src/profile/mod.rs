//! Aggregation and the recording file. Invariant: counts and times; no percentages, no prose.

mod aggregate;
mod block;
mod meta;

pub use self::aggregate::{Episode, LoopProfile, Profile, Second, ThreadProfile};
pub use self::block::{Block, Lane, Run, StepEnd};
pub use self::meta::{Meta, Quality, Usage};
