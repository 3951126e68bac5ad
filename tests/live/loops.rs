//! Loops beside asyncio's: a blocked one is found with its line, a healthy one is left alone.

use serde_json::Value;

use super::machine::{alone, say};
use super::packages;
use super::program::{Program, repository};
use super::pyconc;
use super::pythons::{self, Python};

/// The versions whose frames differ most.
const VERSIONS: [&str; 3] = ["3.8", "3.11", "3.13"];

/// The modes of the program that block its loop, each for 0.2 s again and again, with the cause.
const BLOCKING: [(&str, &str); 3] =
    [("sleeps", "sleep"), ("computes", "python"), ("never_idle", "sleep")];

fn report(python: &Python, kind: &str, mode: &str) -> Value {
    let script = repository("tests/programs/loops.py");
    let program = Program::start(python, &script, &[kind, mode]);
    pyconc::json(&["report", "--pid", &program.pid(), "-d", "2", "-f", "json"])
}

fn findings(report: &Value) -> &[Value] {
    report["findings"].as_array().map_or(&[], |list| list)
}

/// What is wrong with the report on a loop that is blocked by the function `mode`.
fn mistakes(kind: &str, mode: &str, cause: &str, report: &Value) -> Vec<String> {
    let Some(found) = findings(report).iter().find(|it| it["id"] == "blocked-event-loop") else {
        return vec![format!("{mode}: it is not found: {}", report["findings"])];
    };
    let handler = found["evidence"]["handler"]["function"].as_str().unwrap_or_default();
    let task = found["task"].as_str();
    let longest = found["evidence"]["longest_seconds"].as_f64().unwrap_or_default();
    let checks = [
        ("kind", report["loops"][0]["kind"] == kind),
        ("function", found["where"]["function"] == mode),
        ("line", found["where"]["line"].as_u64() > Some(0)),
        ("cause", found["evidence"]["cause"] == cause),
        ("handler", handler.ends_with("blocker")),
        // A step each, and not one from the first to the last.
        ("length", longest > 0.15 && longest < 0.35),
        // Six of the program's, the first one, and two of trio's own; a hub keeps no list.
        ("tasks", report["loops"][0]["tasks"].as_u64() == (kind == "trio").then_some(9)),
        // A greenlet has no name.
        ("task", task.is_some_and(|task| task.ends_with("blocker")) == (kind == "trio")),
    ];
    let wrong = checks.iter().filter(|(_, right)| !right);
    wrong.map(|(what, _)| format!("{mode}: {what} of {found}")).collect()
}

/// What is wrong with the reports on one kind of loop.
fn wrong_with(python: &Python, kind: &str) -> Vec<String> {
    let healthy = report(python, kind, "healthy");
    let blamed = findings(&healthy)
        .iter()
        .filter(|finding| finding["severity"] != "info" && finding["id"] != "cpu-starved");
    let mut wrong: Vec<_> = blamed.map(|finding| format!("healthy: {finding}")).collect();
    let causes = &healthy["threads"][0]["causes"];
    let idle = causes["parked"].as_f64().unwrap_or_default();
    let samples = healthy["threads"][0]["samples"].as_f64().unwrap_or(1.0);
    if healthy["loops"][0]["kind"] != kind || idle < 0.5 * samples {
        wrong.push(format!("healthy: {} {causes}", healthy["loops"]));
    }
    for (mode, cause) in BLOCKING {
        wrong.extend(mistakes(kind, mode, cause, &report(python, kind, mode)));
    }
    wrong.iter().map(|it| format!("{kind} on {}: {it}", python.version)).collect()
}

#[test]
fn a_blocked_loop_of_trio_or_gevent_is_found_and_a_healthy_one_is_not() {
    let mut wrong = Vec::new();
    for python in pythons::all().iter().filter(|it| VERSIONS.contains(&&*it.version)) {
        for kind in ["trio", "gevent"] {
            let Some(python) = packages::with(python, &[kind]) else { continue };
            let _alone = alone();
            let found = wrong_with(&python, kind);
            say(&format!("{kind} on {}: 4 modes, {} mistakes", python.version, found.len()));
            wrong.extend(found);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
