//! What a program is held back by: a table of rules, tried from the top.

mod rules;
mod why;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::diagnose::bootstrap::Resamples;
use crate::diagnose::load::Load;
use crate::diagnose::measures::Measures;
use crate::diagnose::outside::Outside;
use crate::diagnose::phases::Phase;
use crate::diagnose::words::{ratio, rounded};
use crate::profile::Profile;

/// From how many samples of the process on a verdict is given.
const FEWEST_SAMPLES: f64 = 20.0;

/// From which strength on a rule holds.
const HOLDS: f64 = 0.5;

/// From which strength on a rule is worth a mention beside the verdict.
const MENTIONED: f64 = 0.25;

/// The kinds of workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Workload {
    /// Hardly anything to do.
    Idle,
    /// Waits for the network, files, pipes or children.
    IoBound,
    /// Limited by what one thread can compute.
    CpuBound,
    /// Threads want the GIL while others have it.
    GilBound,
    /// C code that released the GIL uses several CPUs.
    NativeParallel,
    /// Threads wait to enter critical sections.
    LockBound,
    /// Single steps keep an event loop from everything else.
    EventLoopBlocked,
    /// Threads are ready and do not get a CPU.
    CpuStarved,
    /// Threads, or tasks, wait for each other for ever.
    Deadlocked,
    /// Several of these, none of which prevails.
    Mixed,
    /// Too little was seen for a verdict.
    InsufficientData,
}

impl Workload {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Idle,
        Self::IoBound,
        Self::CpuBound,
        Self::GilBound,
        Self::NativeParallel,
        Self::LockBound,
        Self::EventLoopBlocked,
        Self::CpuStarved,
        Self::Deadlocked,
        Self::Mixed,
        Self::InsufficientData,
    ];

    /// The stable name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::IoBound => "io-bound",
            Self::CpuBound => "cpu-bound",
            Self::GilBound => "gil-bound",
            Self::NativeParallel => "native-parallel",
            Self::LockBound => "lock-bound",
            Self::EventLoopBlocked => "event-loop-blocked",
            Self::CpuStarved => "cpu-starved",
            Self::Deadlocked => "deadlocked",
            Self::Mixed => "mixed",
            Self::InsufficientData => "insufficient-data",
        }
    }

    /// What it means, in a few words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Idle => "it has hardly anything to do",
            Self::IoBound => "it waits for input and output",
            Self::CpuBound => "it is limited by what one thread can compute",
            Self::GilBound => "its threads queue for Python's global interpreter lock (GIL)",
            Self::NativeParallel => "C code outside the GIL uses several CPUs",
            Self::LockBound => "its threads queue for the program's own locks",
            Self::EventLoopBlocked => "single steps keep its event loop from all other tasks",
            Self::CpuStarved => "its threads are ready but do not get a CPU",
            Self::Deadlocked => "threads or tasks of it wait for each other for ever",
            Self::Mixed => "no single thing holds it back",
            Self::InsufficientData => "too little was seen to judge",
        }
    }
}

impl JsonSchema for Workload {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Workload".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The kinds of workload.",
            "type": "string",
            "enum": Self::ALL.map(Self::name),
        })
    }
}

impl Serialize for Workload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a program is held back by, and how that was found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Verdict {
    /// The kind of workload.
    pub workload: Workload,
    /// How sure that is, from 0 to 1: how clearly the rule holds, times the share of resampled
    /// recordings that give the same verdict, times the share of the evidence that could be read.
    pub confidence: f64,
    /// The arithmetic, a sentence each.
    pub why: Vec<String>,
    /// What else it may be.
    pub runner_up: Option<Workload>,
    /// Who keeps it waiting that is no part of it, where that is what it does.
    pub outside: Option<Outside>,
    /// The numbers behind it.
    pub measures: Measures,
}

/// A row of the decision table.
struct Rule {
    workload: Workload,
    /// How clearly the rule holds, from 0 to 1; it holds from 0.5 on.
    strength: fn(&Load) -> f64,
    /// The arithmetic behind it.
    why: fn(&Load) -> Vec<String>,
}

