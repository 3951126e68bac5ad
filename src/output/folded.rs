//! Stacks folded into lines, `frame;frame;… count`, as flame graph tools read them.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::escape::sanitise;
use super::task_stacks::task_stacks;
use crate::model::{Cause, Frame, FrameId, Function, StackId, Tables, ThreadId, note};
use crate::profile::{Profile, Row};

/// The most frames that a stack is shown with, the innermost: Python's own limit is 1000 unless a
/// program raises it.
const MAX_DEPTH: usize = 2048;

/// The widest name or file.
const WIDEST: usize = 1024;

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

/// Writes the stacks of a profile, one a line, sorted.
///
/// # Errors
/// When `out` cannot be written.
pub fn folded(out: &mut dyn Write, profile: &Profile, options: &StackOptions) -> io::Result<()> {
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    let mut folder = Folder::new(profile, options);
    for stack in folder.stacks() {
        *lines.entry(stack.frames.join(";")).or_default() += stack.weight;
    }
    for (stack, samples) in lines {
        writeln!(out, "{stack} {samples}")?;
    }
    Ok(())
}

/// The frame that says that an event loop was blocked.
pub(super) const BLOCKING: &str = "[event-loop-blocking]";

/// The frame of a garbage collection, which no function of the program calls.
const COLLECTING: &str = "[garbage collection]";

/// The frame of a cause.
pub(super) fn cause_frame(cause: Cause) -> String {
    format!("[{}]", cause.name())
}

/// A stack with what it weighs.
pub(super) struct Stack {
    /// Outermost first. Their texts hold nothing that a line of folded stacks or an XML file could
    /// not.
    pub frames: Vec<Rc<str>>,
    pub cause: Cause,
    /// Samples of threads, or milliseconds of tasks.
    pub weight: u64,
    /// Whether the samples blocked an event loop.
    pub blocking: bool,
}

/// Makes the texts of stacks.
pub(super) struct Folder<'a> {
    profile: &'a Profile,
    options: &'a StackOptions,
    texts: FxHashMap<FrameId, Rc<str>>,
}

impl<'a> Folder<'a> {
    pub(super) fn new(profile: &'a Profile, options: &'a StackOptions) -> Self {
        Self { profile, options, texts: FxHashMap::default() }
    }

    /// The stacks that the options let through.
    pub(super) fn stacks(&mut self) -> Vec<Stack> {
        if self.options.tasks {
            return task_stacks(self.profile, self, self.options.idle);
        }
        let rows = self.rows();
        let stack = |row: Row<'_>| Stack {
            frames: self.frames(&row),
            cause: row.state.cause,
            weight: row.samples,
            blocking: row.blocking,
        };
        rows.map(stack).collect()
    }

    /// The frames of an await chain, outermost first.
    pub(super) fn frames_of(&mut self, chain: StackId) -> Vec<Rc<str>> {
        let mut frames: Vec<Rc<str>> = Vec::new();
        self.push_frames(chain, &mut frames);
        frames.reverse();
        frames
    }

    /// The rows that the options let through.
    fn rows(&self) -> impl Iterator<Item = Row<'a>> + use<'a> {
        let options = self.options;
        self.profile.rows().filter(move |row| match row.state.cause {
            Cause::Parked => options.idle && !options.gil_only,
            cause => !options.gil_only || cause == Cause::Python,
        })
    }

    /// The frames of a row's stack, outermost first.
    fn frames(&mut self, row: &Row<'_>) -> Vec<Rc<str>> {
        let tables = &self.profile.tables;
        let mut frames: Vec<Rc<str>> = Vec::new();
        if self.options.causes {
            frames.push(cause_frame(row.state.cause).into());
            if row.blocking {
                frames.push(BLOCKING.into());
            }
        }
        if tables.note(row.state) == Some(note::COLLECTING) {
            frames.push(COLLECTING.into());
        }
        let marks = frames.len();
        self.push_frames(row.state.stack, &mut frames);
        if frames.len() == marks {
            frames.push("[no Python frames]".into());
        }
        if self.options.threads {
            frames.push(thread_frame(tables, row.thread).into());
        }
        frames.reverse();
        frames
    }

    /// Adds the frames of a stack, innermost first.
    fn push_frames(&mut self, stack: StackId, frames: &mut Vec<Rc<str>>) {
        let tables = &self.profile.tables;
        let mut ids = tables.frames_of(stack);
        for id in ids.by_ref().take(MAX_DEPTH) {
            let text = self.texts.entry(id).or_insert_with(|| frame_text(tables, self.options, id));
            frames.push(Rc::clone(text));
        }
        if ids.next().is_some() {
            frames.push("[more frames]".into());
        }
    }
}

fn thread_frame(tables: &Tables, id: ThreadId) -> String {
    match tables.thread(id) {
        Some(thread) if thread.name.is_empty() => format!("[thread {}]", thread.tid),
        Some(thread) => format!("[thread {}]", clean(&thread.name)),
        None => "[thread ?]".to_owned(),
    }
}

