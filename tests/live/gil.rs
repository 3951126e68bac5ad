//! Several GILs in one process, and who keeps whom from one.

use serde_json::Value;

use super::machine::{alone, say};
use super::program::{Program, repository};
use super::pyconc;
use super::pythons::{self, Python};

/// The versions in which an interpreter can have a GIL of its own.
fn with_own_gils() -> impl Iterator<Item = &'static Python> {
    let shared = ["3.8", "3.9", "3.10", "3.11"];
    let has_own = move |python: &&Python| {
        !python.free_threaded() && !shared.contains(&python.version.as_str())
    };
    pythons::all().iter().filter(has_own)
}

/// The share of a thread's samples with a tag.
fn share(report: &Value, thread: &str, tag: &str) -> f64 {
    let threads = report["threads"].as_array().expect("a list of threads");
    let thread = threads.iter().find(|it| it["name"] == thread).expect("the thread");
    let samples = thread["samples"].as_f64().expect("a number");
    thread["tags"][tag].as_f64().unwrap_or(0.0) / samples
}

#[test]
fn an_interpreter_with_a_gil_of_its_own_waits_for_nobody() {
    let _alone = alone();
    for python in with_own_gils() {
        let program = Program::start(python, &repository("tests/programs/interpreters.py"), &[]);
        let report =
            pyconc::json(&["report", "-d", "2", "-r", "200", "-f", "json", &program.pid()]);
        let running = share(&report, "alone", "running");
        assert!(running > 0.97, "{} it runs {running}", python.version);
        let waits: Vec<f64> = ["together-0", "together-1"]
            .map(|thread| share(&report, thread, "gil-contended"))
            .into();
        say(&format!(
            "{:6} two threads of one interpreter want its GIL: {waits:?}",
            python.version
        ));
        assert!(waits.iter().sum::<f64>() > 0.8, "{} {waits:?}", python.version);
        let matrix = report["gil"]["waits"].as_array().expect("a list of waits");
        let pairs: Vec<_> =
            matrix.iter().map(|wait| (wait["waiter"].as_str(), wait["holder"].as_str())).collect();
        assert!(!pairs.is_empty(), "{}: nobody kept anybody waiting", python.version);
        let together = |name: Option<&str>| name.is_some_and(|name| name.starts_with("together"));
        for (waiter, holder) in pairs {
            assert!(
                waiter != holder && (together(holder) || holder == Some("MainThread")),
                "{}: {waiter:?} waits for {holder:?}",
                python.version
            );
        }
    }
}