/// The decision table. The first rule that holds gives the verdict.
///
/// Order matters where one state of affairs makes another: a loop that `time.sleep` blocks looks
/// idle, threads that queue for the GIL keep one CPU busy, and an idle program satisfies every
/// comparison of shares.
const RULES: [Rule; 10] = [
    Rule {
        workload: Workload::InsufficientData,
        strength: rules::insufficient,
        why: why::insufficient,
    },
    Rule { workload: Workload::Deadlocked, strength: rules::deadlocked, why: why::deadlocked },
    Rule {
        workload: Workload::EventLoopBlocked,
        strength: rules::loop_blocked,
        why: why::loop_blocked,
    },
    Rule { workload: Workload::GilBound, strength: rules::gil_bound, why: why::gil_bound },
    Rule { workload: Workload::NativeParallel, strength: rules::native_parallel, why: why::native },
    Rule { workload: Workload::CpuStarved, strength: rules::cpu_starved, why: why::cpu_starved },
    Rule { workload: Workload::Idle, strength: rules::idle, why: why::idle },
    Rule { workload: Workload::LockBound, strength: rules::lock_bound, why: why::lock_bound },
    Rule { workload: Workload::CpuBound, strength: rules::cpu_bound, why: why::cpu_bound },
    Rule { workload: Workload::IoBound, strength: rules::io_bound, why: why::io_bound },
];

impl Verdict {
    /// The verdict on a load; `resamples` say how much of it may be chance.
    ///
    /// The load is that of the recording without its program's start and end, where these are
    /// `phases` of their own.
    pub(super) fn of(
        profile: &Profile,
        load: &Load,
        resamples: &Resamples,
        phases: &[Phase],
    ) -> Self {
        let strengths = RULES.map(|rule| (rule.strength)(load));
        let decided = first_that_holds(&strengths);
        let runner_up = runner_up(&strengths, decided);
        let (workload, strength, why) = match decided.and_then(|index| RULES.get(index)) {
            Some(rule) => (rule.workload, (rule.strength)(load), (rule.why)(load)),
            None => {
                (Workload::Mixed, 1.0 - runner_up.map_or(0.0, |(_, &most)| most), why::mixed(load))
            }
        };
        let same = |totals: &_| workload_of(&load.with(*totals)) == workload;
        let certainty = match workload {
            Workload::InsufficientData => 1.0,
            _ => resamples.share(same).unwrap_or(1.0) * readable(load),
        };
        let waits = matches!(workload, Workload::IoBound | Workload::Mixed);
        let outside = Outside::of(profile, load).filter(|_| waits);
        let sentence = outside.iter().filter(|_| workload == Workload::IoBound);
        let old = why::old_python(profile).filter(|_| workload == Workload::InsufficientData);
        let why = sentence.map(Outside::sentence).chain(why).chain(old);
        let why = why.chain(why::phases(phases)).collect();
        Self {
            workload,
            confidence: rounded(strength * certainty),
            why,
            runner_up: runner_up.and_then(|(index, _)| Some(RULES.get(index)?.workload)),
            outside,
            measures: Measures::of(load, resamples),
        }
    }
}

/// Whether the rule of a workload holds, be it the verdict or not.
pub(super) fn holds(workload: Workload, load: &Load) -> bool {
    let rule = RULES.iter().find(|rule| rule.workload == workload);
    rule.is_some_and(|rule| (rule.strength)(load) >= HOLDS)
}

fn first_that_holds(strengths: &[f64]) -> Option<usize> {
    strengths.iter().position(|&strength| strength >= HOLDS)
}

/// The kind of a workload, and nothing besides.
pub(super) fn workload_of(load: &Load) -> Workload {
    let rule = RULES.iter().find(|rule| (rule.strength)(load) >= HOLDS);
    rule.map_or(Workload::Mixed, |rule| rule.workload)
}

/// The strongest of the rules that did not decide, with its index.
fn runner_up(strengths: &[f64], decided: Option<usize>) -> Option<(usize, &f64)> {
    let suits = |index: usize| match RULES.get(index).map(|rule| rule.workload) {
        Some(Workload::InsufficientData) => false,
        // What goes before it found work, or waits, that it does not see.
        Some(Workload::Idle) => decided.is_none_or(|decided| decided > index),
        _ => decided != Some(0) && decided != Some(index),
    };
    let others = strengths.iter().enumerate();
    let others = others.filter(|&(index, &strength)| strength >= MENTIONED && suits(index));
    others.max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)))
}

