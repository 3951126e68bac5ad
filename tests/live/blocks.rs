//! Steps that block a loop against the truth: `blocks.py` knows when each of its 210 began, how long
//! it lasted, which task it was of and what it called.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::machine::{alone, say, send, wait_for};
use super::packages;
use super::program::{Program, repository};
use super::pyconc::{self, Run, exit};
use super::pythons::{self, Python};

/// Seconds between two samples.
const INTERVAL: f64 = 0.001;
/// From this length on a step is an episode, in seconds.
const THRESHOLD: f64 = 0.005;
/// The step begins before the program reads its clock, and ends after it.
const UNTIMED: f64 = 0.001;
/// The share of the steps whose bounds need not hold: the program may have lost its CPU just before
/// it read its clock, or just after.
const PREEMPTED: f64 = 0.02;
/// A machine excuses the share of the steps for which it gave no CPU, and at most this one.
const EXCUSED: f64 = 0.05;
/// How long after its start a loop of uvloop may stay unknown, in seconds: it has no frame that
/// would show it, and a thread is asked for its loop twenty times a second.
const UNASKED: f64 = 0.1;
/// Pythons that are measured at a time; they mostly wait.
const AT_A_TIME: usize = 2;

/// A length of time on the machine's clock, in seconds.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: f64,
    seconds: f64,
}

impl Span {
    fn of(value: &Value, origin: f64) -> Self {
        Self { start: origin + number(&value["start"]), seconds: number(&value["seconds"]) }
    }

