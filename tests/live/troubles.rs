//! What goes wrong with tasks, against programs that do it and one that does nothing of it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::machine::{alone, shared};
use super::packages;
use super::program::{Program, repository};
use super::pyconc::{self, Run, exit};
use super::pythons::{self, Python};

/// What `task_troubles.py quiet` does wrong, with the functions of which the finding names one.
const QUIET: [(&str, &[&str]); 10] = [
    ("async-deadlock", &["transfer"]),
    ("cancel-swallowed", &["swallow"]),
    ("exception-never-retrieved", &["later"]),
    ("no-deadline", &["ask"]),
    ("orphan-task", &["background"]),
    ("queue-growing", &["produce", "consume"]),
    ("sibling-of-failed-gather", &["background"]),
    ("task-leak", &["leak"]),
    ("unbounded-fan-out", &["crawl"]),
    // The kernel knows the connection, and not who made it.
    ("unclosed-client", &[""]),
];

/// Seconds that a lint may need.
const LONG: &str = "8";

fn program(python: &Python, trouble: &str) -> Program {
    Program::start(python, &repository("tests/programs/task_troubles.py"), &[trouble])
}

fn report(program: &Program) -> std::process::Child {
    let arguments = ["report", "--pid", &program.pid(), "-d", LONG, "-f", "json"];
    pyconc::start(pyconc::command(&arguments))
}

/// Reports on the same program in all versions, three at a time: it has next to nothing to do.
fn reports(trouble: &str) -> Vec<(&'static Python, Value)> {
    let three = |pythons: &'static [Python]| {
        let programs: Vec<_> =
            pythons.iter().map(|python| (python, program(python, trouble))).collect();
        let runs: Vec<_> =
            programs.iter().map(|(python, program)| (*python, report(program))).collect();
        runs.into_iter().map(|(python, child)| (python, Run::of(child).json())).collect::<Vec<_>>()
    };
    pythons::all().chunks(3).flat_map(three).collect()
}

fn findings(report: &Value) -> &[Value] {
    report["findings"].as_array().expect("findings")
}

fn lint<'r>(report: &'r Value, id: &str) -> &'r Value {
    let lints = report["tasks"]["lints"].as_array().expect("lints");
    let lint = lints.iter().find(|lint| lint["id"] == id).expect(id);
    &lint["verdict"]
}

/// Whether the interpreter keeps requests to cancel.
fn keeps_cancellations(python: &Python) -> bool {
    !["3.8", "3.9", "3.10"].contains(&&*python.version)
}

