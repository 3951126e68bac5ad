//! A torn stack is worse than none: no stack that cannot be, on programs that change theirs as fast
//! as they can.

use std::fs;

use super::machine::{alone, say};
use super::program::{Program, repository};
use super::pyconc::{self, exit};
use super::pythons;

/// Calls in each chain and the length of its leaf, from a storm of calls to the ordinary.
const PROGRAMS: [(&str, &str); 3] = [("1", "1"), ("30", "1000"), ("30", "30000")];

/// No more than this share of the stacks may be mixtures of two moments.
const MIXED: f64 = 0.001;

/// No more than this share of the samples may be rejected.
const REJECTED: f64 = 0.14;

/// How many stacks a folded file has, and how many of them have functions of both chains.
fn count(folded: &str) -> (f64, f64) {
    let chain = |frame: &str| {
        let name = frame.split([' ', '(']).next().unwrap_or_default();
        let name = name.rsplit(['.', ':']).next().unwrap_or_default();
        let name = name.strip_prefix("leaf_").unwrap_or(name);
        match name.split_at_checked(1) {
            Some((chain @ ("a" | "b"), level))
                if level.parse::<u32>().is_ok() || level.is_empty() =>
            {
                Some(chain.to_owned())
            }
            _ => None,
        }
    };
    let (mut all, mut mixed) = (0.0, 0.0);
    for line in folded.lines() {
        let (stack, samples) = line.rsplit_once(' ').expect("a stack and a number");
        let samples: f64 = samples.parse().expect("a number");
        let chains: std::collections::BTreeSet<_> = stack.split(';').filter_map(chain).collect();
        // Between two chains there is none.
        all += if chains.is_empty() { 0.0 } else { samples };
        mixed += if chains.len() > 1 { samples } else { 0.0 };
    }
    (all, mixed)
}

#[test]
fn no_stack_is_a_mixture_of_two_moments() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recording = folder.path().join("out.pyconc").to_string_lossy().into_owned();
    let folded = folder.path().join("out.folded").to_string_lossy().into_owned();
    let mut wrong = Vec::new();
    for python in pythons::all() {
        for (depth, leaf) in PROGRAMS {
            let script = repository("tests/programs/chains.py");
            let target = Program::start(python, &script, &[depth, leaf]);
            let pid = target.pid();
            let run = pyconc::run(&["record", "-d", "2", "-r", "1k", "-o", &recording, &pid]);
            assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
            let quality = pyconc::json(&["report", "-f", "json", &recording])["quality"].take();
            let rejected = quality["rejected"].as_f64().expect("a number");
            let taken = quality["thread_samples"].as_f64().expect("a number");
            let run = pyconc::run(&["export", "-f", "folded", "-o", &folded, &recording]);
            assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
            let (all, mixed) = count(&fs::read_to_string(&folded).expect("a folded file"));
            let rejected = rejected / (rejected + taken);
            let line = format!(
                "{:6} {depth:>2} calls, leaf {leaf:>5}: {all} stacks, {mixed} mixed, {:.2} % rejected",
                python.version,
                rejected * 100.0
            );
            say(&line);
            if mixed > MIXED * all || rejected > REJECTED || all < 200.0 {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn mixtures_are_counted() {
    let text = "main (x.py:1);a0 (<string>:2);leaf_a (x.py:3) 7\nmain (x.py:1);a0 (<string>:2);b1 (x:1) 2\n";
    assert_eq!(count(text), (9.0, 2.0));
}

/// No more than this share of the stacks may be a part only: the inner one, or without the loop.
const CUT: f64 = 0.01;

#[test]
fn a_storm_of_calls_below_coroutines_is_seen_whole() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recording = folder.path().join("out.pyconc").to_string_lossy().into_owned();
    let folded = folder.path().join("out.folded").to_string_lossy().into_owned();
    for python in pythons::all() {
        let target = Program::start(python, &repository("tests/programs/storm.py"), &[]);
        let run = pyconc::run(&["record", "-r", "1k", "-d", "2", "-o", &recording, &target.pid()]);
        assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
        assert_eq!(pyconc::run(&["export", "-o", &folded, &recording]).code, Some(exit::OK));
        let report = pyconc::json(&["report", "-f", "json", &recording]);
        let rejected = report["quality"]["rejected_share"].as_f64().expect("a share");
        let text = fs::read_to_string(&folded).expect("folded stacks");
        let (mut storm, mut cut) = (0.0, 0.0);
        for line in text.lines().filter(|line| line.contains("fibonacci")) {
            let (stack, samples) = line.rsplit_once(' ').expect("a stack and a number");
            let samples: f64 = samples.parse().expect("a number");
            storm += samples;
            let whole = ["<module>", "_run_once", "handler"].iter().all(|it| stack.contains(it));
            cut += if whole { 0.0 } else { samples };
        }
        let version = &python.version;
        say(&format!("{version:6} {storm} stacks, {cut} cut, {:.2} % rejected", 100.0 * rejected));
        assert!(storm >= 100.0, "{version}: {storm} stacks");
        assert!(cut <= CUT * storm, "{version}: {cut} of {storm} are cut");
        assert!(rejected <= REJECTED, "{version}: {rejected} rejected");
    }
}
