//! Reports and exports. Invariant: writes to `&mut dyn Write`; opens no file.

mod flamegraph;
mod folded;

pub use self::flamegraph::flamegraph;
pub use self::folded::{StackOptions, folded};
