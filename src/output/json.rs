//! The report as JSON, for programs: `pyconc.report/1`.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

use crate::diagnose::Diagnosis;
use crate::model::{Extension, Nanos, Pid};
use crate::profile::Profile;

use super::escape::is_unsafe;
use super::quality::QualityNumbers;

/// The name and version of the format. Fields are added; none is removed or given a new meaning.
const SCHEMA: &str = "pyconc.report/1";

/// The whole report of a process over a time.
#[derive(Serialize, JsonSchema)]
pub(super) struct Report<'a> {
    /// The name and version of this format: `pyconc.report/1`.
    schema: &'static str,
    /// What was recorded.
    target: Target<'a>,
    /// How well sampling went.
    quality: QualityNumbers,
    #[serde(flatten)]
    diagnosis: &'a Diagnosis,
}

/// What was recorded.
#[derive(Serialize, JsonSchema)]
struct Target<'a> {
    /// The process id.
    pid: Pid,
    /// The version of Python.
    python: &'a str,
    /// The words of the command line.
    cmdline: &'a [String],
    /// CPUs that it may use: affinity and quota.
    cpus: f64,
    /// Whether the interpreter was built without the GIL.
    free_threaded: bool,
    /// Whether a GIL is in force.
    gil: bool,
    /// The version of pyconc that recorded it.
    recorder: &'a str,
    /// When, in UTC.
    started_at: Option<String>,
    /// `CLOCK_MONOTONIC` of the target at the first sample, in seconds.
    monotonic_origin: f64,
    /// Memory that it occupied at the end, in bytes.
    resident_bytes: u64,
    /// Memory that it could still get, in bytes.
    available_bytes: Option<u64>,
    /// From how many seconds on a step blocks its event loop.
    threshold_seconds: f64,
    /// For how many seconds its control group kept it from the CPU.
    throttled_seconds: Option<f64>,
    /// Its child processes, those that used most CPU time first.
    children: Vec<Child<'a>>,
    /// Extension modules from installed packages, as `numpy cp312`.
    extensions: Vec<String>,
}

/// A child process.
#[derive(Serialize, JsonSchema)]
struct Child<'a> {
    /// The process id.
    pid: Pid,
    /// The command line.
    command: &'a str,
    /// CPU seconds that it used during the recording.
    cpu_seconds: f64,
    /// Memory that it occupied, in bytes.
    resident_bytes: u64,
}

/// Writes the report as JSON and ends the line.
///
/// Every share in it names what it is a share of; counts of samples stand beside their total.
/// Characters that could do harm on a terminal are written as `\u` escapes.
///
/// # Errors
/// When writing fails.
pub fn report_json(w: &mut dyn Write, profile: &Profile, diagnosis: &Diagnosis) -> io::Result<()> {
    write_json(w, &Report::of(profile, diagnosis))
}

/// Writes a document as JSON that is harmless on a terminal, and ends the line.
pub(super) fn write_json(w: &mut dyn Write, document: &impl Serialize) -> io::Result<()> {
    let formatter = Harmless(PrettyFormatter::new());
    let mut serializer = serde_json::Serializer::with_formatter(&mut *w, formatter);
    document.serialize(&mut serializer)?;
    writeln!(w)
}

