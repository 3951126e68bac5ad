//! pprof's format: a compressed protocol buffer of weighted stacks.
//!
//! The messages are those of
//! <https://github.com/google/pprof/blob/main/proto/profile.proto>, with the fields that are used.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;

use flate2::Compression;
use flate2::write::GzEncoder;
use indexmap::IndexSet;
use prost::Message;
use rustc_hash::FxHashMap;

use crate::model::{Cause, FrameId, StateId, Tables, Tag, ThreadId};
use crate::output::StackOptions;
use crate::output::escape::sanitise;
use crate::output::frames::{Place, Shown, WIDEST, line_of, place, shown_frames, thread_name};
use crate::profile::{Meta, Profile as Counted, Replay};

use super::runs::each_run;
use super::{exporter, on_cpu, process_title};

/// What is counted of each stack, with its unit: in the order of a sample's values.
const SAMPLE_TYPES: [(&str, &str); 5] = [
    ("samples", "count"),
    ("wall", "nanoseconds"),
    ("cpu", "nanoseconds"),
    ("gil-wait", "nanoseconds"),
    ("lock-wait", "nanoseconds"),
];

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// Innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    text: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    // Without a system name (3) pprof leaves names as they are: it takes `<module>` for a template.
    #[prost(int64, tag = "4")]
    filename: i64,
    #[prost(int64, tag = "5")]
    start_line: i64,
}

/// Runs that are one sample of the file.
type Key = (ThreadId, StateId, bool, Option<Rc<str>>);

/// The tables of the file, as they grow.
struct Writer<'a> {
    tables: &'a Tables,
    options: &'a StackOptions,
    strings: IndexSet<String>,
    /// Name, file and first line.
    functions: IndexSet<(i64, i64, i64)>,
    /// Function and line.
    locations: IndexSet<(u64, i64)>,
    known: FxHashMap<Shown, u64>,
}

impl<'a> Writer<'a> {
    fn new(tables: &'a Tables, options: &'a StackOptions) -> Self {
        Self {
            tables,
            options,
            // The first string has to be the empty one.
            strings: IndexSet::from([String::new()]),
            functions: IndexSet::new(),
            locations: IndexSet::new(),
            known: FxHashMap::default(),
        }
    }

    fn string(&mut self, text: &str) -> i64 {
        let place = match self.strings.get_index_of(text) {
            Some(place) => place,
            None => self.strings.insert_full(text.to_owned()).0,
        };
        number(place)
    }

    fn value_type(&mut self, (kind, unit): (&str, &str)) -> ValueType {
        ValueType { kind: self.string(kind), unit: self.string(unit) }
    }

    fn label(&mut self, key: &str, text: &str) -> Label {
        Label { key: self.string(key), text: self.string(text) }
    }

    /// The id of a frame's location; ids begin with 1.
    fn location(&mut self, frame: Shown) -> u64 {
        if let Some(&id) = self.known.get(&frame) {
            return id;
        }
        let Place { name, file, line } = place(self.tables, self.options, frame);
        let name = self.string(&name);
        let file = self.string(file.as_deref().unwrap_or_default());
        let first_line = match frame {
            Shown::Frame(id) => first_line(self.tables, id),
            _ => 0,
        };
        let function = self.functions.insert_full((name, file, first_line)).0 as u64 + 1;
        let line = line.map_or(0, i64::from);
        let id = self.locations.insert_full((function, line)).0 as u64 + 1;
        self.known.insert(frame, id);
        id
    }

    fn sample(
        &mut self,
        (thread, id, blocking, task): &Key,
        [count, length]: [u64; 2],
    ) -> Option<Sample> {
        let state = self.tables.states.get(*id)?;
        let frames = shown_frames(self.tables, self.options, (state, *blocking));
        let cause = state.cause;
        let when = |condition: bool| if condition { length } else { 0 };
        let [cpu, gil, lock] = [on_cpu(cause), cause == Cause::Gil, cause == Cause::Lock].map(when);
        let tag = if *blocking { Tag::EventLoopBlocking } else { state.tag };
        let mut label = vec![
            self.label("thread", &thread_name(self.tables, *thread)),
            self.label("tag", tag.name()),
            self.label("cause", cause.name()),
        ];
        if let Some(task) = task {
            label.push(self.label("task", &sanitise(task, WIDEST)));
        }
        Some(Sample {
            location_id: frames.into_iter().map(|frame| self.location(frame)).collect(),
            value: [count, length, cpu, gil, lock].map(signed).to_vec(),
            label,
        })
    }

