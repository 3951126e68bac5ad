//! Firefox Profiler's processed format: a track per thread, with samples, stacks and markers.
//!
//! <https://github.com/firefox-devtools/profiler/blob/main/docs-developer/processed-profile-format.md>.
//! Categories are causes, with colours like those of the flame graphs. Frames are labels,
//! `name (file:line)`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use fxprof_processed_profile::{
    CategoryColor, CategoryHandle, CpuDelta, Frame, FrameFlags, FrameInfo, MarkerFieldFlags,
    MarkerFieldFormat, MarkerTiming, ProcessHandle, Profile, ReferenceTimestamp, SamplingInterval,
    StackHandle, StaticSchemaMarker, StaticSchemaMarkerField, StringHandle, ThreadHandle,
    Timestamp,
};
use rustc_hash::FxHashMap;

use crate::model::{Cause, Nanos, State, StateId, ThreadId};
use crate::output::StackOptions;
use crate::output::escape::sanitise;
use crate::output::folded::frame_text;
use crate::output::frames::{WIDEST, is_collecting, shown_frames, thread_name};
use crate::profile::{Episode, Passage, Piece, Profile as Counted, Replay};

use super::runs::{Run, Runs};
use super::{exporter, on_cpu, process_title};

/// What a marker tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    GilWait,
    LockWait,
    Blocked,
    Collecting,
}

impl Mark {
    const fn name(self) -> &'static str {
        match self {
            Self::GilWait => "GIL wait",
            Self::LockWait => "lock wait",
            Self::Blocked => "event loop blocked",
            Self::Collecting => "garbage collection",
        }
    }

    /// The marker that samples belong to.
    fn of(profile: &Counted, piece: &Piece<'_>) -> Option<Self> {
        match piece.row.state.cause {
            _ if is_collecting(&profile.tables, piece.row.state) => Some(Self::Collecting),
            Cause::Gil => Some(Self::GilWait),
            Cause::Lock => Some(Self::LockWait),
            _ => None,
        }
    }
}

/// A marker as the library takes it.
struct Interval {
    name: StringHandle,
    category: CategoryHandle,
    details: StringHandle,
}

impl StaticSchemaMarker for Interval {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "pyconc";
    const CHART_LABEL: Option<&'static str> = Some("{marker.data.details}");
    const TABLE_LABEL: Option<&'static str> = Some("{marker.data.details}");
    const FIELDS: &'static [StaticSchemaMarkerField] = &[StaticSchemaMarkerField {
        key: "details",
        label: "Details",
        format: MarkerFieldFormat::String,
        flags: MarkerFieldFlags::SEARCHABLE,
    }];

    fn name(&self, _: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _: &mut Profile) -> CategoryHandle {
        self.category
    }

    fn string_field_value(&self, _: u32) -> StringHandle {
        self.details
    }

    fn number_field_value(&self, _: u32) -> f64 {
        0.0
    }
}

/// The file as it grows: the library keeps all of it.
struct Writer<'a> {
    counted: &'a Counted,
    options: &'a StackOptions,
    file: Profile,
    process: ProcessHandle,
    categories: BTreeMap<Cause, CategoryHandle>,
    threads: BTreeMap<ThreadId, ThreadHandle>,
    stacks: FxHashMap<(ThreadId, StateId, bool), Option<StackHandle>>,
    /// Each thread's last sample, and until when it stands.
    last: BTreeMap<ThreadId, (Nanos, Nanos)>,
}

impl<'a> Writer<'a> {
    fn new(counted: &'a Counted, options: &'a StackOptions) -> Self {
        let meta = &counted.meta;
        let started = Duration::from_secs(u64::try_from(meta.started_at).unwrap_or(0));
        let started = ReferenceTimestamp::from_duration_since_unix_epoch(started);
        let interval = SamplingInterval::from_nanos(counted.mean_interval().0.max(1));
        let title = process_title(meta);
        let mut file = Profile::new(&format!("{title} ({})", exporter()), started, interval);
        file.set_os_name("Linux");
        file.set_symbolicated(true);
        let process = file.add_process(&title, meta.pid.unsigned_abs(), at(Nanos(0)));
        let category = |cause: Cause| (cause, file.add_category(cause.name(), colour(cause)));
        let categories = Cause::ALL.into_iter().map(category).collect();
        let (threads, stacks, last) = Default::default();
        Self { counted, options, file, process, categories, threads, stacks, last }
    }

