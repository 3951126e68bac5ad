//! Thread states against the truth: every thread of `labelled.py` knows what it does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

use super::machine::{alone, say};
use super::program::{Program, repository};
use super::pyconc;
use super::pythons::{self, Python};

/// The share of a class's samples that must be right.
const ENOUGH: f64 = 0.95;

/// The most that may be seen of a class of threads: shares by name.
type Limits = BTreeMap<&'static str, f64>;

/// What was seen of a class of threads: samples by name.
type Counts = BTreeMap<String, u64>;

/// A class of threads: what it may have been seen to do, and what it was seen to do.
#[derive(Default)]
struct Class {
    threads: u32,
    tag_limits: Limits,
    cause_limits: Limits,
    tags: Counts,
    causes: Counts,
}

impl Class {
    /// Adds a thread.
    fn add(&mut self, truth: &Truth, seen: &Value) {
        self.threads += 1;
        for (tag, cause, share) in truth.states() {
            *self.tag_limits.entry(tag).or_default() += share;
            *self.cause_limits.entry(cause).or_default() += share;
        }
        count(&mut self.tags, &seen["tags"]);
        count(&mut self.causes, &seen["causes"]);
    }

    /// The share of the samples that is right, by tag and by cause: each tag and each cause is
    /// right as far as its limit. For a class that does one thing only, that is this thing's share.
    fn right(&self) -> f64 {
        let by_tag = self.within(&self.tag_limits, &self.tags);
        by_tag.min(self.within(&self.cause_limits, &self.causes))
    }

    fn within(&self, limits: &Limits, seen: &Counts) -> f64 {
        let samples = seen.values().sum::<u64>().max(1) as f64;
        let share = |(name, count): (&String, &u64)| {
            let limit = limits.get(name.as_str()).copied().unwrap_or(0.0);
            (*count as f64 / samples).min(limit / f64::from(self.threads))
        };
        seen.iter().map(share).sum()
    }
}

fn count(into: &mut Counts, from: &Value) {
    for (name, samples) in from.as_object().expect("counts by name") {
        *into.entry(name.clone()).or_default() += samples.as_u64().expect("a count");
    }
}

/// What a thread knows of itself.
struct Truth<'a> {
    class: &'a str,
    /// The share of its time on a CPU.
    cpu: f64,
    /// The share of its time ready for a CPU, without one.
    queued: f64,
    /// The share of its time in steps that block its event loop.
    blocked: f64,
    /// Whether its process has a GIL.
    gil: bool,
}

impl Truth<'_> {
    /// The states that it was in, each with the largest share of its time that it can have been.
    fn states(&self) -> Vec<(&'static str, &'static str, f64)> {
        let waits = |cause| vec![("idle-waiting", cause, 1.0)];
        // The thread may have had its CPU while pyconc looked and lacked it at another time.
        let computes = |cause| vec![("running", cause, 1.0), ("running", "cpu-wait", self.queued)];
        match self.class {
            "sleep" | "select" => waits("sleep"),
            "socket" | "connect" | "datagram" => waits("network"),
            "pipe" | "fifo" | "process-queue" => waits("pipe"),
            "lock" | "flock" => waits("lock"),
            // They have nothing to do until something comes.
            "accept" | "consumer" | "consumer-in-c" | "log-listener" => waits("parked"),
            "child" => waits("child"),
            "idle-loop" => waits("parked"),
            "blocked-loop" => vec![
                ("event-loop-blocking", "sleep", self.blocked),
                ("idle-waiting", "parked", 1.0 - self.blocked),
            ],
            "native" => computes("native"),
            // In a run queue it may have the GIL, or have been woken to ask for it again.
            "gil" if self.gil => vec![
                ("running", "python", self.cpu),
                ("running", "cpu-wait", self.queued),
                ("gil-contended", "gil", 1.0 - self.cpu),
            ],
            "gil" | "python" => computes("python"),
            other => panic!("no truth for {other}"),
        }
    }
}

/// Looks at one mode of the program and sorts its threads into classes.
fn measure(python: &Python, mode: &str, classes: &mut BTreeMap<String, Class>) {
    let program = Program::start(python, &repository("tests/programs/labelled.py"), &[mode]);
    let tids = program.announced();
    let report =
        pyconc::json(&["report", "--pid", &program.pid(), "-d", "4", "-r", "200", "-f", "json"]);
    let truth = program.end();
    for (name, tid) in tids["threads"].as_object().expect("threads by name") {
        let class = name.trim_end_matches(|c: char| c == '-' || c.is_ascii_digit());
        let share = |of: &str| truth["truth"][name][of].as_f64().expect("a share");
        let truth = Truth {
            class,
            cpu: share("cpu"),
            queued: share("queued"),
            blocked: share("blocked"),
            gil: !python.free_threaded(),
        };
        let threads = report["threads"].as_array().expect("a list of threads");
        let seen = threads
            .iter()
            .find(|thread| thread["tid"] == *tid)
            .unwrap_or_else(|| panic!("thread {name} is not in the report"));
        assert_eq!(seen["name"], **name, "the name that threading gives it");
        classes.entry(class.to_owned()).or_default().add(&truth, seen);
    }
}

