//! Reports and exports. Invariant: writes to `&mut dyn Write`; opens no file.

mod bar;
mod comparison;
mod dump;
mod escape;
mod export;
mod findings;
mod flamegraph;
mod folded;
mod frames;
mod json;
mod locks;
mod markdown;
mod page;
mod quality;
mod reference;
mod task_stacks;
mod task_tree;
mod tasks;
mod text;
mod thread_table;
mod waits;

pub(crate) use self::bar::bar;
pub use self::comparison::{
    Width, comparison_flamegraph, comparison_json, comparison_markdown, comparison_schema,
    comparison_text,
};
pub use self::dump::{dump_json, dump_text};
pub use self::escape::sanitise;
pub(crate) use self::escape::{columns, sanitise_ascii};
pub use self::export::{chrometrace, gecko, jsonl, perfetto, pprof, speedscope};
pub use self::flamegraph::flamegraph;
pub use self::folded::folded;
pub use self::frames::StackOptions;
pub use self::json::{report_json, report_schema};
pub use self::markdown::report_markdown;
pub use self::page::TextOptions;
pub(crate) use self::page::wrapped;
pub use self::quality::{quality_brief, quality_line};
pub use self::reference::{Explained, explained_markdown, explained_text};
pub use self::tasks::tasks_text;
pub use self::text::report_text;