    fn category(&self, cause: Cause) -> CategoryHandle {
        self.categories.get(&cause).copied().unwrap_or(CategoryHandle::OTHER)
    }

    fn thread(&mut self, id: ThreadId, start: Nanos) -> ThreadHandle {
        if let Some(&thread) = self.threads.get(&id) {
            return thread;
        }
        let tables = &self.counted.tables;
        let (tid, main) = tables.thread(id).map_or((0, false), |it| (it.tid, it.main));
        let thread = self.file.add_thread(self.process, tid.unsigned_abs(), at(start), main);
        self.file.set_thread_name(thread, &thread_name(tables, id));
        self.file.set_thread_show_markers_in_timeline(thread, true);
        self.threads.insert(id, thread);
        thread
    }

    fn stack(&mut self, thread: ThreadHandle, piece: &Piece<'_>) -> Option<StackHandle> {
        let (row, counted, options) = (piece.row, self.counted, self.options);
        let key = (row.thread, row.id, row.blocking);
        if let Some(&stack) = self.stacks.get(&key) {
            return stack;
        }
        let category_pair = self.category(row.state.cause).into();
        let shown = shown_frames(&counted.tables, options, (row.state, row.blocking));
        let mut frames = Vec::with_capacity(shown.len());
        for frame in shown.into_iter().rev() {
            let text = frame_text(&counted.tables, options, frame);
            let frame = Frame::Label(self.file.intern_string(&text));
            frames.push(FrameInfo { frame, category_pair, flags: FrameFlags::empty() });
        }
        let stack = self.file.intern_stack_frames(thread, frames.into_iter());
        self.stacks.insert(key, stack);
        stack
    }

    /// Adds the samples of a piece.
    fn samples(&mut self, piece: &Piece<'_>) {
        let thread = self.thread(piece.row.thread, piece.start());
        let stack = self.stack(thread, piece);
        let (start, end) = (piece.start(), piece.end);
        let latest = (piece.times.last().copied().unwrap_or(end), end);
        // It ran from the sample before on; after a gap that is not known.
        let before = self.last.insert(piece.row.thread, latest).filter(|before| before.1 == start);
        let mut before = before.map_or(start, |(sample, _)| sample);
        for (index, &time) in piece.times.iter().enumerate() {
            if on_cpu(piece.row.state.cause) {
                let ran = CpuDelta::from_nanos(time.since(before).0);
                self.file.add_sample(thread, at(time), stack, ran, 1);
            } else if index == 0 {
                self.file.add_sample(thread, at(time), stack, CpuDelta::ZERO, 1);
            } else {
                self.file.add_sample_same_stack_zero_cpu(thread, at(time), 1);
            }
            before = time;
        }
    }

    fn marker(
        &mut self,
        (thread, mark, cause): (ThreadId, Mark, Cause),
        (start, end): (Nanos, Nanos),
        details: &str,
    ) {
        let thread = self.thread(thread, start);
        let marker = Interval {
            name: self.file.intern_string(mark.name()),
            category: self.category(cause),
            details: self.file.intern_string(details),
        };
        self.file.add_marker(thread, MarkerTiming::Interval(at(start), at(end)), marker);
    }

    fn run(&mut self, run: &Run<Mark>) {
        let state = run.main_state().and_then(|id| self.counted.tables.states.get(id));
        let Some(&state) = state else { return };
        let details = self.innermost(&state);
        self.marker((run.thread, run.key, state.cause), (run.start, run.end), &details);
    }

