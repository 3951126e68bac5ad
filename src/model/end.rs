//! How a process ended.

use serde::{Deserialize, Serialize};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessEnd {
    /// By itself.
    Exited,
    /// By a signal.
    Killed,
    /// Nobody could tell: its parent had already waited for it.
    Unknown,
}