    fn finish(mut self, counted: &Counted, sample: Vec<Sample>) -> Profile {
        let Meta { started_at, .. } = counted.meta;
        let sample_type = SAMPLE_TYPES.map(|it| self.value_type(it)).to_vec();
        let period_type = Some(self.value_type(("wall", "nanoseconds")));
        let default_sample_type = self.string("wall");
        let comments = [exporter(), process_title(&counted.meta)];
        let comment = comments.iter().map(|text| self.string(text)).collect();
        let location = self.locations.iter().zip(1..).map(|(&(function_id, line), id)| Location {
            id,
            line: vec![Line { function_id, line }],
        });
        let function = self
            .functions
            .iter()
            .zip(1..)
            .map(|(&(name, filename, start_line), id)| Function { id, name, filename, start_line });
        Profile {
            sample_type,
            sample,
            location: location.collect(),
            function: function.collect(),
            time_nanos: started_at.saturating_mul(1_000_000_000),
            duration_nanos: signed(counted.quality.elapsed.0),
            period_type,
            period: signed(counted.mean_interval().0),
            comment,
            default_sample_type,
            string_table: self.strings.into_iter().collect(),
        }
    }
}

fn first_line(tables: &Tables, frame: FrameId) -> i64 {
    line_of(tables, frame).map_or(0, |(function, _)| i64::from(function.first_line))
}

