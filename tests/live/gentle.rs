//! The target is never stopped, whatever the rate.

use std::fs;

use super::machine::{shared, wait_for};
use super::program::{Program, repository};
use super::pyconc::{self, Run, exit};
use super::pythons;

/// The states of a process's threads that a debugger or a signal has stopped, as in its `stat`.
fn stopped_threads(pid: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the target lives");
    tasks
        .flatten()
        // A thread that ends meanwhile has no file any more.
        .filter_map(|task| fs::read_to_string(task.path().join("stat")).ok())
        .filter(|stat| {
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            matches!(state, Some('t' | 'T'))
        })
        .collect()
}

fn tracer(pid: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the target lives");
    let line = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    line.expect("status names the tracer").trim().to_owned()
}

#[test]
fn a_target_is_never_stopped_or_traced() {
    let _shared = shared();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("out.pyconc");
    for python in pythons::all() {
        for mode in ["waits", "gil"] {
            let script = repository("tests/programs/labelled.py");
            let target = Program::start(python, &script, &[mode]);
            let pid = target.pid();
            let mut command =
                pyconc::command(&["record", "--pid", &pid, "-d", "1", "-r", "1k", "-o"]);
            command.arg(&output);
            let mut recorder = pyconc::start(command);
            let mut looks = 0;
            wait_for("the end of the recording", || {
                let stopped = stopped_threads(&pid);
                assert!(stopped.is_empty(), "{}: {stopped:?}", python.version);
                assert_eq!(tracer(&pid), "0", "{}", python.version);
                looks += 1;
                recorder.try_wait().expect("an own child")
            });
            let run = Run::of(recorder);
            assert_eq!(run.code, Some(exit::OK), "{}: {}", python.version, run.stderr);
            assert!(looks > 10, "looked {looks} times only");
        }
    }
}
