//! Tasks against the truth: `tasks.py` knows every task of its two loops.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use ::pyconc::python::{Asyncio, Code, CurrentTasks, Interpreter, Runtime};
use ::pyconc::target::Process;

use super::machine::shared;
use super::packages;
use super::program::{Program, repository};
use super::pyconc;
use super::pythons::{self, Python};

/// What the tasks wait for, by their names.
const AWAITED: [(&str, &str); 25] = [
    ("sleep", "sleep"),
    ("nested", "sleep"),
    ("queue.get", "queue"),
    ("queue.put", "queue"),
    ("queue.join", "queue"),
    ("lock.holder", "sleep"),
    ("lock.waiter", "lock"),
    ("semaphore.holder", "sleep"),
    ("semaphore.waiter", "semaphore"),
    ("event", "event"),
    ("condition", "condition"),
    ("gather", "gather"),
    ("gather.nested", "gather"),
    ("shield", "task"),
    ("wait", "wait"),
    ("async for", "sleep"),
    ("context", "sleep"),
    ("executor", "executor"),
    ("types.coroutine", "future"),
    ("__await__", "future"),
    ("future", "future"),
    ("stream", "stream"),
    ("await task", "task"),
    ("group", "task-group"),
    ("timeout", "sleep"),
];

/// How many tasks these wait for, and by what means.
const RELATIONS: [(&str, usize, &str); 7] = [
    ("gather", 2, "gather"),
    ("gather.nested", 3, "gather"),
    ("shield", 1, "shield"),
    ("wait", 1, "wait"),
    ("await task", 1, "await"),
    ("group", 2, "task-group"),
    ("wait_for", 1, "wait-for"),
];

fn minor(python: &Python) -> u32 {
    let minor = python.version.trim_end_matches('t').split('.').nth(1);
    minor.and_then(|minor| minor.parse().ok()).expect("a version")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], |list| list)
}

/// The functions, without their classes, and lines of a task, outermost first.
fn chain(task: &Value) -> Vec<(String, u64)> {
    let frame = |frame: &Value| {
        let name = text(&frame["function"]).rsplit('.').next().unwrap_or_default().to_owned();
        (name, frame["line"].as_u64().expect("a line"))
    };
    list(&task["frames"]).iter().rev().map(frame).collect()
}

/// What is wrong with a dump of `tasks.py`.
fn differences(python: &Python, truth: &Value, dump: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let loops = list(&dump["loops"]);
    for told in list(truth) {
        let Some(index) = loops.iter().position(|it| it["tid"] == told["tid"]) else {
            wrong.push(format!("no loop in thread {}", told["tid"]));
            continue;
        };
        let uvloop = loops[index]["kind"] == "uvloop";
        let current = (&loops[index]["current"], &told["current"]);
        if current.0 != current.1 {
            wrong.push(format!("current {current:?}"));
        }
        if loops[index]["ready"] != told["ready"] && !told["ready"].is_null() {
            wrong.push(format!("ready {} {}", loops[index]["ready"], told["ready"]));
        }
        let own = list(&dump["tasks"]).iter().filter(|task| task["loop"] == index);
        let mut seen: BTreeMap<&str, &Value> = own.map(|task| (text(&task["id"]), task)).collect();
        for (id, told) in told["tasks"].as_object().expect("tasks") {
            match seen.remove(id.as_str()) {
                Some(task) => compare(task, told, uvloop, &mut wrong),
                None => wrong.push(format!("missing {told}")),
            }
        }
        // Tasks that are done are listed up to 3.13 for as long as they are kept.
        let extra = seen.values().filter(|task| task["state"] != "done");
        wrong.extend(extra.map(|task| format!("extra {task}")));
        relations(python, dump, index, &mut wrong);
    }
    wrong
}

