//! The notes of a state that mean something to the diagnosis; `classify` gives them.

use crate::model::{State, Tables};

/// Waits in the kernel and keeps the GIL meanwhile.
pub(super) const HOLDS_GIL: &str = "holds-gil";

/// An event loop in its own selector.
pub(super) const EVENT_LOOP_SELECTOR: &str = "event-loop-selector";

/// A state's note: a probe's id, or the reason of an `unknown`, or one of the above.
pub(super) fn note<'a>(tables: &'a Tables, state: &State) -> Option<&'a str> {
    Some(tables.labels.get(state.note?)?)
}
