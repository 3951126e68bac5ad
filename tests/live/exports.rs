//! Recordings in the formats of other tools, each opened by its own consumer where that can be had.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::process::Command;

use flate2::read::GzDecoder;
use prost::Message;
use serde_json::Value;

use super::machine::{alone, left_out};
use super::program::{Program, repository};
use super::pyconc::{self, exit};
use super::pythons;

/// A recording of a loop that is blocked, and its folder.
struct Recorded {
    folder: tempfile::TempDir,
    report: Value,
}

impl Recorded {
    fn new() -> Self {
        let script = repository("examples/loop_blocked_by_sleep.py");
        let target = Program::start(pythons::any(), &script, &["60"]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out.pyconc").to_string_lossy().into_owned();
        let run = pyconc::run(&["record", "--pid", &target.pid(), "-d", "3", "-o", &path]);
        assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
        let report = pyconc::json(&["report", &path, "-f", "json"]);
        Self { folder, report }
    }

    /// Exports into a file with a suffix that names the format.
    fn export(&self, name: &str) -> String {
        let file = |name: &str| self.folder.path().join(name).to_string_lossy().into_owned();
        let output = file(name);
        let run = pyconc::run(&["export", &file("out.pyconc"), "-i", "-o", &output]);
        assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
        output
    }

    /// Thread samples by cause, as the report has them.
    fn causes(&self) -> BTreeMap<String, u64> {
        let mut causes = BTreeMap::new();
        for thread in self.report["threads"].as_array().expect("threads") {
            for (cause, samples) in thread["causes"].as_object().expect("causes") {
                *causes.entry(cause.clone()).or_default() += samples.as_u64().expect("a count");
            }
        }
        causes
    }

    fn seconds(&self) -> f64 {
        self.report["quality"]["seconds"].as_f64().expect("how long it was")
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).expect("the export was written")
}

fn parse(path: &str) -> Value {
    serde_json::from_str(&read(path)).expect("JSON")
}

#[test]
fn every_format_opens_and_says_what_the_report_says() {
    let _alone = alone();
    let recorded = Recorded::new();
    jsonl(&recorded);
    speedscope(&recorded);
    chrometrace(&recorded);
    gecko(&recorded);
    pprof(&recorded);
    perfetto(&recorded);
}

fn jsonl(recorded: &Recorded) {
    let text = read(&recorded.export("out.jsonl"));
    let mut causes: BTreeMap<String, u64> = BTreeMap::new();
    let mut blocked = 0.0;
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let cause = line["cause"].as_str().expect("a cause").to_owned();
        *causes.entry(cause).or_default() += line["samples"].as_u64().expect("a count");
        if line["blocking"] == true {
            assert_eq!(line["tag"], "event-loop-blocking");
            blocked += line["seconds"].as_f64().expect("seconds");
        }
        let end = line["t"].as_f64().zip(line["seconds"].as_f64()).map(|(t, length)| t + length);
        assert!(end.expect("a time") < recorded.seconds() + 1.0, "{line}");
    }
    assert_eq!(causes, recorded.causes());
    assert!(blocked > recorded.seconds() / 4.0, "it sleeps on its loop: {blocked} s");
    assert!(text.contains(r#".charge","file":"#), "the function that sleeps");
}

fn speedscope(recorded: &Recorded) {
    let file = parse(&recorded.export("out.speedscope.json"));
    let schema = read(&repository("tests/schemas/speedscope.json").to_string_lossy());
    let schema = serde_json::from_str(&schema).expect("a schema");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let wrong: Vec<_> = validator.iter_errors(&file).take(3).map(|it| it.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    for profile in file["profiles"].as_array().expect("profiles") {
        let weights = profile["weights"].as_array().expect("weights").iter();
        let sum: f64 = weights.filter_map(Value::as_f64).sum();
        let length = profile["endValue"].as_f64().zip(profile["startValue"].as_f64());
        let length = length.map(|(end, start)| end - start).expect("a length");
        assert!((sum - length).abs() < 1e-6, "{sum} s of {length}");
    }
}

fn chrometrace(recorded: &Recorded) {
    let file = parse(&recorded.export("out.trace.json"));
    let events = file["traceEvents"].as_array().expect("events");
    let mut samples: BTreeMap<String, u64> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let cause = event["name"].as_str().expect("a name").to_owned();
        *samples.entry(cause).or_default() += event["args"]["samples"].as_u64().expect("samples");
    }
    assert_eq!(samples, recorded.causes());
}

fn gecko(recorded: &Recorded) {
    let file = parse(&recorded.export("out.gecko.json"));
    assert!(file["meta"]["preprocessedProfileVersion"].is_u64(), "{}", file["meta"]);
    let strings = |thread: &Value| thread["stringArray"].as_array().cloned().unwrap_or_default();
    let threads = file["threads"].as_array().expect("threads");
    let marked = |name: &str| threads.iter().any(|it| strings(it).contains(&name.into()));
    assert!(marked("event loop blocked"));
}

/// A profile of pprof's, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct PprofProfile {
    #[prost(message, repeated, tag = "2")]
    sample: Vec<PprofSample>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct PprofSample {
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

/// Decoded, and in Go's own reader where it is installed: its 335 MB nobody is made to install.
fn pprof(recorded: &Recorded) {
    let path = recorded.export("out.pb.gz");
    let mut message = Vec::new();
    let file = fs::File::open(&path).expect("the export was written");
    GzDecoder::new(file).read_to_end(&mut message).expect("gzip");
    let profile = PprofProfile::decode(&message[..]).expect("a message");
    let samples: i64 = profile.sample.iter().filter_map(|sample| sample.value.first()).sum();
    assert_eq!(samples.unsigned_abs(), recorded.causes().values().sum::<u64>());
    assert!(profile.string_table.iter().any(|text| text.contains("charge")));

    let Ok(run) = Command::new("go").args(["tool", "pprof", "-raw", &path]).output() else {
        return left_out("pprof files in Go's own reader, which is not installed");
    };
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{text}{}", String::from_utf8_lossy(&run.stderr));
    assert!(text.contains("samples/count wall/nanoseconds"), "{text}");
    assert!(text.contains("charge"), "{text}");
}

/// A trace of Perfetto's, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct PerfettoTrace {
    #[prost(message, repeated, tag = "1")]
    packet: Vec<PerfettoPacket>,
}

#[derive(Clone, PartialEq, Message)]
struct PerfettoPacket {
    #[prost(uint64, optional, tag = "8")]
    timestamp: Option<u64>,
    #[prost(message, optional, tag = "11")]
    track_event: Option<PerfettoEvent>,
}

#[derive(Clone, PartialEq, Message)]
struct PerfettoEvent {
    #[prost(message, repeated, tag = "4")]
    notes: Vec<PerfettoNote>,
    #[prost(int32, optional, tag = "9")]
    kind: Option<i32>,
    #[prost(string, optional, tag = "23")]
    name: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct PerfettoNote {
    #[prost(string, optional, tag = "10")]
    name: Option<String>,
    #[prost(uint64, optional, tag = "3")]
    number: Option<u64>,
}

/// Decoded: Perfetto's own processor of traces is not to be had from package indexes.
fn perfetto(recorded: &Recorded) {
    let file = fs::read(recorded.export("out.perfetto-trace")).expect("the export was written");
    let trace = PerfettoTrace::decode(&file[..]).expect("a message");
    let mut samples: BTreeMap<String, u64> = BTreeMap::new();
    let (mut begun, mut ended) = (0, 0);
    for packet in &trace.packet {
        let Some(event) = &packet.track_event else { continue };
        assert!(packet.timestamp.is_some());
        begun += usize::from(event.kind == Some(1));
        ended += usize::from(event.kind == Some(2));
        let mut notes = event.notes.iter();
        if let Some(note) = notes.find(|note| note.name.as_deref() == Some("samples")) {
            let cause = event.name.clone().expect("a name");
            *samples.entry(cause).or_default() += note.number.expect("a count");
        }
    }
    assert_eq!(begun, ended);
    assert_eq!(samples, recorded.causes());
}

#[test]
fn a_process_can_be_recorded_straight_into_a_format() {
    let _alone = alone();
    let text = "import time\nprint('ready', flush=True)\ntime.sleep(60)";
    let target = Program::inline(pythons::any(), text);
    let run = pyconc::run(&["record", "--pid", &target.pid(), "-d", "1", "-f", "jsonl", "-o", "-"]);
    assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
    let first = run.stdout.lines().next().expect("a line");
    let first: Value = serde_json::from_str(first).expect("JSON");
    assert_eq!(first["cause"], "sleep", "{first}");
}

#[test]
fn what_cannot_be_told_is_refused() {
    for (arguments, word) in [
        (["export", "a.pyconc", "-o", "a.json"].as_slice(), "name"),
        (&["export", "a.pyconc", "-f", "pprof", "--tasks"], "await chains"),
        (&["export", "a.pyconc", "-f", "pyconc"], "recording"),
    ] {
        pyconc::run(arguments).fails(exit::USAGE, &[word]);
    }
}
