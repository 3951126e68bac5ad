//! How a session is asked for, and how it tells and ends.

use std::io;
use std::time::Duration;

use crate::profile::{AbsorbError, Block, Profile};
use crate::target::ProcessState;

/// How to sample.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Samples a second; 0 for as many as possible.
    pub rate: f64,
    /// How long; `None` until asked to stop.
    pub duration: Option<Duration>,
    /// From which length on a step blocks its event loop.
    pub threshold: Duration,
    /// Stops the target for each sample, which makes every stack exact and the target slow.
    pub blocking: bool,
    /// Whether the target is a command of ours: what asks us to end (a ^C) asks it, too.
    pub launched: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rate: 100.0,
            duration: None,
            // asyncio's own `slow_callback_duration`.
            threshold: Duration::from_millis(100),
            blocking: false,
            launched: false,
        }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The time was over.
    Elapsed,
    /// Somebody asked for it.
    Asked,
    /// The target ended, or another process has its number now.
    Target(ProcessState),
}

/// Why a session failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Nobody could take the blocks any more.
    #[error(transparent)]
    Sink(#[from] io::Error),
    /// A block that was just made makes no sense: a defect of pyconc.
    #[error(transparent)]
    Absorb(#[from] AbsorbError),
}

/// What is told of a session while it runs.
pub trait Observer {
    /// A block was cut, and `profile` has it.
    ///
    /// # Errors
    /// When the observer cannot go on; the session then ends.
    fn block(&mut self, block: &Block, profile: &Profile) -> io::Result<()>;
}

/// Does nothing with the blocks: for those who only want the profile.
impl Observer for () {
    fn block(&mut self, _: &Block, _: &Profile) -> io::Result<()> {
        Ok(())
    }
}