    /// A step that blocked its event loop, with its task.
    fn episode(&mut self, thread: ThreadId, episode: &Episode) {
        let (step, origin) = (&episode.step, self.counted.meta.origin);
        let state = episode.states.first();
        let state = state.and_then(|(id, _)| self.counted.tables.states.get(*id)).copied();
        let innermost = state.map(|state| self.innermost(&state)).unwrap_or_default();
        let details = match &step.task {
            Some(task) => format!("{} in task {}", innermost, sanitise(&task.name, WIDEST)),
            None => innermost.to_string(),
        };
        let cause = state.map_or(Cause::Unknown, |state| state.cause);
        let span = (step.start.since(origin), step.end.since(origin));
        self.marker((thread, Mark::Blocked, cause), span, &details);
    }

    fn innermost(&self, state: &State) -> Rc<str> {
        let plain = StackOptions { causes: false, ..self.options.clone() };
        let shown = shown_frames(&self.counted.tables, &plain, (state, false));
        shown.first().map_or("".into(), |&it| frame_text(&self.counted.tables, self.options, it))
    }

    fn finish(mut self, out: &mut dyn Write) -> io::Result<()> {
        for (thread, (_, end)) in &self.last {
            if let Some(&thread) = self.threads.get(thread) {
                self.file.set_thread_end_time(thread, at(*end));
            }
        }
        Ok(serde_json::to_writer(out, &self.file)?)
    }
}

fn at(time: Nanos) -> Timestamp {
    Timestamp::from_nanos_since_reference(time.0)
}

/// The profiler's colour that is nearest to that of the flame graphs.
const fn colour(cause: Cause) -> CategoryColor {
    match cause {
        Cause::Python => CategoryColor::Green,
        Cause::Native => CategoryColor::LightGreen,
        Cause::CpuWait => CategoryColor::Yellow,
        Cause::Gil => CategoryColor::Orange,
        Cause::Lock => CategoryColor::Red,
        Cause::Network => CategoryColor::Blue,
        Cause::Disk => CategoryColor::Brown,
        Cause::Pipe => CategoryColor::LightBlue,
        Cause::Child => CategoryColor::Magenta,
        Cause::Sleep => CategoryColor::Purple,
        Cause::Parked => CategoryColor::Transparent,
        Cause::Unknown => CategoryColor::DarkGray,
    }
}

