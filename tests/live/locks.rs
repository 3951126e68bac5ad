//! Waits for locks and deadlocks against the truth: every thread of the programs knows it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::machine::shared;
use super::program::{Program, repository};
use super::pyconc::{self, exit};
use super::pythons::{self, Python};
use super::waits;

/// Snapshots of each healthy program on each Python; the environment may ask for more.
const SNAPSHOTS: usize = 5;

/// What is wrong with what was seen of a wait.
fn mistakes(name: &str, truth: &Value, seen: Option<&Value>) -> Vec<String> {
    let Some(lock) = seen.map(|thread| &thread["lock"]).filter(|lock| !lock.is_null()) else {
        return vec![format!("{name}: no wait")];
    };
    let mut found = Vec::new();
    let mut check = |what: &str, seen: &Value, right: &Value| {
        if seen != right {
            found.push(format!("{name}: {what} is {right}, not {seen}"));
        }
    };
    check("kind", &lock["kind"], &truth["kind"]);
    check("object", &lock["object"], &truth["object"]);
    check("line", &lock["where"]["line"], &truth["line"]);
    check("timed", &lock["timed"], &truth["timed"]);
    let owners = lock["owners"].as_array().expect("a list of owners");
    match (&truth["owner"], &owners[..]) {
        (Value::Null, []) => {}
        (owner, [one]) => {
            check("owner", &one["thread"], owner);
            if !truth["owner_line"].is_null() {
                check("owner's line", &one["where"]["line"], &truth["owner_line"]);
            }
        }
        (owner, _) => check("owners", &lock["owners"], owner),
    }
    found
}

