//! What the kernel permits us, and what stands in the way.

use crate::model::Pid;

use super::process::OpenError;

/// Why a process may not be read, and what can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    /// What stands in the way.
    pub detail: String,
    /// What removes it.
    pub fix: String,
}

impl Denial {
    /// Finds out why `pid` may not be read.
    pub fn of(_pid: Pid) -> Self {
        Self { detail: String::new(), fix: String::new() }
    }

    /// The error that says so.
    pub fn into_error(self, pid: Pid) -> OpenError {
        OpenError::Permission { pid, detail: self.detail, fix: self.fix }
    }
}
