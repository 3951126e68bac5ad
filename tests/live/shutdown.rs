//! What keeps programs from their end, against programs that know it.

use std::path::Path;

use serde_json::Value;

use super::machine::shared;
use super::program::{Program, repository};
use super::pyconc::{self, Run, exit};
use super::pythons::{self, Python};

const PROGRAM: &str = "tests/programs/shutdown.py";

/// How long those are watched that do not end: long enough for a warning, too short for an error.
const LENGTH: &str = "4";

/// Seconds from which on a program that does not end is worth a warning.
const WORTH_A_WARNING: f64 = 1.0;

/// What must be said of a program, as its argument is called.
#[derive(Debug, Clone, Copy)]
struct Truth {
    kind: &'static str,
    /// The place that the finding names, by version where they differ; none where there is none.
    place: Option<fn(&Python) -> &'static str>,
    severity: &'static str,
    /// The thread that is to blame and its line, by the comment that is on it.
    thread: Option<&'static str>,
    line: Option<&'static str>,
}

const fn silent(kind: &'static str) -> Truth {
    Truth { kind, place: None, severity: "", thread: None, line: None }
}

const fn warned(kind: &'static str, place: fn(&Python) -> &'static str) -> Truth {
    Truth { kind, place: Some(place), severity: "warning", thread: None, line: None }
}

/// `asyncio.run` ends the executor of its loop since 3.9, and has a class for that since 3.11.
fn default_executor(python: &Python) -> &'static str {
    match python.version.as_str() {
        "3.8" => "shutdown-executor",
        "3.9" | "3.10" => "shutdown-default-executor-helper",
        _ => "shutdown-default-executor",
    }
}

const TRUTHS: [Truth; 12] = [
    Truth {
        thread: Some("stuck"),
        line: Some("# stuck"),
        ..warned("threads", |_| "shutdown-threads")
    },
    Truth {
        thread: Some("stuck_0"),
        line: Some("# stuck"),
        ..warned("executor", |_| "shutdown-executor")
    },
    warned("process_pool", |_| "shutdown-process-pool"),
    warned("children", |_| "shutdown-children"),
    warned("queue", |_| "shutdown-queue"),
    Truth { line: Some("# stuck"), ..warned("default_executor", default_executor) },
    Truth { line: Some("# loop"), ..warned("task", |_| "shutdown-event-loop") },
    Truth { severity: "info", ..warned("design", |_| "shutdown-threads") },
    silent("joins"),
    silent("pool_in_use"),
    silent("daemon"),
    silent("quick"),
];

/// A report of a program from its start on.
struct Watched {
    run: std::process::Child,
    report: std::path::PathBuf,
}

impl Watched {
    fn start(python: &Python, kind: &str, folder: &Path) -> Self {
        let report = folder.join(format!("{}-{kind}.json", python.version));
        let mut command = pyconc::command(&["report", "-d", LENGTH, "-f", "json", "-o"]);
        command.arg(&report).arg("--").arg(&python.path).arg(repository(PROGRAM)).arg(kind);
        Self { run: pyconc::start(command), report }
    }

    fn findings(self, id: &str) -> Vec<Value> {
        let run = Run::of(self.run);
        assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
        let text = std::fs::read_to_string(self.report).expect("a report");
        let report: Value = serde_json::from_str(&text).expect("JSON");
        let findings = report["findings"].as_array().expect("a list of findings");
        findings.iter().filter(|finding| finding["id"] == id).cloned().collect()
    }
}

/// The number of the program's line that has a comment.
fn line_of(comment: &str) -> usize {
    let text = std::fs::read_to_string(repository(PROGRAM)).expect("the program");
    text.lines().position(|line| line.ends_with(comment)).expect("the comment") + 1
}

#[track_caller]
fn check(python: &Python, truth: Truth, found: &[Value]) {
    let what = format!("CPython {}, {}: {found:#?}", python.version, truth.kind);
    let Some(place) = truth.place else {
        assert!(found.is_empty(), "{what}");
        return;
    };
    let [finding] = found else { panic!("{what}") };
    assert_eq!(finding["evidence"]["place"], place(python), "{what}");
    // A busy machine may have begun the program so late that there was little to see of its end.
    let brief = finding["seconds"].as_f64().expect("a length") < WORTH_A_WARNING;
    let severity = if brief { "info" } else { truth.severity };
    assert_eq!(finding["severity"], severity, "{what}");
    assert_eq!(finding["evidence"]["seen_to_begin"], true, "{what}");
    if let Some(thread) = truth.thread {
        assert_eq!(finding["thread"], thread, "{what}");
    }
    if let Some(line) = truth.line {
        assert_eq!(finding["where"]["line"], line_of(line), "{what}");
    }
}

#[test]
fn what_keeps_a_program_from_its_end_is_named() {
    let _shared = shared();
    let folder = tempfile::tempdir().expect("a temporary folder");
    for python in pythons::all() {
        // A few at once: they do nothing but wait.
        for truths in TRUTHS.chunks(4) {
            let start = |truth: &Truth| Watched::start(python, truth.kind, folder.path());
            let watched: Vec<_> = truths.iter().map(start).collect();
            for (truth, watched) in truths.iter().zip(watched) {
                check(python, *truth, &watched.findings("blocks-shutdown"));
            }
        }
    }
}

#[test]
fn what_was_there_all_along_is_worth_a_word() {
    let _shared = shared();
    let folder = tempfile::tempdir().expect("a temporary folder");
    for python in pythons::all() {
        let program = Program::start(python, &repository(PROGRAM), &["design"]);
        let pid = program.pid();
        // The process grows old enough for its beginning not to be what is seen of it.
        let first = folder.path().join(format!("{}.pyconc", python.version));
        let first = first.to_str().expect("a path");
        let run = pyconc::run(&["record", "--pid", &pid, "-d", "1.2", "-o", first]);
        assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
        let report = pyconc::json(&["report", "--pid", &pid, "-d", "2", "-f", "json"]);
        let findings = report["findings"].as_array().expect("a list of findings");
        let finding = findings.iter().find(|finding| finding["id"] == "blocks-shutdown");
        let finding = finding.unwrap_or_else(|| panic!("{}: {report}", python.version));
        assert_eq!(finding["severity"], "info", "{}: {finding}", python.version);
        assert_eq!(finding["evidence"]["seen_to_begin"], false, "{}", python.version);
    }
}

#[test]
fn a_daemon_that_is_cut_off_is_told_and_is_a_gate() {
    let _shared = shared();
    let script = repository(PROGRAM);
    let script = script.to_str().expect("a path");
    for python in pythons::all() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let recording = folder.path().join("out.pyconc");
        let recording = recording.to_str().expect("a path");
        let path = python.path.to_str().expect("a path");
        let run = pyconc::run(&["record", "-o", recording, "--", path, script, "left"]);
        assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
        let run = pyconc::run(&["report", recording, "-f", "json", "--fail-on", "info"]);
        assert_eq!(run.code, Some(exit::GATE), "{}", run.stderr);
        let report = run.json_of_any_end();
        let findings = report["findings"].as_array().expect("a list of findings");
        let finding = findings.iter().find(|finding| finding["id"] == "left-at-exit");
        let finding = finding.unwrap_or_else(|| panic!("{}: {report}", python.version));
        assert_eq!(finding["thread"], "saver", "{}", python.version);
        assert_eq!(finding["where"]["line"], line_of("# left"), "{}", python.version);
        assert_eq!(finding["severity"], "info", "{}", python.version);
    }
}
