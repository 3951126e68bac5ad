//! What surrounds the target: read now and then, since it is dear, and does not change fast.

use super::pace::monotonic_now;
use crate::model::{Nanos, Surroundings};
use crate::target::{Descriptors, FamilyAccounts, Process};

/// Looks at what surrounds a process, from a moment on.
pub struct SurroundingsSampler {
    process: Process,
    before: FamilyAccounts,
    began: Nanos,
}

impl SurroundingsSampler {
    /// Counts from now on.
    #[must_use]
    pub fn new(process: &Process) -> Self {
        Self {
            process: process.clone(),
            before: FamilyAccounts::of(process),
            began: monotonic_now(),
        }
    }

    /// What surrounds the process now, with the text of these lines of its code; `None` when it has
    /// ended.
    #[must_use]
    pub fn sample(&self, lines: &[(&str, u32)]) -> Option<Surroundings> {
        let found = self.process.surroundings(&self.before)?;
        Some(Surroundings {
            after: monotonic_now().since(self.began),
            peers: Descriptors::new(&self.process).local_peers(),
            sources: self.process.source_lines(lines),
            ..found
        })
    }
}