#[test]
fn every_trouble_is_found_and_nothing_else() {
    let _alone = alone();
    let mut wrong = Vec::new();
    for (python, report) in reports("quiet") {
        let mut told = BTreeSet::new();
        for finding in findings(&report) {
            let id = finding["id"].as_str().expect("an id");
            let function = finding["where"]["function"].as_str().unwrap_or_default();
            let function = function.rsplit('.').next().unwrap_or_default();
            match QUIET.iter().find(|known| known.0 == id) {
                Some((id, expected)) if expected.contains(&function) => told.extend([*id]),
                _ if finding["severity"] == "info" || id == "cpu-starved" => {}
                _ => wrong.push(format!("{}: {finding:#}", python.version)),
            }
        }
        for (id, _) in QUIET {
            let expected = match id {
                "cancel-swallowed" if !keeps_cancellations(python) => "unknown",
                _ => "found",
            };
            if lint(&report, id) != expected || told.contains(id) != (expected == "found") {
                let lint = lint(&report, id);
                let looks = &report["tasks"]["looks"];
                wrong.push(format!("{}: {id} is {lint} after {looks} looks", python.version));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_healthy_program_has_no_trouble() {
    let _alone = alone();
    let mut wrong = Vec::new();
    for (python, report) in reports("healthy") {
        // All of them share this machine.
        let ours = |finding: &&Value| {
            finding["severity"] != "info"
                && finding["id"] != "cpu-starved"
                && finding["evidence"]["cause"] != "cpu-wait"
        };
        for finding in findings(&report).iter().filter(ours) {
            wrong.push(format!("{}: {finding:#}", python.version));
        }
        for (id, _) in QUIET {
            let verdict = lint(&report, id);
            if verdict == "found" || verdict == "too-early" {
                wrong.push(format!("{}: {id} is {verdict}", python.version));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_loop_that_others_keep_from_its_tasks_is_told() {
    let _alone = alone();
    let python = pythons::any();
    for (trouble, function) in [
        ("loop-starved-by-gil", "compute"),
        ("task-never-yields", "busy.<locals>.hold"),
        ("executor-saturated", ""),
    ] {
        let program = program(python, trouble);
        let report = Run::of(report(&program)).json();
        let found = findings(&report).iter().find(|finding| finding["id"] == trouble);
        let found = found.unwrap_or_else(|| panic!("{trouble}: {:#}", report["findings"]));
        let named = &found["where"]["function"];
        assert!(function.is_empty() || named == function, "{found:#}");
    }
}

#[test]
fn a_job_is_followed_to_its_thread() {
    let _shared = shared();
    for python in pythons::all() {
        let program = program(python, "jobs");
        let dump = pyconc::json(&["dump", "--tasks", "--json", "--pid", &program.pid()]);
        let tasks = dump["tasks"].as_array().expect("tasks");
        let waits = || tasks.iter().map(|task| &task["awaits"]);
        let queued = waits().filter(|awaits| awaits["job"] == "queued").count();
        let running: Vec<_> = waits().filter(|awaits| awaits["job"] == "in-thread").collect();
        assert_eq!((queued, running.len()), (3, 2), "{}: {:#}", python.version, dump["tasks"]);
        let threads = dump["threads"].as_array().expect("threads");
        for awaits in running {
            let thread = threads.iter().find(|thread| thread["tid"] == awaits["job_tid"]);
            let name = thread.and_then(|thread| thread["name"].as_str()).expect("its name");
            assert!(name.starts_with("worker"), "{}: {name}", python.version);
        }
    }
}

/// What is said of a client that waits for an answer, five seconds and more.
fn unanswered(python: &Python, arguments: &[&str]) -> Result<(), String> {
    let program = Program::start(python, &repository("tests/programs/clients.py"), arguments);
    let report = Run::of(report(&program)).json();
    let found = findings(&report).iter().find(|finding| finding["id"] == "no-deadline");
    let peer = format!("127.0.0.1:{}", program.announced()["port"]);
    let right = match found {
        None => arguments.contains(&"limited"),
        Some(found) => {
            arguments.contains(&"unlimited")
                && found["evidence"]["peers"] == serde_json::json!([peer])
                && found["severity"] == "warning"
        }
    };
    if right { Ok(()) } else { Err(format!("{arguments:?}: {found:?}")) }
}

#[test]
fn a_client_without_a_time_limit_is_found_with_its_peer() {
    let packages = ["httpx", "aiohttp", "uvloop"];
    let Some(python) = packages::with(pythons::any(), &packages) else { return };
    let _alone = alone();
    let cases: Vec<Vec<&str>> = ["httpx", "aiohttp", "streams"]
        .into_iter()
        .flat_map(|library| ["limited", "unlimited"].map(|kind| vec![library, kind]))
        .flat_map(|case| [case.clone(), [&case[..], &["uvloop"]].concat()])
        .collect();
    let wrong: Vec<_> = std::thread::scope(|scope| {
        let python = &python;
        let asked: Vec<_> =
            cases.iter().map(|case| scope.spawn(move || unanswered(python, case))).collect();
        let answers = asked.into_iter().map(|it| it.join().expect("a report"));
        answers.filter_map(Result::err).collect()
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn it_says_so_when_it_is_too_early_to_say() {
    let _shared = shared();
    let program = program(pythons::any(), "healthy");
    let report = pyconc::json(&["report", "--pid", &program.pid(), "-d", "1", "-f", "json"]);
    assert_eq!(lint(&report, "task-leak"), "too-early");
    let why = report["tasks"]["lints"][0]["why"].as_str().expect("a reason");
    assert!(why.contains("are needed"), "{why}");
}

#[test]
fn await_chains_make_a_flame_graph() {
    let _shared = shared();
    let program = program(pythons::any(), "unbounded-fan-out");
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("tasks.pyconc");
    let recording = recording.to_str().expect("a path");
    let run = pyconc::run(&["record", "--pid", &program.pid(), "-d", "3", "-o", recording]);
    assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
    let run = pyconc::run(&["export", recording, "-f", "folded", "--tasks", "-o", "-"]);
    let fetch = run.stdout.lines().find(|line| line.contains("fetch")).expect("the crawl");
    assert!(fetch.starts_with("crawl ("), "below the task that waits for it: {fetch}");
    let (stack, time) = fetch.rsplit_once(' ').expect("a time");
    assert!(stack.ends_with(";[sleep]") && stack.contains(";[gather];"), "{stack}");
    let seconds = time.parse::<f64>().expect("a number") / 1e3 / 300.0;
    assert!((1.0..4.0).contains(&seconds), "300 tasks for about two seconds each: {fetch}");
    let picture = folder.path().join("tasks.svg");
    let picture = picture.to_str().expect("a path");
    let run = pyconc::run(&["export", recording, "--tasks", "-o", picture]);
    assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
    let svg = std::fs::read_to_string(picture).expect("a picture");
    assert!(svg.contains("ms of tasks") && svg.contains("[gather]"));
}
