//! Recordings outlive whatever ends them, and say what the live report says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::machine::{alone, is_root, left_out, say, send, shared, wait_for};
use super::program::{Program, repository};
use super::pyconc::{self, Run, exit};
use super::pythons;

/// Python that waits, until it is killed or for some seconds.
fn waiting(seconds: &str) -> Program {
    let text = format!("import time\nprint('ready', flush=True)\ntime.sleep({seconds})");
    Program::inline(pythons::any(), &text)
}

/// A recording in the making.
struct Recording {
    child: Child,
    path: PathBuf,
    _folder: TempDir,
}

impl Recording {
    /// Starts a recording that would last for ten minutes.
    fn start(target: &Program) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out.pyconc");
        let mut command =
            pyconc::command(&["record", "--pid", &target.pid(), "-d", "600", "-r", "50", "-o"]);
        command.arg(&path);
        Self { child: pyconc::start(command), path, _folder: folder }
    }

    /// Waits until the file holds something that can be reported.
    fn wait_for_samples(&self) {
        wait_for("a recording with samples", || {
            let run =
                pyconc::run(&[Path::new("report"), &self.path, "-f".as_ref(), "json".as_ref()]);
            (run.code == Some(exit::OK) && samples(&run.json()) > 0).then_some(())
        });
    }
}

fn samples(report: &Value) -> u64 {
    report["quality"]["samples"].as_u64().expect("a count")
}

/// A report from a file, with what was said on stderr.
fn read(path: &Path) -> (Value, String) {
    let run = pyconc::run(&[Path::new("report"), path, "-f".as_ref(), "json".as_ref()]);
    (run.json(), run.stderr)
}

/// Asserts that a file was closed in order: it can be read and nothing is said about a cut.
fn is_complete(path: &Path) -> Value {
    let (report, said) = read(path);
    assert!(samples(&report) > 0, "{}", report["quality"]);
    assert_eq!(said, "", "a complete recording needs no note");
    report
}

#[test]
fn a_signal_leaves_a_complete_recording() {
    let _shared = shared();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let target = waiting("3600");
        let recording = Recording::start(&target);
        recording.wait_for_samples();
        send(&recording.child, signal);
        let Recording { child, path, _folder } = recording;
        let run = Run::of(child);
        assert_eq!(run.code, Some(exit::OK), "{signal}: {}", run.stderr);
        is_complete(&path);
    }
}

#[test]
fn the_end_of_the_target_leaves_a_complete_recording() {
    let _shared = shared();
    let target = waiting("3600");
    let recording = Recording::start(&target);
    recording.wait_for_samples();
    drop(target);
    let Recording { child, path, _folder } = recording;
    let run = Run::of(child);
    assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
    is_complete(&path);
}

#[test]
fn a_process_that_ends_while_it_is_sampled_is_reported() {
    let _shared = shared();
    for python in pythons::all() {
        let text = "import time\nprint('ready', flush=True)\ntime.sleep(2)";
        let target = Program::inline(python, text);
        let report = pyconc::json(&["report", "--pid", &target.pid(), "-d", "600", "-f", "json"]);
        assert!(samples(&report) > 0, "{}: {}", python.version, report["quality"]);
    }
}

#[test]
fn a_kill_loses_the_end_alone() {
    let _shared = shared();
    let target = waiting("3600");
    let recording = Recording::start(&target);
    recording.wait_for_samples();
    send(&recording.child, Signal::SIGKILL);
    let Recording { child, path, _folder } = recording;
    assert_eq!(Run::of(child).code, None);
    let (report, _) = read(&path);
    assert!(samples(&report) > 0, "{}", report["quality"]);
}

#[test]
fn a_cut_recording_opens_up_to_the_cut_and_says_so() {
    let _shared = shared();
    let target = waiting("3600");
    let recording = Recording::start(&target);
    recording.wait_for_samples();
    send(&recording.child, Signal::SIGTERM);
    let Recording { child, path, _folder } = recording;
    Run::of(child);
    let whole = samples(&is_complete(&path));
    let bytes = fs::read(&path).expect("own file");

    let mut noted = 0;
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).expect("own file");
        // Every length near the ends, and some between: a run takes its time.
        if length > 40 && length + 40 < bytes.len() && length % 97 != 0 {
            continue;
        }
        let run = pyconc::run(&[Path::new("report"), &path, "-f".as_ref(), "json".as_ref()]);
        if run.code == Some(exit::OK) {
            assert!(samples(&run.json()) <= whole);
            assert!(!run.stderr.is_empty(), "{length} of {}: a note", bytes.len());
            noted += 1;
        } else {
            run.fails(exit::ERROR, &["recording", "recorded"]);
        }
    }
    assert!(noted > 0, "no cut file could be read");
}

#[test]
fn a_file_says_what_the_live_report_says() {
    let _alone = alone();
    let script = repository("examples/loop_blocked_by_sleep.py");
    let target = Program::start(pythons::any(), &script, &["60"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let recording = file("out.pyconc");
    let run = pyconc::run(&["record", "--pid", &target.pid(), "-d", "3", "-o", &recording]);
    assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
    let report = is_complete(Path::new(&recording));
    assert_eq!(report["verdict"]["workload"], "event-loop-blocked", "{}", report["verdict"]);
    assert_eq!(report["schema"], "pyconc.report/1");

    for (format, output, mark) in
        [("flamegraph", "out.svg", "<svg"), ("folded", "out.folded", "attempt")]
    {
        let output = file(output);
        let run = pyconc::run(&["export", &recording, "-f", format, "-o", &output]);
        assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
        let text = fs::read_to_string(&output).expect("the export was written");
        // Both carry the function that sleeps.
        assert!(text.contains(mark) || format == "folded", "{format}");
        assert!(text.contains("charge"), "{format} lacks the function that sleeps");
    }
}

/// pyconc is stopped while its target dies and another process gets its pid.
#[test]
fn a_pid_that_is_used_again_ends_the_recording() {
    let _shared = shared();
    let last_pid = Path::new("/proc/sys/kernel/ns_last_pid");
    if !is_root() || !last_pid.exists() {
        return left_out("a pid used again, which only root can bring about");
    }
    let target = waiting("3600");
    let pid = target.child.id();
    let recording = Recording::start(&target);
    recording.wait_for_samples();
    send(&recording.child, Signal::SIGSTOP);
    drop(target);
    let taken = (0..200).find_map(|_| {
        fs::write(last_pid, (pid - 1).to_string()).ok()?;
        let successor = waiting("3600");
        (successor.child.id() == pid).then_some(successor)
    });
    send(&recording.child, Signal::SIGCONT);
    let Recording { child, path, _folder } = recording;
    let run = Run::of(child);
    assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
    is_complete(&path);
    if taken.is_none() {
        say("the pid was not given out again in 200 tries: the target's end was tested alone");
    }
}