fn number(place: usize) -> i64 {
    signed(place as u64)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Writes a recording for pprof. A sample's values are the number of samples, and the nanoseconds on
/// the clock, on a CPU (causes `python` and `native`), waiting for the GIL, and waiting for a lock.
///
/// # Errors
/// When the recording cannot be read again, or `out` cannot be written.
pub fn pprof(
    out: &mut dyn Write,
    profile: &Counted,
    replay: &mut Replay,
    options: &StackOptions,
) -> io::Result<()> {
    let mut sums: BTreeMap<Key, [u64; 2]> = BTreeMap::new();
    each_run(
        (profile, replay, options),
        &|piece| Some((piece.row.id, piece.row.blocking, piece.task.cloned())),
        &mut |run| {
            let (id, blocking, task) = run.key.clone();
            let [count, length] = sums.entry((run.thread, id, blocking, task)).or_default();
            *count += run.samples;
            *length = length.saturating_add(run.length().0);
            Ok(())
        },
    )?;
    let mut writer = Writer::new(&profile.tables, options);
    let samples = sums.iter().filter_map(|(key, sums)| writer.sample(key, *sums)).collect();
    let message = writer.finish(profile, samples).encode_to_vec();
    let mut compressed = GzEncoder::new(out, Compression::default());
    compressed.write_all(&message)?;
    compressed.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Read;

    use prost::Message;

    use super::{Profile, SAMPLE_TYPES, Sample, pprof};
    use crate::model::StepTask;
    use crate::output::StackOptions;
    use crate::output::export::fixture::{
        Made, assert_inert, assert_near, export, hostile, recording, seconds,
    };

    fn raw(made: &Made, options: &StackOptions) -> Vec<u8> {
        let file = export(pprof, made, options);
        let mut message = Vec::new();
        flate2::read::GzDecoder::new(&file[..]).read_to_end(&mut message).unwrap();
        message
    }

    fn decoded(made: &Made, options: &StackOptions) -> Profile {
        Profile::decode(&raw(made, options)[..]).unwrap()
    }

    fn text(profile: &Profile, place: i64) -> &str {
        &profile.string_table[place as usize]
    }

    fn label<'a>(profile: &'a Profile, sample: &Sample, key: &str) -> Option<&'a str> {
        let label = sample.label.iter().find(|label| text(profile, label.key) == key)?;
        Some(text(profile, label.text))
    }

    /// A sample's frames as `name file:line`, innermost first.
    fn frames(profile: &Profile, sample: &Sample) -> Vec<String> {
        let frame = |id: &u64| {
            let location = profile.location.iter().find(|it| it.id == *id).unwrap();
            let line = location.line[0];
            let function = profile.function.iter().find(|it| it.id == line.function_id).unwrap();
            let (name, file) = (text(profile, function.name), text(profile, function.filename));
            format!("{name} {file}:{}", line.line)
        };
        sample.location_id.iter().map(frame).collect()
    }

    #[test]
    fn the_sums_are_those_of_the_profile() {
        let made = recording();
        let profile = decoded(&made, &StackOptions { idle: true, ..StackOptions::default() });
        let sum = |index: usize| profile.sample.iter().map(|it| it.value[index]).sum::<i64>();
        assert_eq!(sum(0) as u64, made.0.thread_samples());
        assert_near(sum(1) as f64 / 1e9 / 4.0, 2.0);
        assert_near(sum(2) as f64 / 1e9, seconds("main", "[python]"));
        assert_near(sum(3) as f64 / 1e9, seconds("waits", "[gil]"));
        assert_near(sum(4) as f64 / 1e9, seconds("waits", "[lock]"));
        for (tag, samples) in made.0.by_tag() {
            let of = |sample: &&Sample| label(&profile, sample, "tag") == Some(tag.name());
            let found = profile.sample.iter().filter(of).map(|sample| sample.value[0]);
            assert_eq!(found.sum::<i64>() as u64, samples, "{}", tag.name());
        }
        assert_eq!(profile.duration_nanos as u64, made.0.quality.elapsed.0);
        assert!(profile.period > 9_000_000 && profile.period < 11_000_000);
    }

    #[test]
    fn stacks_labels_and_types_are_told() {
        let profile = decoded(&recording(), &StackOptions::default());
        assert_eq!(profile.string_table[0], "");
        let types = profile.sample_type.iter();
        let types: Vec<_> =
            types.map(|it| (text(&profile, it.kind), text(&profile, it.unit))).collect();
        assert_eq!(types, SAMPLE_TYPES);
        let of = |cause| {
            let mut samples = profile.sample.iter();
            samples.find(|it| label(&profile, it, "cause") == Some(cause)).unwrap()
        };
        assert_eq!(frames(&profile, of("python")), ["work app.py:7", "main app.py:3"]);
        assert_eq!(label(&profile, of("python"), "thread"), Some("main"));
        assert_eq!(label(&profile, of("sleep"), "tag"), Some("event-loop-blocking"));
        assert_eq!(label(&profile, of("sleep"), "task"), None);
        assert!(profile.sample.iter().all(|it| label(&profile, it, "cause") != Some("parked")));
    }

    #[test]
    fn samples_are_told_apart_by_their_task() {
        let (profile, mut blocks) = recording();
        for end in blocks.iter_mut().flat_map(|block| &mut block.steps) {
            end.task = Some(StepTask { name: "fetcher".into(), coroutine: None });
        }
        let profile = decoded(&(profile, blocks), &StackOptions::default());
        let with = profile.sample.iter().filter(|it| label(&profile, it, "task").is_some());
        let with: Vec<_> = with.collect();
        assert_eq!(with.len(), 1);
        assert_eq!(with[0].value[0], 50);
    }

    #[test]
    fn frames_are_as_fine_as_asked_for() {
        let options = StackOptions { line_numbers: false, ..StackOptions::default() };
        let profile = decoded(&recording(), &options);
        assert!(profile.location.iter().all(|location| location.line[0].line == 0));
        let options = StackOptions { causes: true, ..StackOptions::default() };
        let profile = decoded(&recording(), &options);
        let inner: BTreeSet<_> =
            profile.sample.iter().map(|it| frames(&profile, it)[0].clone()).collect();
        assert!(inner.contains("[gil] :0"), "{inner:?}");
    }

    #[test]
    fn hostile_names_are_inert() {
        let message = raw(&hostile(), &StackOptions::default());
        let profile = Profile::decode(&message[..]).unwrap();
        assert_inert(profile.string_table.join("\n").as_bytes());
        assert!(profile.string_table.iter().all(|text| !text.contains('\n')));
    }
}