    /// The seconds that two have in common, below 0 when they lie apart.
    fn overlap(self, other: Self) -> f64 {
        let end = |span: Self| span.start + span.seconds;
        end(self).min(end(other)) - self.start.max(other.start)
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number, not {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// What the program says that it did, and the report of the same time.
fn measure(python: &Python, arguments: &[&str]) -> (Value, Value) {
    let script = repository("tests/programs/blocks.py");
    let mut program = Program::nudged(python, &script, arguments);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("blocks.pyconc").to_string_lossy().into_owned();
    let record = ["record", "-r", "1k", "--threshold", "5ms", "-d", "600", "-o", &path];
    let mut command = pyconc::command(&record);
    let recording = pyconc::start({
        command.args(["--pid", &program.pid()]);
        command
    });
    let report = || pyconc::run(&["report", &path, "-f", "json"]);
    wait_for("a recording with samples", || {
        let run = report();
        let samples = || number(&run.json()["quality"]["samples"]) > 0.0;
        (run.code == Some(exit::OK) && samples()).then_some(())
    });
    program.nudge();
    let truth = program.says();
    send(&recording, Signal::SIGINT);
    assert_eq!(Run::of(recording).code, Some(exit::OK));
    (truth, report().json())
}

/// How what was seen compares with the truth.
#[derive(Default)]
struct Comparison {
    /// Seconds too many, of each step that was found.
    errors: Vec<f64>,
    /// Steps whose bounds do not hold.
    out_of_bounds: Vec<String>,
    /// What may not be.
    wrong: Vec<String>,
    /// The share of the time for which the program or pyconc had no CPU: no step was seen then, and
    /// one that does nothing long was long.
    starved: f64,
}

/// See [`Comparison::starved`].
fn starved(report: &Value) -> f64 {
    let quality = |name: &str| number(&report["quality"][name]);
    let skipped = 1.0 - (quality("rate") / quality("rate_asked")).min(1.0);
    let threads = list(&report["threads"]).iter();
    let queued: f64 = threads.map(|thread| number(&thread["queued_seconds"])).sum();
    skipped + quality("late_share") + queued / quality("seconds")
}

impl Comparison {
    fn of(truth: &Value, report: &Value) -> Self {
        let unasked = if report["loops"][0]["kind"] == "uvloop" { UNASKED } else { 0.0 };
        let known_from = Span::of(&truth[0], unasked).start;
        let origin = number(&report["target"]["monotonic_origin"]);
        let mut episodes: Vec<&Value> = list(&report["loops"][0]["episodes"]).iter().collect();
        let mut comparison = Self { starved: starved(report), ..Self::default() };
        for told in list(truth) {
            let span = Span::of(told, 0.0);
            let overlap = |episode: &Value| Span::of(episode, origin).overlap(span);
            let nearest = (0..episodes.len())
                .max_by(|a, b| overlap(episodes[*a]).total_cmp(&overlap(episodes[*b])))
                .filter(|index| overlap(episodes[*index]) > 0.0);
            match nearest {
                Some(index) => comparison.add(told, episodes.swap_remove(index)),
                None if span.seconds > THRESHOLD + 4.0 * INTERVAL && span.start >= known_from => {
                    comparison.wrong.push(format!("missed {told}"));
                }
                None => {}
            }
        }
        comparison.wrong.extend(episodes.iter().map(|episode| format!("invented {episode}")));
        comparison
    }

    fn add(&mut self, told: &Value, seen: &Value) {
        let seconds = number(&told["seconds"]);
        self.errors.push(number(&seen["seconds"]) - seconds);
        let (low, high) = (number(&seen["seconds_low"]), number(&seen["seconds_high"]));
        if seconds < low - UNTIMED || seconds > high + UNTIMED {
            self.out_of_bounds.push(format!("{told} {seen}"));
        }
        // A shorter one may have been over before it was asked whose it is.
        let named = seen["task"] == told["task"] && seen["where"]["function"] == told["call"];
        if seconds > 0.01 && !named {
            self.wrong.push(format!("told {told}, seen {seen}"));
        }
    }

    /// What is wrong; says how large the errors are.
    fn judge(mut self, name: &str) -> Vec<String> {
        let count = self.errors.len().max(1) as f64;
        let mean = self.errors.iter().sum::<f64>() / count;
        let variance = self.errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / count;
        let mut sizes: Vec<f64> = self.errors.iter().map(|error| error.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let median = sizes.get(sizes.len() / 2).copied().unwrap_or(f64::INFINITY);
        say(&format!(
            "{name:12} {count} steps, error: median {:.2}, sd {:.2}, max {:.2} ms; {} out of bounds, {} \
             wrong; without a CPU {:.1} %",
            1e3 * median,
            1e3 * variance.sqrt(),
            1e3 * sizes.last().copied().unwrap_or(0.0),
            self.out_of_bounds.len(),
            self.wrong.len(),
            1e2 * self.starved,
        ));
        let excused = self.starved.min(EXCUSED);
        if self.wrong.len() as f64 <= excused * count {
            self.wrong.drain(..).for_each(|wrong| say(&format!("  excused: {wrong}")));
        }
        if median >= 2.0 * INTERVAL {
            self.wrong.push(format!("the median error is {median} s"));
        }
        if self.out_of_bounds.len() as f64 > (PREEMPTED + excused) * count {
            self.wrong.append(&mut self.out_of_bounds);
        }
        self.wrong.iter().map(|wrong| format!("{name}: {wrong}")).collect()
    }
}

/// Measures some Pythons side by side.
fn compare(pythons: &[(Python, &'static str)]) -> Vec<String> {
    let one = |(python, kind): &(Python, &str)| {
        let arguments = [*kind];
        let uvloop = *kind == "uvloop";
        let (truth, report) = measure(python, if uvloop { &arguments } else { &[] });
        assert_eq!(report["loops"][0]["kind"], *kind, "{}", python.version);
        Comparison::of(&truth, &report).judge(&format!("{kind} {}", python.version))
    };
    std::thread::scope(|scope| {
        let started: Vec<_> = pythons.iter().map(|it| scope.spawn(move || one(it))).collect();
        started.into_iter().flat_map(|it| it.join().expect("a measurement")).collect()
    })
}

#[test]
fn every_step_that_blocks_a_loop_is_found_timed_and_named() {
    let with_uvloop = |python: &&Python| ["3.11", "3.12", "3.13"].contains(&&*python.version);
    let mut all: Vec<_> = pythons::all().iter().map(|it| (it.clone(), "asyncio")).collect();
    let uvloop = pythons::all().iter().find(with_uvloop);
    all.extend(uvloop.and_then(|it| Some((packages::with(it, &["uvloop"])?, "uvloop"))));
    let _alone = alone();
    let wrong: Vec<_> = all.chunks(AT_A_TIME).flat_map(compare).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
