//! Web servers under load: what blocks their loop is named by the handler, and a good one is left alone.

use serde_json::Value;

use super::machine::{alone, say};
use super::packages;
use super::program::{Program, repository};
use super::pyconc;
use super::pythons::{self, Python};

const PACKAGES: [&str; 5] = ["uvicorn", "fastapi", "aiohttp", "uvloop", "requests"];

/// The paths that block the loop, each with the cause.
const BLOCKING: [(&str, &str); 6] = [
    ("fetches", "network"),
    ("sleeps", "sleep"),
    ("naps", "sleep"),
    ("queries", "native"),
    ("spawns", "child"),
    ("computes", "python"),
];

/// The report of a server, one of whose paths is asked over four connections all the time.
fn report(python: &Python, server: &Program, path: &str) -> Value {
    let port = server.announced()["port"].to_string();
    let load = repository("tests/programs/load.py");
    let _load = Program::start(python, &load, &[&port, &format!("/{path}"), "4"]);
    pyconc::json(&["report", "--pid", &server.pid(), "-d", "2", "-f", "json"])
}

fn findings(report: &Value) -> &[Value] {
    report["findings"].as_array().map_or(&[], |list| list)
}

/// What is said of a server that does well. That its machine is shared is no fault of its own.
fn unfounded(report: &Value) -> Vec<String> {
    let blamed = findings(report)
        .iter()
        .filter(|finding| finding["severity"] != "info" && finding["id"] != "cpu-starved");
    blamed.map(|finding| format!("healthy: {finding}")).collect()
}

/// What is wrong with the first finding on a handler that blocks its loop.
fn mistakes(path: &str, cause: &str, report: &Value) -> Vec<String> {
    let Some(first) = findings(report).first() else {
        return vec![format!("{path}: no finding")];
    };
    let function = first["where"]["function"].as_str().unwrap_or_default();
    let named = match path {
        "computes" => function.starts_with("total"),
        _ => function == path,
    };
    let checks = [
        ("finding", first["id"] == "blocked-event-loop"),
        ("function", named),
        ("handler", !first["evidence"]["handler"].is_null()),
        ("task", first["task"].is_string()),
        ("cause", first["evidence"]["cause"] == cause),
    ];
    let wrong = checks.iter().filter(|(_, right)| !right);
    wrong.map(|(what, _)| format!("{path}: {what} of {first}")).collect()
}

/// What is wrong with all that is said of a server.
fn wrong_with(python: &Python, framework: &str, kind: &str) -> Vec<String> {
    let script = repository("tests/programs/server.py");
    let server = Program::start(python, &script, &[framework, kind]);
    let mut wrong = unfounded(&report(python, &server, "healthy"));
    for (path, cause) in BLOCKING {
        let report = report(python, &server, path);
        wrong.extend(mistakes(path, cause, &report));
        if report["loops"][0]["kind"] != kind {
            wrong.push(format!("{path}: the loop is {}", report["loops"][0]["kind"]));
        }
    }
    wrong.iter().map(|it| format!("{framework} on {kind}: {it}")).collect()
}

#[test]
fn a_handler_that_blocks_is_named_and_a_healthy_one_is_not() {
    let Some(python) = packages::with(pythons::any(), &PACKAGES) else { return };
    let _alone = alone();
    let mut wrong = Vec::new();
    for framework in ["fastapi", "aiohttp"] {
        for kind in ["asyncio", "uvloop"] {
            let found = wrong_with(&python, framework, kind);
            say(&format!("{framework} on {kind}: 7 paths, {} mistakes", found.len()));
            wrong.extend(found);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