#[test]
fn every_kind_of_wait_is_named_with_its_object_line_and_owner() {
    let _shared = shared();
    let none = |python: &Python, dump: &Value| {
        assert_eq!(dump["deadlocks"], Value::Array(Vec::new()), "{}", python.version);
    };
    let wrong = waits::compare("tests/programs/lock_waits.py", "waits", mistakes, none);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The names of the threads in the rings of some deadlocks, and the lines of the first ring.
fn rings(deadlocks: &Value) -> (BTreeSet<BTreeSet<String>>, BTreeSet<u64>) {
    let deadlocks = deadlocks.as_array().expect("a list of deadlocks");
    let ring = |deadlock: &Value| deadlock["ring"].as_array().expect("a ring").clone();
    let name = |wait: &Value| wait["thread"].as_str().expect("a name").to_owned();
    let names = deadlocks.iter().map(|it| ring(it).iter().map(name).collect()).collect();
    let line = |wait: &Value| wait["where"]["line"].as_u64();
    let lines = deadlocks.first().map(|it| ring(it).iter().filter_map(line).collect());
    (names, lines.unwrap_or_default())
}

/// What a program says of its deadlock, in the same form.
fn truth(program: &Program) -> (BTreeSet<BTreeSet<String>>, BTreeSet<u64>) {
    let truth = program.announced();
    (
        serde_json::from_value(truth["rings"].clone()).expect("lists of names"),
        serde_json::from_value(truth["lines"].clone()).expect("lines"),
    )
}

/// Deadlocks whose owners are facts, and such as have an owner that no stack shows.
const CERTAIN: [&str; 8] =
    ["crossed", "ring", "itself", "futures", "executor", "joins", "orphan", "managers"];
const LIKELY: [&str; 4] = ["called", "abandoned", "takers", "forked"];

fn deadlock_findings(report: &Value) -> Value {
    let findings = report["findings"].as_array().expect("a list of findings");
    let deadlocks = findings.iter().filter(|finding| finding["id"] == "deadlock");
    deadlocks.map(|finding| finding["evidence"].clone()).collect()
}

fn check_deadlock(python: &Python, kind: &str, folder: &Path) {
    let program = Program::start(python, &repository("tests/programs/deadlocks.py"), &[kind]);
    let (pid, right) = (program.announced()["pid"].to_string(), truth(&program));
    let what = format!("CPython {}, {kind}", python.version);

    let dump = pyconc::json(&["dump", "--json", &pid]);
    assert_eq!(rings(&dump["deadlocks"]), right, "{what}: {}", dump["deadlocks"]);
    assert_eq!(dump["deadlocks"][0]["certain"], !LIKELY.contains(&kind), "{what}");
    let text = pyconc::run(&["dump", &pid]).stdout;
    let drawing: Vec<_> =
        text.lines().skip(3).take_while(|line| !line.starts_with("Thread")).collect();
    let drawn = |word: &str| drawing.iter().any(|line| line.contains(word));
    assert!(drawn("eadlock") && drawing.iter().all(|it| it.chars().count() <= 80), "{text}");
    assert!(right.0.iter().flatten().all(|name| drawn(name)), "{what}: {text}");
    assert!(right.1.iter().all(|line| drawn(&format!(":{line})"))), "{what}: {text}");

    let recording = folder.join("out.pyconc");
    let recording = recording.to_str().expect("a path");
    let run = pyconc::run(&["record", "--pid", &pid, "-d", "1", "-o", recording]);
    assert_eq!(run.code, Some(exit::OK), "{what}: {}", run.stderr);
    let report = pyconc::run(&["report", recording, "-f", "json", "--fail-on", "error"]);
    assert_eq!(report.code, Some(exit::GATE), "{what}: {}", report.stderr);
    let report = report.json_of_any_end();
    assert_eq!(rings(&deadlock_findings(&report)), right, "{what}: {report}");
    assert_eq!(report["verdict"]["workload"], "deadlocked", "{what}");
}

#[test]
fn deadlocks_are_found_with_their_threads_and_lines() {
    let _shared = shared();
    let folder = tempfile::tempdir().expect("a temporary folder");
    for python in pythons::all() {
        for kind in CERTAIN.into_iter().chain(LIKELY) {
            check_deadlock(python, kind, folder.path());
        }
    }
}

#[test]
fn a_live_report_finds_a_deadlock_within_a_second() {
    let _shared = shared();
    let script = repository("tests/programs/deadlocks.py");
    let program = Program::start(pythons::any(), &script, &["crossed"]);
    let run = pyconc::run(&["report", "--pid", &program.pid(), "-d", "1", "--fail-on", "error"]);
    assert_eq!(run.code, Some(exit::GATE), "{}\n{}", run.stdout, run.stderr);
    let text = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["[deadlock]", "one waits for Lock target.lock", "held by two since transfer"] {
        assert!(text.contains(words), "{words}\n{}", run.stdout);
    }
}

/// Two threads that sleep in turn with one lock, and two that wait for a pipe with another.
const SLOW_OWNERS: &str = r#"
import os, threading, time
lock, rlock = threading.Lock(), threading.RLock()
reader, writer = os.pipe()
def nap():
    while True:
        with lock: time.sleep(0.2)
def read():
    while True:
        with rlock: os.read(reader, 1)
def feed():
    while True:
        time.sleep(0.3)
        os.write(writer, b"x")
for work in [nap, nap, read, read, feed]:
    threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
time.sleep(60)
"#;

#[test]
fn what_an_owner_does_while_others_wait_is_found() {
    let _shared = shared();
    for python in pythons::all() {
        let program = Program::inline(python, SLOW_OWNERS);
        let report = pyconc::json(&["report", "--pid", &program.pid(), "-d", "4", "-f", "json"]);
        let findings = report["findings"].as_array().expect("a list of findings");
        for (id, lock, taken) in
            [("sleep-under-lock", "lock", 7), ("lock-held-across-io", "rlock", 10)]
        {
            let finding = findings.iter().find(|finding| finding["id"] == id);
            let finding = finding.unwrap_or_else(|| panic!("{}: {id}", python.version));
            let evidence = &finding["evidence"];
            assert_eq!(evidence["lock"], lock, "{}", python.version);
            assert_eq!(evidence["taken"]["line"], taken, "{}: {evidence}", python.version);
        }
        assert_eq!(deadlock_findings(&report), Value::Array(Vec::new()), "{}", python.version);
    }
}

/// One thread that sleeps with a lock most of the time, and three that want it; a loop whose
/// callback takes a lock that a thread has half of the time; two workers that sleep, for fifty jobs.
const CROWD: &str = r#"
import asyncio, concurrent.futures, sys, threading, time
class Cache:
    def __init__(self):
        self.lock = threading.Lock()
    def refresh(self):
        while True:
            with self.lock:
                time.sleep(0.1)
            time.sleep(0.02)
    def get(self):
        while True:
            with self.lock:
                pass
            time.sleep(0.001)
async def serve(lock):
    while True:
        with lock: pass
        await asyncio.sleep(0.01)
def disturb(lock):
    while True:
        with lock: time.sleep(0.03)
        time.sleep(0.03)
def job():
    time.sleep(0.3)
def start(name, work, *arguments):
    threading.Thread(target=work, name=name, args=arguments, daemon=True).start()
if sys.argv[1] == "cache":
    cache = Cache()
    start("refresher", cache.refresh)
    for number in range(3): start(f"getter-{number}", cache.get)
elif sys.argv[1] == "loop":
    lock = threading.Lock()
    start("disturber", disturb, lock)
    start("server", lambda: asyncio.run(serve(lock)))
else:
    pool = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="few")
    for _ in range(50): pool.submit(job)
print("ready", flush=True)
time.sleep(60)
"#;

/// A report of a live process of [`CROWD`].
fn report_of_crowd(python: &Python, kind: &str) -> Value {
    let mut command = std::process::Command::new(&python.path);
    command.args(["-c", CROWD, kind]);
    let program = Program::run(command);
    pyconc::json(&["report", "--pid", &program.pid(), "-d", "3", "-f", "json"])
}

fn finding<'a>(report: &'a Value, id: &str, what: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("a list of findings");
    let finding = findings.iter().find(|finding| finding["id"] == id);
    finding.unwrap_or_else(|| panic!("{what}: no {id} in {findings:#?}"))
}

