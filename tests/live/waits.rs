//! What more is told of waits in the kernel, against the truth: a program that waits in every way.

use serde_json::{Value, json};

use super::machine::{say, shared};
use super::program::{Program, repository};
use super::pyconc;
use super::pythons::{self, Python};

/// What is left of a limit may be less than all of it by the time that a test takes, in seconds.
const SLACK: f64 = 90.0;

/// What is wrong with what was seen of a wait.
fn mistakes(name: &str, truth: &Value, thread: Option<&Value>) -> Vec<String> {
    let Some(seen) = thread.map(|thread| &thread["wait"]).filter(|wait| wait.is_object()) else {
        return vec![format!("{name}: no wait")];
    };
    let mut found = Vec::new();
    let mut check = |what: &str, right: bool, truth: &Value| {
        if !right {
            found.push(format!("{name}: {what} should be {truth}: {seen}"));
        }
    };
    let names = truth["syscalls"].as_array().expect("a list of names");
    check("the system call", names.contains(&seen["syscall"]), &truth["syscalls"]);
    let timeout = seen["timeout_seconds"].as_f64() == truth["timeout"].as_f64();
    check("the timeout", timeout, &truth["timeout"]);
    let left = match (truth["left"].as_f64(), seen["seconds_left"].as_f64()) {
        (Some(limit), Some(left)) => (limit - SLACK..=limit).contains(&left),
        (limit, left) => limit.is_none() && left.is_none(),
    };
    check("what is left", left, &truth["left"]);
    // Where the kernel tells how long the thread has slept, that and what is left are the limit.
    if let (Some(limit), Some(left), Some(asleep)) =
        (truth["left"].as_f64(), seen["seconds_left"].as_f64(), seen["asleep_seconds"].as_f64())
    {
        check("the time asleep", (limit - left - asleep).abs() < 1.0, &truth["left"]);
    }
    check("the child", seen["child"]["pid"] == truth["child"], &truth["child"]);
    let named = seen["child"]["command"].as_str().is_some_and(|it| it.contains("python"));
    check("the child's command", named == truth["child"].is_number(), &truth["child"]);
    let none = json!([]);
    let list = |value: &Value| if value.is_null() { none.clone() } else { value.clone() };
    check("what is watched", seen["watches"] == list(&truth["watches"]), &truth["watches"]);
    check("the state", seen["state"] == truth["state"], &truth["state"]);
    check("the fifo", seen["fifo"] == truth["fifo"], &truth["fifo"]);
    let ends = seen["other_end"].as_array().expect("a list of processes");
    let pids: Vec<&Value> = ends.iter().map(|end| &end["pid"]).collect();
    let others = list(&truth["others"]);
    let right = pids == others.as_array().expect("a list of pids").iter().collect::<Vec<_>>();
    check("the other end", right, &truth["others"]);
    let roles = ends.iter().all(|end| end["role"] == truth["role"]);
    check("the other end's role", roles, &truth["role"]);
    found
}

/// Compares, on every Python, what a program announces of each of its `waits` with what a dump of it
/// says of the same thread; says and returns what is wrong. `also` looks at the dump as a whole.
pub fn compare(
    script: &str,
    what: &str,
    mistakes: impl Fn(&str, &Value, Option<&Value>) -> Vec<String>,
    also: impl Fn(&Python, &Value),
) -> Vec<String> {
    let script = repository(script);
    let mut wrong = Vec::new();
    for python in pythons::all() {
        let program = Program::start(python, &script, &[]);
        let announced = program.announced();
        let truth = announced["waits"].as_object().expect("waits by name");
        let dump = pyconc::json(&["dump", "--json", &program.pid()]);
        let threads = dump["threads"].as_array().expect("a list of threads");
        let before = wrong.len();
        for (name, truth) in truth {
            let seen = threads.iter().find(|thread| thread["tid"] == truth["tid"]);
            let mistakes = mistakes(name, truth, seen);
            wrong.extend(mistakes.iter().map(|it| format!("{}: {it}", python.version)));
        }
        also(python, &dump);
        let (all, wrong) = (truth.len(), wrong.len() - before);
        say(&format!("CPython {}: {all} {what}, {wrong} mistakes", python.version));
    }
    wrong
}

#[test]
fn every_kind_of_wait_is_told_in_full() {
    let _shared = shared();
    let wrong = compare("tests/programs/waits.py", "waits in the kernel", mistakes, |_, _| ());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
