//! Who has a lock, under load: threads that take locks in turn say at every moment which they have.

use std::fs;
use std::path::Path;

use ::pyconc::catalog::Catalog;
use ::pyconc::session::{Options, Session};
use ::pyconc::target::Process;

use super::machine::{say, shared};
use super::program::{Program, repository};
use super::pythons::{self, Python};

/// Snapshots on each Python; the environment may ask for more.
const SNAPSHOTS: usize = 150;

/// What a thread says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    changes: i64,
    /// The lock that it has, from 1 on; 0 is none, a negative number that it is about to.
    state: i64,
}

fn said(file: &Path) -> Vec<Said> {
    let bytes = fs::read(file).expect("the file of the program");
    let words = bytes.as_chunks::<8>().0.iter().map(|word| i64::from_le_bytes(*word));
    let words: Vec<_> = words.collect();
    words.as_chunks::<2>().0.iter().map(|&[changes, state]| Said { changes, state }).collect()
}

/// Claims that were right, wrong and not to be judged, and waits whose holder was missed.
#[derive(Debug, Default)]
struct Score {
    right: usize,
    wrong: usize,
    unjudged: usize,
    missed: usize,
}

fn score(python: &Python, count: usize, file: &Path) -> Score {
    let path = file.to_str().expect("a path");
    let program = Program::start(python, &repository("tests/programs/holders.py"), &[path]);
    let announced = program.announced();
    let list = |key: &str| -> Vec<u64> {
        serde_json::from_value(announced[key].clone()).expect("a list of numbers")
    };
    let (locks, threads) = (list("locks"), list("threads"));
    let process = Process::open(program.pid().parse().expect("a number")).expect("it lives");
    let catalog = Catalog::default();
    let mut session =
        Session::attach(process, &catalog, Options::default()).expect("it can be attached to");
    let mut score = Score::default();
    for _ in 0..count {
        let before = said(file);
        let snapshot = session.snapshot();
        let after = said(file);
        // What a thread says holds for the whole snapshot when it has not changed.
        let truth =
            |thread: usize| (before[thread] == after[thread]).then_some(after[thread].state);
        for wait in snapshot.waits.iter().filter(|wait| wait.settled || wait.owners.is_empty()) {
            let Some(lock) = locks.iter().position(|lock| *lock == wait.object) else { continue };
            let number = lock as i64 + 1;
            let holder = (0..threads.len()).find(|thread| truth(*thread) == Some(number));
            let waiter = snapshot.tables.thread(wait.thread).expect("a thread").tid as u64;
            let waiter = threads.iter().position(|tid| *tid == waiter);
            // It must have waited for it all the time.
            let waited = waiter.is_some_and(|waiter| truth(waiter) == Some(-number));
            score.missed += usize::from(wait.owners.is_empty() && holder.is_some() && waited);
            for owner in wait.owners.iter().filter(|owner| owner.certain) {
                let tid = owner.thread.and_then(|it| snapshot.tables.thread(it)).map(|it| it.tid);
                let thread = threads.iter().position(|known| tid == Some(*known as i32));
                match thread.and_then(truth) {
                    _ if thread.is_none() => score.wrong += 1,
                    None => score.unjudged += 1,
                    Some(state) if state.abs() == number => score.right += 1,
                    Some(_) => score.wrong += 1,
                }
            }
        }
    }
    score
}

#[test]
fn holders_are_right_under_load() {
    let _shared = shared();
    let more = std::env::var("PYCONC_TEST_SNAPSHOTS").ok().and_then(|text| text.parse().ok());
    let count = more.unwrap_or(SNAPSHOTS);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut wrong = Vec::new();
    for python in pythons::all() {
        let score = score(python, count, &folder.path().join(&python.version));
        say(&format!("CPython {}: {count} snapshots, {score:?}", python.version));
        assert!(score.right > 0, "CPython {}: nothing was claimed", python.version);
        // Up to 3.9 the block stack is read while the thread changes it.
        let allowed = if matches!(&*python.version, "3.8" | "3.9") { 1 + count / 2000 } else { 0 };
        if score.wrong > allowed {
            wrong.push(format!("CPython {}: {score:?}", python.version));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