#[test]
fn a_contended_lock_is_told_with_its_waiters_and_holder() {
    let _shared = shared();
    for python in pythons::all() {
        let (what, report) = (&python.version, report_of_crowd(python, "cache"));
        let lock = &report["locks"][0];
        assert_eq!((&lock["kind"], &lock["name"]), (&"Lock".into(), &"self.lock".into()), "{what}");
        let holder = &lock["holders"][0];
        assert_eq!(holder["thread"], "refresher", "{what}: {lock}");
        assert_eq!(holder["where"]["line"], 8, "{what}: {lock}");
        assert_eq!(lock["sites"][0]["where"]["line"], 13, "{what}: {lock}");
        let number = |value: &Value| value.as_f64().expect("a number");
        assert!(number(&holder["share"]) > 0.9, "{what}: {lock}");
        assert!(number(&holder["meanwhile"]["sleep"]) > 0.8, "{what}: {lock}");
        // Three wait for 100 of 120 ms, as far as they get the lock at once when it is free.
        let waiters = number(&lock["mean_waiters"]);
        assert!((2.0..3.0).contains(&waiters), "{what}: {lock}");
        let longest = number(&lock["longest_seconds"]);
        assert!((0.08..0.6).contains(&longest), "{what}: {lock}");
        assert!(number(&lock["waits"]) > 5.0, "{what}: {lock}");
        let finding = finding(&report, "lock-contention", what);
        assert_eq!(finding["evidence"]["lock"], "self.lock", "{what}");
        assert_eq!(finding["evidence"]["holders"][0]["thread"], "refresher", "{what}");
    }
}

#[test]
fn a_lock_on_the_event_loop_and_a_starved_executor_are_found() {
    let _shared = shared();
    for python in pythons::all() {
        let (what, report) = (&python.version, report_of_crowd(python, "loop"));
        let on_loop = finding(&report, "lock-on-event-loop", what);
        assert_eq!(on_loop["where"]["line"], 18, "{what}: {on_loop}");
        assert_eq!(on_loop["evidence"]["holders"][0]["thread"], "disturber", "{what}: {on_loop}");
        let report = report_of_crowd(python, "pool");
        let starved = finding(&report, "executor-starved", what);
        assert_eq!(starved["evidence"]["workers"], 2, "{what}: {starved}");
        assert_eq!(starved["where"]["line"], 25, "{what}: {starved}");
    }
}

/// Two threads that sort one list, which a free-threaded interpreter locks for that.
const SORTERS: &str = r#"
import random, threading, time
numbers = [random.random() for _ in range(300_000)]
def sort():
    while True:
        numbers.sort(); numbers.reverse(); random.shuffle(numbers)
def count():
    while True:
        numbers.append(0.5); numbers.pop()
for work in [sort, count]:
    threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
time.sleep(60)
"#;

#[test]
fn an_objects_own_mutex_is_named_with_its_type() {
    let _shared = shared();
    for python in pythons::all().iter().filter(|python| python.free_threaded()) {
        let program = Program::inline(python, SORTERS);
        let report = pyconc::json(&["report", "--pid", &program.pid(), "-d", "4", "-f", "json"]);
        let locks = report["locks"].as_array().expect("a list of locks");
        let mutex = locks.iter().find(|lock| lock["kind"] == "object mutex");
        let mutex = mutex.unwrap_or_else(|| panic!("{}: {locks:#?}", python.version));
        assert_eq!(mutex["name"], "list numbers", "{}: {mutex}", python.version);
    }
}

#[test]
fn healthy_programs_have_no_deadlock() {
    let _shared = shared();
    let more = std::env::var("PYCONC_TEST_SNAPSHOTS").ok().and_then(|text| text.parse().ok());
    let count = more.unwrap_or(SNAPSHOTS);
    for python in pythons::all() {
        for mode in ["pool", "queues", "logging"] {
            let program = Program::start(python, &repository("tests/programs/healthy.py"), &[mode]);
            let mut waits = 0;
            for _ in 0..count {
                let dump = pyconc::json(&["dump", "--json", &program.pid()]);
                let none = Value::Array(Vec::new());
                assert_eq!(dump["deadlocks"], none, "{} {mode}: {dump}", python.version);
                let threads = dump["threads"].as_array().expect("a list of threads");
                waits += threads.iter().filter(|thread| !thread["lock"].is_null()).count();
            }
            assert!(waits > 0, "{} {mode}: no thread ever waited", python.version);
            let run = pyconc::run(&["report", "--pid", &program.pid(), "-d", "1", "-f", "json"]);
            let report = run.json();
            let findings = report["findings"].as_array().expect("a list of findings");
            let wrong = ["deadlock", "lock-on-event-loop", "executor-starved"];
            let wrong =
                findings.iter().filter(|it| wrong.contains(&it["id"].as_str().expect("an id")));
            assert_eq!(wrong.count(), 0, "{} {mode}: {report}", python.version);
        }
    }
}