fn compare(task: &Value, told: &Value, uvloop: bool, wrong: &mut Vec<String>) {
    let name = text(&told["name"]);
    let mut check = |what: &str, same: bool| {
        if !same {
            wrong.push(format!("{name}: {what}\n  seen {task}\n  told {told}"));
        }
    };
    check("name", task["name"] == told["name"]);
    check("state", task["state"] == told["state"]);
    let mut seen = chain(task);
    let expected: Vec<(String, u64)> = list(&told["chain"])
        .iter()
        .map(|link| (text(&link[0]).to_owned(), link[1].as_u64().expect("a line")))
        .collect();
    if told["state"] == "running" {
        // Beyond its coroutine ours has the functions that it has called.
        check("calls", seen.get(1).is_some_and(|(name, _)| name == "hold"));
        seen.truncate(1);
    }
    check("chain", seen == expected);
    if !told["cancel_requests"].is_null() && told["state"] != "cancelling" {
        check("requests", task["cancel_requests"] == told["cancel_requests"]);
    }
    if !told["awaited_by"].is_null() {
        let ids = list(&task["awaited_by"]).iter().map(|it| text(&it["task"]));
        let ids: BTreeSet<_> = ids.collect();
        check("awaited_by", ids == list(&told["awaited_by"]).iter().map(text).collect());
    }
    if let Some((_, kind)) = AWAITED.iter().find(|(of, _)| *of == name) {
        check(kind, task["awaits"]["kind"] == **kind);
    }
    match name {
        "timeout" | "wait_for" => {
            check("deadline", task["has_deadline"] == true);
            let left = task["deadline_seconds"].as_f64();
            check("deadline", uvloop || left > Some(60.0));
        }
        "sleep" => {
            check("deadline", task["has_deadline"] == false);
            // uvloop's timers are Cython's, which do not tell.
            let left = task["awaits"]["seconds_left"].as_f64();
            check("until", uvloop || left > Some(60.0));
        }
        "lock.holder" | "semaphore.holder" => check("holds", list(&task["holds"]).len() == 1),
        _ => check("holds", list(&task["holds"]).is_empty()),
    }
}

/// Checks who waits for whom, where CPython itself does not say it.
fn relations(python: &Python, dump: &Value, index: usize, wrong: &mut Vec<String>) {
    let tasks = list(&dump["tasks"]);
    let own = || tasks.iter().filter(|task| task["loop"] == index);
    let mut known = 0;
    for (name, count, relation) in RELATIONS {
        let count = match name {
            "group" if minor(python) < 11 => 0,
            // Since 3.12 no task of its own.
            "wait_for" if minor(python) >= 12 => 0,
            _ => count,
        };
        let parent = own().find(|task| task["name"] == name).map(|task| text(&task["id"]));
        let seen = own().filter(|task| {
            list(&task["awaited_by"])
                .iter()
                .any(|it| Some(text(&it["task"])) == parent && it["relation"] == relation)
        });
        let seen = seen.count();
        if seen != count {
            wrong.push(format!("{name}: {seen} tasks by {relation}, not {count}"));
        }
        known += count;
    }
    let all: usize = own().map(|task| list(&task["awaited_by"]).len()).sum();
    if all != known {
        wrong.push(format!("{all} tasks are awaited, not {known}"));
    }
}