/// A row for each class: the samples by tag, then by cause.
fn matrix(version: &str, classes: &BTreeMap<String, Class>) -> String {
    let columns = |counts: fn(&Class) -> &Counts| -> BTreeSet<&str> {
        classes.values().flat_map(|class| counts(class).keys()).map(String::as_str).collect()
    };
    let (tags, causes) = (columns(|class| &class.tags), columns(|class| &class.causes));
    let mut text = format!("{:14}{:>7} ", format!("CPython {version}"), "right");
    for name in tags.iter().chain(&causes) {
        let _ = write!(text, "{:>1$}", name, name.len() + 2);
    }
    for (name, class) in classes {
        let _ = write!(text, "\n  {name:14}{:5.1}% ", 100.0 * class.right());
        let row = tags
            .iter()
            .map(|column| (column, class.tags.get(*column)))
            .chain(causes.iter().map(|column| (column, class.causes.get(*column))));
        for (column, samples) in row {
            let samples = samples.map_or_else(|| ".".to_owned(), ToString::to_string);
            let _ = write!(text, "{samples:>0$}", column.len() + 2);
        }
    }
    text
}

/// What is wrong with a class, beyond the share that is right.
fn broken_rules(name: &str, class: &Class) -> Option<String> {
    let samples = |tag: &str| class.tags.get(tag).copied().unwrap_or(0);
    match name {
        // A spinner waits for nothing but the GIL, and all of them spin before pyconc looks.
        "gil" if samples("idle-waiting") > 0 => Some("a GIL waiter was called idle".into()),
        // Each of these enters the kernel once, before pyconc looks, and never comes back.
        "sleep" | "socket" | "pipe" | "lock" | "child" | "connect" | "datagram" | "accept"
        | "fifo" | "flock" | "process-queue" | "select"
            if samples("running") > 0 =>
        {
            Some(format!("a thread that waits ({name}) was called running"))
        }
        _ => None,
    }
}

#[test]
fn threads_are_seen_to_do_what_they_do() {
    let _alone = alone();
    let mut wrong = Vec::new();
    for python in pythons::all() {
        let mut classes = BTreeMap::new();
        for mode in ["waits", "more", "gil", "python"] {
            measure(python, mode, &mut classes);
        }
        say(&matrix(&python.version, &classes));
        for (name, class) in &classes {
            if class.right() < ENOUGH {
                wrong.push(format!("{} {name}: {:.3} right", python.version, class.right()));
            }
            let broken = broken_rules(name, class);
            wrong.extend(broken.map(|rule| format!("{}: {rule}", python.version)));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn old_versions_have_stacks_and_the_causes_that_the_kernel_knows() {
    let _alone = alone();
    for python in pythons::old() {
        let program = Program::start(python, &repository("tests/programs/old.py"), &[]);
        let report = pyconc::json(&["report", "--pid", &program.pid(), "-d", "2", "-f", "json"]);
        let threads = report["threads"].as_array().expect("a list of threads");
        let pid: u64 = program.pid().parse().expect("a pid is a number");
        let main = threads.iter().find(|thread| thread["tid"] == pid).expect("the main thread");
        let (asleep, samples) = (main["causes"]["sleep"].as_u64(), main["samples"].as_u64());
        assert!(samples > Some(0) && asleep == samples, "{}: {main}", python.version);
        let dump = pyconc::run(&["dump", "--pid", &program.pid()]).stdout;
        assert!(dump.contains("take_a_nap"), "{}: {dump}", python.version);
    }
}

mod the_measure {
    use super::{Class, Truth, broken_rules};
    use serde_json::json;

    fn class(name: &str, cpu: f64, tags: &serde_json::Value, causes: &serde_json::Value) -> Class {
        let mut class = Class::default();
        let truth = Truth { class: name, cpu, queued: 0.1, blocked: 0.0, gil: true };
        class.add(&truth, &json!({"tags": tags, "causes": causes}));
        class
    }

    #[test]
    fn is_the_share_of_right_samples() {
        let idle = json!({"idle-waiting": 100});
        assert!(class("sleep", 0.0, &idle, &json!({"sleep": 100})).right() > 0.999);
        let nine = class("sleep", 0.0, &idle, &json!({"sleep": 90, "parked": 10}));
        assert!((nine.right() - 0.9).abs() < 1e-9);
        assert!(class("sleep", 0.0, &json!({}), &json!({})).right() < 0.001);
        let wrong_tag = class("sleep", 0.0, &json!({"running": 100}), &json!({"sleep": 100}));
        assert!(wrong_tag.right() < 0.001);
    }

    #[test]
    fn compares_mixtures_by_their_shares() {
        let tags = json!({"running": 35, "gil-contended": 65});
        let causes = json!({"python": 25, "cpu-wait": 10, "gil": 65});
        assert!(class("gil", 0.25, &tags, &causes).right() > 0.999);
        assert!((class("gil", 0.15, &tags, &causes).right() - 0.9).abs() < 1e-9);
    }

    #[test]
    fn allows_a_thread_that_computes_as_much_waiting_for_a_cpu_as_there_was() {
        let running = json!({"running": 100});
        let seen = |causes| class("python", 0.9, &running, &causes).right();
        assert!(seen(json!({"python": 100})) > 0.999);
        assert!(seen(json!({"python": 91, "cpu-wait": 9})) > 0.999);
        assert!((seen(json!({"python": 80, "cpu-wait": 20})) - 0.9).abs() < 1e-9);
        assert!(seen(json!({"native": 100})) < 0.001);
    }

    #[test]
    fn knows_the_rules_without_exception() {
        let waiter = |tags| class("gil", 0.25, &tags, &json!({"gil": 100}));
        assert!(broken_rules("gil", &waiter(json!({"gil-contended": 100}))).is_none());
        let idle = waiter(json!({"gil-contended": 99, "idle-waiting": 1}));
        assert!(broken_rules("gil", &idle).is_some());
        let awake = class("sleep", 0.0, &json!({"running": 1}), &json!({"python": 1}));
        assert!(broken_rules("sleep", &awake).is_some());
    }
}