/// The share of the evidence that could be read, doubts about very short recordings included.
fn readable(load: &Load) -> f64 {
    let samples = load.totals.samples;
    let seen = load.totals.thread_samples();
    let enough = samples / (samples + FEWEST_SAMPLES / 2.0);
    enough
        * (1.0 - rules::unknown_share(load))
        * (1.0 - ratio(load.facts.rejected, seen + load.facts.rejected))
}

#[cfg(test)]
mod tests {
    use super::{Verdict, Workload};
    use crate::diagnose::bootstrap::Resamples;
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::diagnose::load::Load;
    use crate::model::Cause;

    const WORK: [&str; 2] = ["app.py:<module>:90", "app.py:work:10"];

    fn verdict(fixture: &Fixture) -> Verdict {
        let profile = &fixture.profile;
        let spans = 0..profile.spans.iter().count();
        Verdict::of(profile, &Load::of(profile), &Resamples::of(profile, spans), &[])
    }

    #[track_caller]
    fn expect(workload: Workload, fixture: &Fixture) -> Verdict {
        let verdict = verdict(fixture);
        assert_eq!(verdict.workload, workload, "{:#?}", verdict.why);
        assert!((0.5..=1.0).contains(&verdict.confidence), "{}", verdict.confidence);
        assert!(!verdict.why.is_empty());
        assert_ne!(verdict.runner_up, Some(workload));
        verdict
    }

    /// Threads that each spend their 100 samples of a second as told.
    fn threads(each: &[&[(Cause, u64)]]) -> Fixture {
        let mut fixture = Fixture::new(5);
        for (index, causes) in each.iter().enumerate() {
            let thread = fixture.thread(&format!("thread-{index}"));
            for &(cause, samples) in *causes {
                fixture.spend(thread, samples, &Doing::new(cause, &WORK));
            }
        }
        fixture
    }

    /// So many threads that all do the same.
    fn alike(count: usize, each: &[(Cause, u64)]) -> Fixture {
        threads(&vec![each; count])
    }

    /// One thread with an event loop, blocked once a second for so many samples.
    fn loop_blocked(cause: Cause, samples: u64) -> Fixture {
        let mut fixture = threads(&[&[(Cause::Parked, 100 - samples)]]);
        let thread = crate::model::ThreadId(0);
        fixture.block(thread, samples, &Doing::new(cause, &WORK));
        fixture
    }

    #[test]
    fn a_loop_is_blocked_whatever_blocks_it() {
        for cause in [Cause::Sleep, Cause::Python, Cause::Network, Cause::Lock] {
            let verdict = expect(Workload::EventLoopBlocked, &loop_blocked(cause, 25));
            assert!(verdict.confidence > 0.9, "{:#?}", verdict.why);
        }
    }

    #[test]
    fn a_loop_is_blocked_by_one_long_step() {
        let mut fixture = threads(&[&[(Cause::Parked, 100)]]);
        let thread = crate::model::ThreadId(0);
        fixture.block(thread, 20, &Doing::new(Cause::Sleep, &WORK));
        let episodes = &mut fixture.event_loop(thread).episodes;
        episodes.truncate(1);
        episodes[0].step.end.0 = 100_000_000;
        assert_eq!(verdict(&fixture).workload, Workload::Idle);
        fixture.event_loop(thread).episodes[0].step.end.0 = 1_100_000_000;
        expect(Workload::EventLoopBlocked, &fixture);
    }

    /// A loop that spends nine tenths of its time in steps of 30 ms.
    fn short_steps(cause: Cause) -> Fixture {
        let mut fixture = threads(&[&[(Cause::Parked, 10)]]);
        let length = crate::model::Nanos(30_000_000);
        let doing = Doing::new(cause, &WORK);
        fixture.short_steps(crate::model::ThreadId(0), 90, length, &doing);
        fixture
    }

    #[test]
    fn a_loop_that_waits_in_short_steps_is_blocked_and_not_idle() {
        for cause in [Cause::Sleep, Cause::Network, Cause::Disk, Cause::Child] {
            expect(Workload::EventLoopBlocked, &short_steps(cause));
        }
    }

    #[test]
    fn a_busy_loop_with_short_steps_is_not_blocked() {
        let mut fixture = short_steps(Cause::Python);
        fixture.cpus(0.92, 0.01);
        expect(Workload::CpuBound, &fixture);
    }