/// The JSON schema of reports, with what each field means.
#[must_use]
pub fn report_schema() -> serde_json::Value {
    schemars::schema_for!(Report<'static>).to_value()
}

impl<'a> Report<'a> {
    pub(super) fn of(profile: &'a Profile, diagnosis: &'a Diagnosis) -> Self {
        let meta = &profile.meta;
        let around = &profile.surroundings;
        let started_at = jiff::Timestamp::from_second(meta.started_at).ok();
        let children = around.children.iter().map(|child| Child {
            pid: child.pid,
            command: &child.command,
            cpu_seconds: child.cpu.seconds(),
            resident_bytes: child.resident,
        });
        let extension = |it: &Extension| format!("{} {}", it.package, it.abi).trim().to_owned();
        let target = Target {
            pid: meta.pid,
            python: &meta.python,
            cmdline: &meta.command,
            cpus: meta.usable_cpus,
            free_threaded: meta.free_threaded,
            gil: meta.gil,
            recorder: &meta.recorder,
            started_at: started_at.map(|time| time.to_string()),
            monotonic_origin: meta.origin.seconds(),
            resident_bytes: profile.usage.resident,
            available_bytes: around.available,
            threshold_seconds: meta.threshold.seconds(),
            throttled_seconds: around.throttled.map(Nanos::seconds),
            children: children.collect(),
            extensions: around.extensions.iter().map(extension).collect(),
        };
        Self { schema: SCHEMA, target, quality: QualityNumbers::of(profile), diagnosis }
    }
}

/// Pretty JSON whose strings can be shown on a terminal.
struct Harmless(PrettyFormatter<'static>);

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        w: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let mut plain = 0;
        for (index, c) in text.char_indices().filter(|&(_, c)| is_unsafe(c)) {
            w.write_all(text.get(plain..index).unwrap_or_default().as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(w, "\\u{unit:04x}")?;
            }
            plain = index + c.len_utf8();
        }
        w.write_all(text.get(plain..).unwrap_or_default().as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.begin_array(w)
    }

    fn end_array<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.end_array(w)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(w, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.end_array_value(w)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.begin_object(w)
    }

    fn end_object<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.end_object(w)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(w, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.begin_object_value(w)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.end_object_value(w)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::report_json;
    use crate::catalog::Catalog;
    use crate::diagnose::diagnose;
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::model::Cause;

    fn written(fixture: &Fixture) -> (String, Value) {
        let diagnosis = diagnose(&fixture.profile, &Catalog::default());
        let mut bytes = Vec::new();
        report_json(&mut bytes, &fixture.profile, &diagnosis).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let value = serde_json::from_str(&text).unwrap();
        (text, value)
    }

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn the_shape_is_the_documented_one() {
        let (_, report) = written(&Fixture::blocked_by_sleep());
        let mut expected = vec![
            "schema",
            "target",
            "quality",
            "verdict",
            "recommendation",
            "findings",
            "threads",
            "thread_groups",
            "loops",
            "gil",
            "tasks",
            "locks",
            "totals",
            "phases",
            "timeline",
        ];
        expected.sort_unstable();
        assert_eq!(keys(&report), expected);
        assert_eq!(report["schema"], "pyconc.report/1");
        assert_eq!(report["target"]["pid"], 4242);
        assert_eq!(report["verdict"]["workload"], "event-loop-blocked");
        for key in ["confidence", "why", "runner_up"] {
            assert!(report["verdict"].get(key).is_some(), "{key}");
        }
        for key in ["model", "gain", "why", "tradeoffs", "controls", "rejected", "verify"] {
            assert!(report["recommendation"].get(key).is_some(), "{key}");
        }
        let finding = &report["findings"][0];
        for key in [
            "id", "name", "severity", "share", "seconds", "count", "where", "thread", "task",
            "evidence", "advice",
        ] {
            assert!(finding.get(key).is_some(), "{key}");
        }
        assert_eq!(
            finding["where"],
            serde_json::json!({"file": "app.py", "line": 12, "function": "charge"})
        );
        assert_eq!(finding["severity"], "error");
        assert!(finding["evidence"]["share_of"].is_string());
        assert_eq!(report["threads"][0]["tags"]["event-loop-blocking"], 150);
        assert_eq!(report["threads"][0]["causes"]["sleep"], 150);
        assert_eq!(report["threads"][0]["samples"], 500);
        assert_eq!(report["loops"][0]["blocked_share"], 0.3);
        assert_eq!(report["loops"][0]["steps"]["count"], 5);
        assert_eq!(report["tasks"]["looks"], 0);
        assert_eq!(report["locks"], serde_json::json!([]));
    }

    #[test]
    fn an_empty_profile_is_reported() {
        let (_, report) = written(&Fixture::new(0));
        assert_eq!(report["verdict"]["workload"], "insufficient-data");
        assert_eq!(report["verdict"]["runner_up"], Value::Null);
        assert_eq!(report["findings"], serde_json::json!([]));
    }

    #[test]
    fn names_keep_their_characters_but_cannot_harm_a_terminal() {
        let evil = "a\u{1b}[2J\u{9b}\u{202e}\u{e0041}\"\\ é";
        let mut fixture = Fixture::new(5);
        let thread = fixture.thread(evil);
        fixture.spend(thread, 100, &Doing::new(Cause::Python, &["app.py:work:1"]));
        let (text, report) = written(&fixture);
        assert_eq!(report["threads"][0]["name"], evil);
        assert!(!text.chars().any(|c| c != '\n' && super::is_unsafe(c)));
    }
}