#[test]
fn every_task_is_told_as_it_is() {
    let _shared = shared();
    let script = repository("tests/programs/tasks.py");
    let mut failures = Vec::new();
    for python in pythons::all() {
        let program = Program::start(python, &script, &[]);
        let dump = pyconc::json(&["dump", "--tasks", "--json", &program.pid()]);
        for wrong in differences(python, &program.announced(), &dump) {
            failures.push(format!("{}: {wrong}", python.version));
        }
        let run = pyconc::run(&["dump", "--tasks", &program.pid()]);
        let widest = run.stdout.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{widest:?}\n{}", run.stdout);
        assert!(run.stdout.contains("sleep ... × 3: waits for sleep"), "{}", run.stdout);
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_task_of_uvloop_is_told_as_it_is() {
    let _shared = shared();
    let script = repository("tests/programs/tasks.py");
    for python in pythons::all() {
        if !["3.11", "3.12", "3.13"].contains(&&*python.version) {
            continue;
        }
        let Some(python) = packages::with(python, &["uvloop"]) else { continue };
        let program = Program::start(&python, &script, &["uvloop"]);
        let dump = pyconc::json(&["dump", "--tasks", "--json", &program.pid()]);
        assert!(list(&dump["loops"]).iter().all(|it| it["kind"] == "uvloop"), "{}", dump["loops"]);
        let wrong = differences(&python, &program.announced(), &dump);
        assert!(wrong.is_empty(), "{}\n{}", python.version, wrong.join("\n"));
    }
}

#[test]
fn the_task_that_a_loop_runs_is_named() {
    let _shared = shared();
    let script = repository("tests/programs/tasks.py");
    for python in pythons::all() {
        let program = Program::start(python, &script, &[]);
        let truth = program.announced();
        let process = Process::open(program.child.id().cast_signed()).expect("a process");
        let runtime = Runtime::find(&process).expect("an interpreter");
        let mut interpreter = Interpreter::new(process.memory(), &runtime).expect("a version");
        let asyncio = Asyncio::find(&process, &interpreter).expect("a layout");
        let threads = interpreter.threads(&process.tids().expect("threads")).expect("threads");
        let mut current = CurrentTasks::default();
        let mut named = 0;
        for thread in &threads {
            let found = current.of(&interpreter, asyncio.layout(), thread).expect("readable");
            let told = list(&truth).iter().find(|told| told["tid"] == thread.tid);
            assert_eq!(found.is_some(), told.is_some(), "{}: {found:?}", python.version);
            let (Some(found), Some(told)) = (found, told) else { continue };
            let id = format!("{:#x}", found.address.0);
            assert_eq!(told["current"], *id, "{}", python.version);
            assert_eq!(told["tasks"][&id]["name"], *found.name, "{}", python.version);
            let frame = found.coroutine.expect("a coroutine's frame");
            let code = Code::read(interpreter.reader(), frame.code).expect("code");
            assert_eq!(&*code.function.name, "main", "{}", python.version);
            named += 1;
        }
        assert_eq!(named, 2, "{}", python.version);
    }
}

#[test]
fn asyncio_deadlocks_are_found() {
    let _shared = shared();
    let script = repository("tests/programs/async_deadlock.py");
    for python in pythons::all() {
        let program = Program::start(python, &script, &[]);
        let dump = pyconc::json(&["dump", "--tasks", "--json", &program.pid()]);
        let name = |id: &Value| {
            let task = list(&dump["tasks"]).iter().find(|task| task["id"] == *id);
            task.map(|task| text(&task["name"]).to_owned()).expect("a task")
        };
        let found: BTreeSet<BTreeSet<String>> = list(&dump["task_deadlocks"])
            .iter()
            .map(|it| list(&it["tasks"]).iter().map(|member| name(&member["task"])).collect())
            .collect();
        let expected: [&[&str]; 3] =
            [&["transfer-1", "transfer-2"], &["parent", "child"], &["again"]];
        let expected = expected.map(|names| names.iter().map(ToString::to_string).collect());
        assert_eq!(found, BTreeSet::from(expected), "{}", python.version);
        let run = pyconc::run(&["dump", "--tasks", &program.pid()]);
        assert!(run.stdout.contains("DEADLOCK of 2 tasks, nothing ends it"), "{}", run.stdout);
    }
}

#[test]
fn a_process_without_asyncio_has_no_tasks() {
    let _shared = shared();
    for python in pythons::all() {
        let program = Program::start(python, &repository("tests/programs/old.py"), &[]);
        let dump = pyconc::json(&["dump", "--tasks", "--json", &program.pid()]);
        assert!(list(&dump["tasks"]).is_empty() && dump["tasks"].is_array(), "{}", python.version);
    }
    if let Some(python) = pythons::old().first() {
        let program = Program::start(python, &repository("tests/programs/old.py"), &[]);
        let run = pyconc::run(&["dump", "--tasks", &program.pid()]);
        run.fails(pyconc::exit::NOT_PYTHON, &["3.8 and later"]);
    }
}