    #[test]
    fn a_loop_that_only_lacks_a_cpu_or_the_gil_is_not_to_blame() {
        let mut starved = loop_blocked(Cause::CpuWait, 80);
        starved.spend(crate::model::ThreadId(0), 0, &Doing::new(Cause::Python, &WORK));
        starved.cpus(0.2, 0.8);
        expect(Workload::CpuStarved, &starved);

        let mut contended = loop_blocked(Cause::Gil, 60);
        let others: Vec<_> = (0..2).map(|_| contended.thread("worker")).collect();
        for thread in others {
            contended.spend(thread, 50, &Doing::new(Cause::Python, &WORK));
            contended.spend(thread, 50, &Doing::new(Cause::Gil, &WORK));
        }
        contended.cpus(1.0, 0.05);
        expect(Workload::GilBound, &contended);
    }

    #[test]
    fn a_loop_that_serves_is_io_bound_and_one_that_waits_is_idle() {
        let mut serving = threads(&[&[(Cause::Python, 15), (Cause::Parked, 85)]]);
        serving.event_loop(crate::model::ThreadId(0));
        serving.cpus(0.15, 0.0);
        expect(Workload::IoBound, &serving);
        let mut waiting = threads(&[&[(Cause::Python, 1), (Cause::Parked, 99)]]);
        waiting.event_loop(crate::model::ThreadId(0));
        waiting.cpus(0.01, 0.0);
        expect(Workload::Idle, &waiting);
    }

    #[test]
    fn four_threads_of_python_are_gil_bound() {
        let each = &[(Cause::Python, 25), (Cause::Gil, 75)];
        let mut fixture = alike(4, each);
        fixture.cpus(1.0, 0.1);
        let verdict = expect(Workload::GilBound, &fixture);
        assert!(verdict.confidence > 0.9, "{:#?}", verdict.why);
        assert!(verdict.why[0].contains("3.00 threads"), "{:#?}", verdict.why);
        let held = verdict.measures.get("gil_held").unwrap();
        assert!((held.value - 1.0).abs() < 1e-9 && held.denominator == 500.0, "{held:#?}");
    }

    #[test]
    fn brief_waiters_at_a_free_gil_are_not_gil_bound() {
        let each = &[(Cause::Python, 2), (Cause::Gil, 2), (Cause::Network, 96)];
        let mut fixture = alike(20, each);
        fixture.cpus(0.4, 0.0);
        expect(Workload::IoBound, &fixture);
        let mut one_waiter = threads(&[
            &[(Cause::Python, 97), (Cause::Gil, 3)],
            &[(Cause::Network, 88), (Cause::Gil, 10), (Cause::Python, 2)],
        ]);
        one_waiter.cpus(0.99, 0.0);
        expect(Workload::CpuBound, &one_waiter);
    }

    #[test]
    fn without_a_gil_threads_of_python_are_cpu_bound() {
        let mut fixture = alike(4, &[(Cause::Python, 100)]);
        fixture.profile.meta.gil = false;
        fixture.cpus(3.9, 0.1);
        expect(Workload::CpuBound, &fixture);
    }

    #[test]
    fn a_sequential_downloader_is_io_bound() {
        let mut fixture = threads(&[&[(Cause::Network, 90), (Cause::Python, 10)]]);
        fixture.cpus(0.1, 0.0);
        expect(Workload::IoBound, &fixture);
    }

    #[test]
    fn one_thread_that_computes_is_cpu_bound_in_python_and_in_c() {
        for cause in [Cause::Python, Cause::Native] {
            let mut fixture = threads(&[&[(cause, 99), (Cause::Sleep, 1)]]);
            fixture.cpus(0.99, 0.01);
            expect(Workload::CpuBound, &fixture);
        }
    }

    #[test]
    fn a_computing_thread_beside_waiting_ones_is_cpu_bound() {
        let mut fixture = threads(&[
            &[(Cause::Python, 99), (Cause::Sleep, 1)],
            &[(Cause::Network, 100)],
            &[(Cause::Network, 100)],
        ]);
        fixture.cpus(0.99, 0.0);
        expect(Workload::CpuBound, &fixture);
    }

