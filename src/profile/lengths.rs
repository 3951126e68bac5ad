//! How long each table is.

use crate::model::Tables;

/// How long each table is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lengths {
    pub functions: usize,
    pub frames: usize,
    pub stacks: usize,
    pub descriptors: usize,
    pub labels: usize,
    pub states: usize,
    pub threads: usize,
}

impl Lengths {
    /// The lengths of `tables`.
    pub(super) fn of(tables: &Tables) -> Self {
        Self {
            functions: tables.functions.len(),
            frames: tables.frames.len(),
            stacks: tables.stacks.len(),
            descriptors: tables.descriptors.len(),
            labels: tables.labels.len(),
            states: tables.states.len(),
            threads: tables.threads.len(),
        }
    }
}
