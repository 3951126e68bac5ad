//! Runs a session before the user's eyes: a progress bar, and the file that grows.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::attach::Attached;
use super::failure::Failure;
use crate::profile::{Block, Profile, RecordingWriter};
use crate::session::{Ending, Observer};

/// A file that a recording is written to.
pub(super) struct RecordingFile {
    pub writer: RecordingWriter<Box<dyn Write>>,
    pub path: PathBuf,
}

/// Shows progress and writes blocks.
struct Watcher {
    bar: ProgressBar,
    file: Option<RecordingFile>,
}

impl Watcher {
    fn new(session: &Attached<'_>, length: Option<Duration>, file: Option<RecordingFile>) -> Self {
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
        Self { bar, file }
    }
}

impl Observer for Watcher {
    fn block(&mut self, block: &Block, profile: &Profile) -> io::Result<()> {
        self.bar.set_position(profile.quality.elapsed.seconds().round() as u64);
        let quality = &profile.quality;
        let (samples, rejected) = (quality.samples, quality.rejected);
        self.bar.set_message(format!("{samples} samples, {rejected} rejected"));
        match &mut self.file {
            Some(file) => file.writer.append(block),
            None => Ok(()),
        }
    }
}

/// Samples to the end.
pub(super) fn observe(
    attached: &mut Attached<'_>,
    length: Option<Duration>,
    file: Option<RecordingFile>,
    stop: &AtomicBool,
) -> Result<Ending, Failure> {
    let mut watcher = Watcher::new(attached, length, file);
    let ending = attached.session.run(stop, &mut watcher);
    watcher.bar.finish_and_clear();
    let Some(file) = &mut watcher.file else { return Ok(ending?) };
    let context = || format!("writing {}", file.path.display());
    let ending = ending.with_context(context)?;
    file.writer.finish().with_context(context)?;
    Ok(ending)
}

/// Why sampling ended, when that is worth a word.
pub(super) fn describe(ending: Ending) -> &'static str {
    match ending {
        Ending::Elapsed | Ending::Asked => "",
        Ending::Target(_) => "; the process has ended",
    }
}
