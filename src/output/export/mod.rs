//! Recordings in the formats of other tools. Each is written from the recording's second reading, so
//! that times are those of the samples.

mod chrometrace;
#[cfg(test)]
mod fixture;
mod gecko;
mod jsonl;
mod perfetto;
mod pprof;
mod runs;
mod speedscope;

pub use self::chrometrace::chrometrace;
pub use self::gecko::gecko;
pub use self::jsonl::jsonl;
pub use self::perfetto::perfetto;
pub use self::pprof::pprof;
pub use self::speedscope::speedscope;

use crate::model::{Cause, FrameId, StackId, Tables, ThreadId, Tid};
use crate::output::StackOptions;
use crate::output::escape::sanitise;
use crate::output::frames::{Place, Shown, WIDEST, place};
use crate::profile::Meta;

/// The program's name and version, as files name who made them.
fn exporter() -> String {
    format!("pyconc {}", env!("CARGO_PKG_VERSION"))
}

/// The process, as a title.
fn process_title(meta: &Meta) -> String {
    sanitise(&meta.command.join(" "), WIDEST)
}

/// The number of a thread; 0 for one that is not known.
fn tid_of(tables: &Tables, thread: ThreadId) -> Tid {
    tables.thread(thread).map_or(0, |thread| thread.tid)
}

/// Options for formats that show what goes on over time: idle threads are in it, too, since what
/// is left out would look as if nobody had looked.
fn whole(options: &StackOptions) -> StackOptions {
    StackOptions { idle: true, ..options.clone() }
}

/// Whether a thread is on a CPU.
const fn on_cpu(cause: Cause) -> bool {
    matches!(cause, Cause::Python | Cause::Native)
}

/// The innermost frame of a stack.
fn top_frame(tables: &Tables, options: &StackOptions, stack: StackId) -> Option<Place> {
    let frame: FrameId = tables.frames_of(stack).next()?;
    Some(place(tables, options, Shown::Frame(frame)))
}

impl Place {
    /// The file with the line.
    fn spot(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(self.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
    }
}
