//! Reports and exports. Invariant: writes to `&mut dyn Write`; opens no file.

mod dump;
mod escape;
mod flamegraph;
mod folded;
mod quality;

pub use self::dump::{dump_json, dump_text};
pub use self::escape::sanitise;
pub use self::flamegraph::flamegraph;
pub use self::folded::{StackOptions, folded};
pub use self::quality::quality_line;