    #[test]
    fn a_consumer_of_a_queue_does_not_make_it_lock_bound() {
        let wait = [
            "/usr/lib/python3.13/threading.py:Thread._bootstrap:1",
            "app.py:consume:7",
            "/usr/lib/python3.13/queue.py:Queue.get:200",
            "/usr/lib/python3.13/threading.py:Condition.wait:300",
        ];
        let mut fixture = threads(&[&[(Cause::Python, 98), (Cause::Sleep, 2)]]);
        for _ in 0..3 {
            let consumer = fixture.thread("consumer");
            fixture.spend(consumer, 100, &Doing::new(Cause::Lock, &wait));
        }
        fixture.cpus(0.98, 0.0);
        expect(Workload::CpuBound, &fixture);
    }

    #[test]
    fn hashing_in_threads_is_native_parallel_also_with_more_threads_than_cpus() {
        let mut fixture = alike(4, &[(Cause::Native, 97), (Cause::Python, 3)]);
        fixture.cpus(3.8, 0.1);
        expect(Workload::NativeParallel, &fixture);
        let mut crowded =
            alike(4, &[(Cause::Native, 47), (Cause::CpuWait, 50), (Cause::Python, 3)]);
        crowded.profile.meta.usable_cpus = 2.0;
        crowded.cpus(1.9, 2.1);
        expect(Workload::NativeParallel, &crowded);
    }

    #[test]
    fn waiting_for_a_lock_is_lock_bound_whatever_the_holder_does() {
        for holder in [Cause::Sleep, Cause::Python, Cause::Network] {
            let waiting: &[_] = &[(Cause::Lock, 100)];
            let mut fixture = threads(&[&[(holder, 100)], waiting, waiting, waiting]);
            fixture.cpus(if holder == Cause::Python { 1.0 } else { 0.01 }, 0.0);
            expect(Workload::LockBound, &fixture);
        }
    }

    #[test]
    fn threads_ready_without_a_cpu_are_starved() {
        let mut crowded_out = threads(&[&[(Cause::Python, 60), (Cause::CpuWait, 40)]]);
        crowded_out.cpus(0.6, 0.4);
        expect(Workload::CpuStarved, &crowded_out);
        let mut half = alike(4, &[(Cause::Native, 48), (Cause::CpuWait, 52)]);
        half.cpus(1.7, 2.3);
        expect(Workload::CpuStarved, &half);
        let mut quota = threads(&[&[(Cause::Python, 50), (Cause::CpuWait, 50)]]);
        quota.profile.meta.usable_cpus = 0.5;
        quota.cpus(0.5, 0.5);
        expect(Workload::CpuStarved, &quota);
        let mut hardly = threads(&[&[(Cause::Python, 95), (Cause::CpuWait, 5)]]);
        hardly.cpus(0.95, 0.05);
        expect(Workload::CpuBound, &hardly);
    }

    #[test]
    fn parked_and_sleeping_threads_are_idle() {
        expect(Workload::Idle, &alike(50, &[(Cause::Parked, 100)]));
        let mut poller = threads(&[&[(Cause::Sleep, 97), (Cause::Python, 3)]]);
        poller.cpus(0.03, 0.0);
        let verdict = expect(Workload::Idle, &poller);
        assert!(verdict.why.iter().any(|line| line.contains("sleeps")), "{:#?}", verdict.why);
    }

    #[test]
    fn half_and_half_is_mixed() {
        let mut fixture = threads(&[&[(Cause::Network, 50), (Cause::Python, 50)]]);
        fixture.cpus(0.5, 0.0);
        expect(Workload::Mixed, &fixture);
    }

    #[test]
    fn too_little_is_not_judged() {
        expect(Workload::InsufficientData, &Fixture::new(5));
        expect(
            Workload::InsufficientData,
            &threads(&[&[(Cause::Unknown, 90), (Cause::Python, 10)]]),
        );
        let mut short = threads(&[&[(Cause::Python, 2)]]);
        short.profile.quality.samples = 10;
        expect(Workload::InsufficientData, &short);
    }

    #[test]
    fn a_number_near_the_threshold_lowers_the_confidence() {
        let each = |wait| [(Cause::Python, 45), (Cause::Gil, wait), (Cause::Network, 55 - wait)];
        let confidence = |wait: u64| {
            let causes = each(wait);
            let mut fixture = threads(&[&causes, &causes]);
            fixture.cpus(0.9, 0.0);
            expect(Workload::GilBound, &fixture).confidence
        };
        assert!(confidence(28) < 0.7);
        assert!(confidence(50) > 0.9);
    }
}
