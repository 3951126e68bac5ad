//! Runs a session before the user's eyes: a progress bar, and the file that grows.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::AtomicBool;

use indicatif::{ProgressBar, ProgressStyle};

use super::attach::Attached;
use super::failure::Failure;
use crate::output::quality_line;
use crate::profile::{Block, Profile, RecordingWriter};
use crate::session::{Ending, Observer};

/// A file that a recording is written to.
pub(super) type Writer = RecordingWriter<Box<dyn Write>>;

/// Shows progress and writes blocks.
struct Watcher {
    bar: ProgressBar,
    writer: Option<Writer>,
}

impl Watcher {
    fn new(
        session: &Attached<'_>,
        length: Option<std::time::Duration>,
        writer: Option<Writer>,
    ) -> Self {
        let bar = match length {
            _ if !io::stderr().is_terminal() => ProgressBar::hidden(),
            Some(length) => ProgressBar::new(length.as_secs().max(1)),
            None => ProgressBar::new_spinner(),
        };
        let template = if length.is_some() {
            "{bar:20} {elapsed}/{len}s {wide_msg}"
        } else {
            "{spinner} {elapsed} {wide_msg} ^C ends"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let meta = &session.session.profile().meta;
        bar.set_message(format!("sampling process {} (Python {})", meta.pid, meta.python));
        bar.tick();
        Self { bar, writer }
    }
}

impl Observer for Watcher {
    fn block(&mut self, block: &Block, profile: &Profile) -> io::Result<()> {
        self.bar.set_position(profile.quality.elapsed.seconds().round() as u64);
        self.bar.set_message(quality_line(profile));
        match &mut self.writer {
            Some(writer) => writer.append(block),
            None => Ok(()),
        }
    }
}

/// Samples to the end.
pub(super) fn observe(
    attached: &mut Attached<'_>,
    length: Option<std::time::Duration>,
    writer: Option<Writer>,
    stop: &AtomicBool,
) -> Result<Ending, Failure> {
    let mut watcher = Watcher::new(attached, length, writer);
    let ending = attached.session.run(stop, &mut watcher);
    watcher.bar.finish_and_clear();
    let ending = ending?;
    if let Some(writer) = &mut watcher.writer {
        writer.finish()?;
    }
    Ok(ending)
}

/// Why sampling ended, when that is worth a word.
pub(super) fn describe(ending: Ending) -> &'static str {
    match ending {
        Ending::Elapsed | Ending::Asked => "",
        Ending::Target(_) => "; the process has ended",
    }
}