fn frame_text(tables: &Tables, options: &StackOptions, id: FrameId) -> Rc<str> {
    let known = tables
        .frames
        .get(id)
        .and_then(|&Frame { function, line }| Some((tables.functions.get(function)?, line)));
    let Some((function, line)) = known else { return "[unknown frame]".into() };
    let line = if options.by_function { function.first_line } else { line };
    let file = if options.full_filenames { &function.file } else { short_file(function) };
    // A stack that begins with a number sign is taken for a comment.
    let (name, file) = (clean(function.name.trim_start_matches(['#', ' '])), clean(file));
    if options.line_numbers && line > 0 {
        format!("{name} ({file}:{line})").into()
    } else {
        format!("{name} ({file})").into()
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

/// A text of the target, made harmless also for a line of frames.
pub(super) fn clean(text: &str) -> String {
    sanitise(text, WIDEST).replace(';', ":")
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEPTH, StackOptions, folded};
    use crate::model::Cause;
    use crate::profile::Profile;
    use crate::profile::fixture::Trace;

    /// A worker in two lines of a function, a parked thread, one without frames, and a loop that
    /// sleeps for too long.
    fn profile() -> Profile {
        let mut trace = Trace::new(100);
        let (worker, parked) = (trace.thread("worker; 1"), trace.thread("pool"));
        let (bare, looping) = (trace.thread(""), trace.thread("loop"));
        let main = ("main", "/srv/app.py", 3);
        let one = trace.state(&[main, ("work", "/srv/app.py", 7)], Cause::Python);
        let two = trace.state(&[main, ("work", "/srv/app.py", 8)], Cause::Network);
        let idle = trace.state(&[("get", "/srv/queue.py", 5)], Cause::Parked);
        let native = trace.state(&[], Cause::Native);
        let nap = trace.state(&[("nap", "/srv/app.py", 9)], Cause::Sleep);
        for time in (0..200).step_by(10) {
            let state = if time < 150 { one } else { two };
            let step = Some((1, 0, true));
            let threads = [
                (worker, state, None),
                (parked, idle, None),
                (bare, native, None),
                (looping, nap, step),
            ];
            trace.sample(time, &threads);
        }
        trace.finish().0
    }

    fn lines(change: impl FnOnce(&mut StackOptions)) -> Vec<String> {
        let mut options = StackOptions::default();
        change(&mut options);
        let mut out = Vec::new();
        folded(&mut out, &profile(), &options).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn stacks_are_written_outermost_first() {
        let expected = [
            "[no Python frames] 20",
            "main (app.py:3);work (app.py:7) 15",
            "main (app.py:3);work (app.py:8) 5",
            "nap (app.py:9) 20",
        ];
        assert_eq!(lines(|_| ()), expected);
    }

    #[test]
    fn threads_and_causes_are_frames_on_demand() {
        let lines = lines(|options| (options.threads, options.causes) = (true, true));
        let expected = [
            "[thread 102];[no Python frames];[native] 20",
            "[thread loop];nap (app.py:9);[event-loop-blocking];[sleep] 20",
            "[thread worker: 1];main (app.py:3);work (app.py:7);[python] 15",
            "[thread worker: 1];main (app.py:3);work (app.py:8);[network] 5",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn frames_are_as_fine_as_asked_for() {
        let plain = lines(|options| options.line_numbers = false);
        assert_eq!(plain[1], "main (app.py);work (app.py) 20");
        let first = lines(|options| options.by_function = true);
        assert_eq!(first[1], "main (app.py:1);work (app.py:1) 20");
        let full = lines(|options| options.full_filenames = true);
        assert_eq!(full[3], "nap (/srv/app.py:9) 20");
    }

    #[test]
    fn samples_are_chosen() {
        let idle = lines(|options| options.idle = true);
        assert!(idle.contains(&"get (queue.py:5) 20".to_owned()));
        let gil = lines(|options| (options.gil_only, options.idle) = (true, true));
        assert_eq!(gil, ["main (app.py:3);work (app.py:7) 15"]);
    }

    #[test]
    fn files_are_as_their_package_has_them() {
        let mut trace = Trace::new(100);
        let thread = trace.thread("main");
        let files =
            ["/lib/asyncio/events.py", "/lib/asyncio/__init__.py", "<frozen runpy>", "events.py"];
        let modules = ["asyncio.events", "asyncio", "runpy", "a.b.events"];
        for (file, module) in files.into_iter().zip(modules) {
            let function = crate::model::Function {
                name: "f".into(),
                qualified: true,
                module: module.into(),
                file: file.into(),
                first_line: 1,
            };
            let function = trace.tables.functions.intern(function);
            let frame = trace.tables.frames.intern(crate::model::Frame { function, line: 0 });
            let stack = trace.tables.push_frame(crate::model::StackId::EMPTY, frame);
            let state = trace.state(&[], Cause::Python);
            let state = crate::model::State { stack, ..*trace.tables.states.get(state).unwrap() };
            let state = trace.tables.states.intern(state);
            trace.sample(10, &[(thread, state, None)]);
        }
        let mut out = Vec::new();
        folded(&mut out, &trace.finish().0, &StackOptions::default()).unwrap();
        let expected = "f (<frozen runpy>) 1\nf (asyncio/__init__.py) 1\nf (asyncio/events.py) 1\nf (events.py) 1\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn names_cannot_end_a_frame_or_a_line() {
        let mut trace = Trace::new(100);
        let thread = trace.thread("t");
        let frames = [("a;b\nc 9\x1b[31m", "x\r.py", 1), ("# gone", "\u{202e}y.py", 2)];
        let state = trace.state(&frames, Cause::Python);
        trace.sample(0, &[(thread, state, None)]);
        let mut out = Vec::new();
        folded(&mut out, &trace.finish().0, &StackOptions::default()).unwrap();
        let expected =
            r"a:b\u{a}c 9\u{1b}[31m (x\u{d}.py:1);gone (\u{202e}y.py:2) 1".to_owned() + "\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn texts_and_stacks_are_bounded() {
        let mut trace = Trace::new(100);
        let thread = trace.thread("t");
        let state = trace.state(&vec![("f", "app.py", 1); MAX_DEPTH + 1], Cause::Python);
        trace.sample(0, &[(thread, state, None)]);
        let mut out = Vec::new();
        folded(&mut out, &trace.finish().0, &StackOptions::default()).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert!(line.starts_with("[more frames];f (app.py:1);"));
        assert_eq!(line.split(';').count(), MAX_DEPTH + 1);
    }
}
