//! The event loop of a thread: which step it is in, and since when.

mod asyncio;
mod timers;
mod uvloop;

pub use self::asyncio::{AsyncioLoop, LoopSlots};
pub use self::uvloop::UvLoop;

use crate::model::Nanos;

/// What the loop does at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoopState {
    /// The epoll instance of the loop's own selector.
    pub epoll: Option<i32>,
    /// The callback that runs; `None` when none does.
    pub callback: Option<Callback>,
}

/// A callback that is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Callback {
    /// Differs between callbacks that follow each other.
    pub key: u64,
    /// When the iteration's callbacks began, on `CLOCK_MONOTONIC`.
    pub iteration_started: Nanos,
    /// Whether the callback certainly began no earlier.
    pub began_later: bool,
    /// Whether it is the first callback of its iteration, which began with it.
    pub first: bool,
}
