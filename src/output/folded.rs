//! Stacks folded into lines, `frame;frame;… count`, as flame graph tools read them.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::escape::sanitise;
use super::frames::{
    Place, Shown, StackOptions, WIDEST, place, push_frames, shown_frames, thread_name,
};
use super::task_stacks::task_stacks;
use crate::model::{Cause, StackId, Tables};
use crate::profile::{Profile, Row};

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
    texts: FxHashMap<Shown, Rc<str>>,
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
        let options = self.options;
        let rows = self.profile.rows().filter(|row| options.take(row));
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
        let mut frames = Vec::new();
        push_frames(&self.profile.tables, chain, &mut frames);
        frames.into_iter().rev().map(|frame| self.text(frame)).collect()
    }

    /// The frames of a row's stack, outermost first.
    fn frames(&mut self, row: &Row<'_>) -> Vec<Rc<str>> {
        let tables = &self.profile.tables;
        let thread = self.options.threads.then(|| {
            let name = thread_name(tables, row.thread).replace(';', ":");
            Rc::from(format!("[thread {name}]"))
        });
        let frames = shown_frames(tables, self.options, (row.state, row.blocking));
        thread.into_iter().chain(frames.into_iter().rev().map(|frame| self.text(frame))).collect()
    }

    fn text(&mut self, frame: Shown) -> Rc<str> {
        let (tables, options) = (&self.profile.tables, self.options);
        let text = self.texts.entry(frame).or_insert_with(|| frame_text(tables, options, frame));
        Rc::clone(text)
    }
}

/// A frame as one text, `name (file:line)`, fit for a line of frames.
pub(super) fn frame_text(tables: &Tables, options: &StackOptions, frame: Shown) -> Rc<str> {
    let Place { name, file, line } = place(tables, options, frame);
    let Some(file) = file else { return name.into() };
    // A stack that begins with a number sign is taken for a comment.
    let name = name.trim_start_matches(['#', ' ']);
    let text = match line {
        Some(line) => format!("{name} ({file}:{line})"),
        None => format!("{name} ({file})"),
    };
    text.replace(';', ":").into()
}

/// A text of the target, made harmless also for a line of frames.
pub(super) fn clean(text: &str) -> String {
    sanitise(text, WIDEST).replace(';', ":")
}

#[cfg(test)]
mod tests {
    use super::{StackOptions, folded};
    use crate::model::Cause;
    use crate::output::frames::MAX_DEPTH;
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
