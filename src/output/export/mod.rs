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

#[cfg(test)]
mod tests {
    use super::fixture::{Exporter, Made, export, recording};
    use super::{chrometrace, gecko, jsonl, perfetto, pprof, speedscope};
    use crate::model::{Cause, Nanos};
    use crate::output::StackOptions;
    use crate::profile::fixture::Trace;

    const ALL: [Exporter; 6] = [speedscope, pprof, chrometrace, gecko, perfetto, jsonl];

    fn export_all(made: &Made) {
        let options = StackOptions { causes: true, idle: true, ..StackOptions::default() };
        for exporter in ALL {
            for options in [&StackOptions::default(), &options] {
                assert!(export(exporter, made, options).len() < 1 << 20);
            }
        }
    }

    /// What a damaged file may say: times that go back, or on for ever, and numbers below zero.
    #[test]
    fn times_that_make_no_sense_do_no_harm() {
        for change in 0..6 {
            let (mut profile, mut blocks) = recording();
            match change {
                0 => blocks[3].start = Nanos(0),
                1 => blocks[3].start = Nanos(u64::MAX),
                2 => blocks[3].intervals.fill(u32::MAX),
                3 => profile.meta.origin = Nanos(u64::MAX),
                4 => profile.meta.started_at = i64::MIN,
                _ => {
                    profile.meta.pid = i32::MIN;
                    blocks[0].threads[0].1.tid = i32::MIN;
                    blocks[0].quality.elapsed = Nanos(u64::MAX);
                }
            }
            export_all(&(profile, blocks));
        }
    }

    #[test]
    fn recordings_without_samples_threads_or_frames_can_be_exported() {
        export_all(&Trace::new(100).finish());
        let mut trace = Trace::new(100);
        let thread = trace.thread("");
        let state = trace.state(&[], Cause::Unknown);
        trace.sample(0, &[(thread, state, None)]);
        export_all(&trace.finish());
    }
}
