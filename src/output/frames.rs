//! The stacks that exports show: which samples, which frames, what they are called.

use serde::Serialize;

use crate::model::{Cause, Frame, FrameId, Function, StackId, State, Tables, ThreadId, note};
use crate::profile::Row;

use super::escape::sanitise;

/// The most frames that a stack is shown with, the innermost: Python's own limit is 1000 unless a
/// program raises it.
pub(super) const MAX_DEPTH: usize = 2048;

/// The widest name or file.
pub(super) const WIDEST: usize = 1024;

/// The frame that says that an event loop was blocked.
pub(super) const BLOCKING: &str = "[event-loop-blocking]";

/// The frame of a garbage collection, which no function of the program calls.
const COLLECTING: &str = "[garbage collection]";

/// Which samples stacks are made of, and how they are written.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// Has the thread be the outermost frame.
    pub threads: bool,
    /// Has the cause be the innermost frame.
    pub causes: bool,
    /// Writes lines; without it, samples in different lines of a function are one frame.
    pub line_numbers: bool,
    /// Writes files with their folders, and not as their package has them.
    pub full_filenames: bool,
    /// Takes parked threads too.
    pub idle: bool,
    /// Takes only samples of threads that ran Python, and so had the GIL.
    pub gil_only: bool,
    /// Writes the first line of the function in place of the line in it.
    pub by_function: bool,
    /// Takes the await chains of tasks and not the stacks of threads: milliseconds of tasks.
    pub tasks: bool,
    /// The title of a picture.
    pub title: String,
    /// The text below the title; may be empty.
    pub subtitle: String,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            threads: false,
            causes: false,
            line_numbers: true,
            full_filenames: false,
            idle: false,
            gil_only: false,
            by_function: false,
            tasks: false,
            title: "pyconc".to_owned(),
            subtitle: String::new(),
        }
    }
}

impl StackOptions {
    /// Whether samples are let through.
    pub(super) fn take(&self, row: &Row<'_>) -> bool {
        match row.state.cause {
            Cause::Parked => self.idle && !self.gil_only,
            cause => !self.gil_only || cause == Cause::Python,
        }
    }
}

/// A frame of a stack that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shown {
    /// One of the program.
    Frame(FrameId),
    /// One that says what the samples have in common.
    Mark(&'static str),
    /// One that says their cause.
    Cause(Cause),
}

/// Where a frame is. Its texts hold nothing that could harm a terminal, and are of bounded length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    /// The function's name, or what the frame says.
    pub name: String,
    /// The file, of a frame of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, 1-based; none when there is none, or none is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// The frames of samples, innermost first.
///
/// `blocking` says that they blocked an event loop.
pub(super) fn shown_frames(
    tables: &Tables,
    options: &StackOptions,
    (state, blocking): (&State, bool),
) -> Vec<Shown> {
    let mut frames = Vec::new();
    if options.causes {
        frames.push(Shown::Cause(state.cause));
        if blocking {
            frames.push(Shown::Mark(BLOCKING));
        }
    }
    if is_collecting(tables, state) {
        frames.push(Shown::Mark(COLLECTING));
    }
    let marks = frames.len();
    push_frames(tables, state.stack, &mut frames);
    if frames.len() == marks {
        frames.push(Shown::Mark("[no Python frames]"));
    }
    frames
}

/// Whether a state is that of collecting garbage.
pub(super) fn is_collecting(tables: &Tables, state: &State) -> bool {
    tables.note(state) == Some(note::COLLECTING)
}

/// Adds the frames of a stack, innermost first.
pub(super) fn push_frames(tables: &Tables, stack: StackId, frames: &mut Vec<Shown>) {
    let mut ids = tables.frames_of(stack);
    frames.extend(ids.by_ref().take(MAX_DEPTH).map(Shown::Frame));
    if ids.next().is_some() {
        frames.push(Shown::Mark("[more frames]"));
    }
}

/// What a frame is called, and where it is.
pub(super) fn place(tables: &Tables, options: &StackOptions, frame: Shown) -> Place {
    let only = |name: String| Place { name, file: None, line: None };
    let id = match frame {
        Shown::Frame(id) => id,
        Shown::Mark(mark) => return only(mark.to_owned()),
        Shown::Cause(cause) => return only(cause_frame(cause)),
    };
    let Some((function, line)) = line_of(tables, id) else {
        return only("[unknown frame]".to_owned());
    };
    let line = if options.by_function { function.first_line } else { line };
    let file = if options.full_filenames { &function.file } else { short_file(function) };
    Place {
        name: sanitise(&function.name, WIDEST),
        file: Some(sanitise(file, WIDEST)),
        line: Some(line).filter(|line| options.line_numbers && *line > 0),
    }
}

/// The function and line of a frame.
pub(super) fn line_of(tables: &Tables, id: FrameId) -> Option<(&Function, u32)> {
    let &Frame { function, line } = tables.frames.get(id)?;
    Some((tables.functions.get(function)?, line))
}

/// The frame of a cause.
pub(super) fn cause_frame(cause: Cause) -> String {
    format!("[{}]", cause.name())
}

/// What a thread is called: by its number where it has no name.
pub(super) fn thread_name(tables: &Tables, id: ThreadId) -> String {
    match tables.thread(id) {
        Some(thread) if thread.name.is_empty() => thread.tid.to_string(),
        Some(thread) => sanitise(&thread.name, WIDEST),
        None => "?".to_owned(),
    }
}

/// The file as its package has it: as many of its last parts as the module's name has.
fn short_file(function: &Function) -> &str {
    let file = &*function.file;
    let package = usize::from(file.ends_with("/__init__.py"));
    let parts = function.module.split('.').count() + package;
    file.rmatch_indices('/')
        .nth(parts - 1)
        .map_or(file, |(slash, _)| file.get(slash + 1..).unwrap_or(file))
}
