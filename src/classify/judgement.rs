//! What the evidence alone says of a thread, before the catalogue is asked.

use std::borrow::Cow;

use crate::model::{Cause, DescriptorId};

/// What the evidence alone says of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    /// The cause.
    pub(super) cause: Cause,
    /// Whether the thread does not run; matters only when the cause is not known.
    pub(super) idle: bool,
    /// Whether a known place in the program may show that the thread is idle by design.
    pub(super) may_park: bool,
    /// The descriptor that is waited for.
    pub(super) descriptor: Option<DescriptorId>,
    /// One of [`note`](super::note), or the reason of an `unknown`.
    pub(super) note: Option<Cow<'static, str>>,
}

impl Judgement {
    /// A cause and no more.
    pub(super) fn of(cause: Cause) -> Self {
        Self { cause, idle: true, may_park: false, descriptor: None, note: None }
    }

    /// An unknown cause of a thread that does not run.
    pub(super) fn unknown(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::of(Cause::Unknown).noted(reason)
    }

    /// The same with a note.
    pub(super) fn noted(self, note: impl Into<Cow<'static, str>>) -> Self {
        Self { note: Some(note.into()), ..self }
    }
}