/// Writes a recording for Firefox Profiler. The library that writes it needs memory for all samples.
///
/// # Errors
/// When the recording cannot be read again, or `out` cannot be written.
pub fn gecko(
    out: &mut dyn Write,
    profile: &Counted,
    replay: &mut Replay,
    options: &StackOptions,
) -> io::Result<()> {
    let mut writer = Writer::new(profile, options);
    let mut marks = Runs::new();
    let mut visit = |passage: &Passage<'_>| {
        for piece in &passage.pieces {
            let taken = options.take(&piece.row);
            if taken {
                writer.samples(piece);
            }
            let mark = Mark::of(profile, piece).filter(|_| taken);
            if let Some(run) = marks.push(piece, mark) {
                writer.run(&run);
            }
        }
        Ok(())
    };
    replay.run(profile, &mut visit)?;
    marks.finish().for_each(|run| writer.run(&run));
    for (id, thread) in profile.threads.iter().enumerate() {
        let episodes = thread.event_loop.iter().flat_map(|it| &it.episodes);
        episodes.for_each(|episode| writer.episode(ThreadId::from(id), episode));
    }
    writer.finish(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::gecko;
    use crate::output::StackOptions;
    use crate::output::export::fixture::{
        Made, assert_inert, assert_near, export, hostile, recording, seconds,
    };

    fn file(made: &Made, idle: bool) -> Value {
        let options = StackOptions { idle, ..StackOptions::default() };
        serde_json::from_slice(&export(gecko, made, &options)).unwrap()
    }

    /// A thread's track; the main thread's has the name of the process.
    fn thread<'a>(file: &'a Value, name: &str) -> &'a Value {
        let name = if name == "main" { "python3 app.py" } else { name };
        let threads = file["threads"].as_array().unwrap();
        threads.iter().find(|thread| thread["name"] == name).unwrap()
    }

    fn list(value: &Value) -> &Vec<Value> {
        value.as_array().unwrap()
    }

    fn index(list: &Value, place: usize) -> usize {
        usize::try_from(list[place].as_u64().unwrap()).unwrap()
    }

    fn text(thread: &Value, place: usize) -> &str {
        thread["stringArray"][place].as_str().unwrap()
    }

    /// Samples of a thread by the category of their stacks.
    fn by_category(file: &Value, thread: &Value) -> BTreeMap<String, f64> {
        let samples = &thread["samples"];
        let mut found = BTreeMap::new();
        for (place, stack) in list(&samples["stack"]).iter().enumerate() {
            let frame = index(&thread["stackTable"]["frame"], stack.as_u64().unwrap() as usize);
            let category = index(&thread["frameTable"]["category"], frame);
            let name = file["meta"]["categories"][category]["name"].as_str().unwrap();
            *found.entry(name.to_owned()).or_default() +=
                samples["weight"].get(place).and_then(Value::as_f64).unwrap_or(1.0);
        }
        found
    }

    /// The markers of a thread: name, start and end in seconds.
    fn markers(thread: &Value) -> Vec<(String, f64, f64)> {
        let markers = &thread["markers"];
        let time = |key: &str, place: usize| markers[key][place].as_f64().unwrap() / 1e3;
        let marker = |place| {
            let name = text(thread, index(&markers["name"], place)).to_owned();
            (name, time("startTime", place), time("endTime", place))
        };
        (0..list(&markers["name"]).len()).map(marker).collect()
    }

    #[test]
    fn the_sums_are_those_of_the_profile() {
        let file = file(&recording(), true);
        assert!(file["meta"]["preprocessedProfileVersion"].as_u64().unwrap() >= 50);
        let mut samples = 0.0;
        for name in ["main", "loop", "waits", "pool"] {
            let found = by_category(&file, thread(&file, name));
            samples += found.values().sum::<f64>();
            for (cause, weight) in found {
                assert_near(weight / 100.0, seconds(name, &format!("[{cause}]")));
            }
        }
        assert_eq!(samples as u64, recording().0.thread_samples());
    }

    #[test]
    fn waits_collections_and_blocks_are_marked() {
        let file = file(&recording(), false);
        let waits = markers(thread(&file, "waits"));
        assert_eq!(waits.len(), 2, "{waits:?}");
        assert_eq!((waits[0].0.as_str(), waits[1].0.as_str()), ("GIL wait", "lock wait"));
        assert_near(waits[0].2 - waits[0].1, 1.0);
        assert_near(waits[1].1, 1.0);
        let main = markers(thread(&file, "main"));
        assert_eq!((main.len(), main[0].0.as_str()), (1, "garbage collection"));
        assert_near(main[0].2 - main[0].1, 0.1);
        let looping = markers(thread(&file, "loop"));
        assert_eq!((looping.len(), looping[0].0.as_str()), (1, "event loop blocked"));
        assert_near(looping[0].1, 0.3);
        let threads = list(&file["threads"]);
        assert!(threads.iter().all(|thread| thread["name"] != "pool"), "idle");
    }

    #[test]
    fn stacks_are_those_of_the_program() {
        let file = file(&recording(), false);
        let main = thread(&file, "main");
        let names: Vec<_> = list(&main["stringArray"]).iter().filter_map(Value::as_str).collect();
        for name in ["main (app.py:3)", "work (app.py:7)", "fetch (app.py:9)"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert_eq!(main["isMainThread"], true);
        let cpu = list(&main["samples"]["threadCPUDelta"]).iter().filter_map(Value::as_f64);
        assert_near(cpu.sum::<f64>() / 1e6, 1.0);
    }

    #[test]
    fn hostile_names_are_inert() {
        assert_inert(&export(gecko, &hostile(), &StackOptions::default()));
    }
}
