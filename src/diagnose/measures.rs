//! The numbers of a profile by name, each with what it is a ratio of.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::model::{Cause, ThreadId, Tid};
use crate::profile::Profile;

use super::bootstrap::Resamples;
use super::load::Load;
use super::totals::Totals;
use super::words::{ratio, rounded};

/// A ratio of two named quantities.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Measure {
    /// Numerator by denominator.
    pub value: f64,
    /// Lower end of the interval that holds the value in 95 of 100 recordings of the same
    /// program in the same state; none when the recording is too short to tell.
    pub low: Option<f64>,
    /// Upper end of it.
    pub high: Option<f64>,
    /// The numerator.
    pub numerator: f64,
    /// The denominator.
    pub denominator: f64,
    /// What is divided by what.
    pub of: &'static str,
}

/// The measures of a process, by name.
#[derive(Debug, Clone, Default)]
pub struct Measures(Vec<(&'static str, Measure)>);

/// A measure's numerator and denominator, which resampling asks for again and again.
type Parts = fn(&Totals) -> (f64, f64);

/// The measures that can be told second by second.
const BY_SECOND: [(&str, &str, Parts); 16] = [
    ("gil_waiters", "thread samples waiting for the GIL / process samples", |t| {
        by_cause(t, Cause::Gil)
    }),
    ("lock_waiters", "thread samples waiting to enter a critical section / process samples", |t| {
        (t.entering, t.samples)
    }),
    ("cpus_used", "CPU seconds / seconds", |t| (t.cpu, t.elapsed)),
    ("run_queue", "seconds of threads ready without a CPU / seconds", |t| (t.queued, t.elapsed)),
    ("run_queue_share", "seconds ready without a CPU / seconds ready or on a CPU", |t| {
        (t.queued, t.queued + t.cpu)
    }),
    ("threads_python", "thread samples running Python / process samples", |t| {
        by_cause(t, Cause::Python)
    }),
    ("threads_native", "thread samples running native code / process samples", |t| {
        by_cause(t, Cause::Native)
    }),
    ("threads_cpu_wait", "thread samples waiting for a CPU / process samples", |t| {
        by_cause(t, Cause::CpuWait)
    }),
    ("threads_lock", "thread samples waiting for a lock or signal / process samples", |t| {
        by_cause(t, Cause::Lock)
    }),
    ("threads_network", "thread samples waiting for the network / process samples", |t| {
        by_cause(t, Cause::Network)
    }),
    ("threads_disk", "thread samples waiting for files / process samples", |t| {
        by_cause(t, Cause::Disk)
    }),
    ("threads_pipe", "thread samples waiting for pipes / process samples", |t| {
        by_cause(t, Cause::Pipe)
    }),
    ("threads_child", "thread samples waiting for children / process samples", |t| {
        by_cause(t, Cause::Child)
    }),
    ("threads_sleep", "thread samples asleep / process samples", |t| by_cause(t, Cause::Sleep)),
    ("threads_parked", "thread samples idle by design / process samples", |t| {
        by_cause(t, Cause::Parked)
    }),
    ("threads_unknown", "thread samples not explained / process samples", |t| {
        by_cause(t, Cause::Unknown)
    }),
];

fn by_cause(totals: &Totals, cause: Cause) -> (f64, f64) {
    (totals.of_cause(cause), totals.samples)
}

impl Measures {
    /// The measures of a load, with their intervals.
    pub(super) fn of(load: &Load, resamples: &Resamples) -> Self {
        let facts = &load.facts;
        let samples = load.totals.samples;
        let whole = |value: f64, of| Measure {
            value: rounded(value),
            low: None,
            high: None,
            numerator: rounded(value * samples),
            denominator: samples,
            of,
        };
        let mut all = Vec::with_capacity(BY_SECOND.len() + 4);
        if facts.gil {
            all.push((
                "gil_held",
                whole(facts.held, "samples at which a thread had the GIL / process samples"),
            ));
        }
        all.push((
            "busiest_thread",
            whole(
                facts.busiest,
                "samples at which one thread used or wanted a CPU / process samples",
            ),
        ));
        if facts.usable_cpus.is_finite() {
            let (used, usable) = (load.cpus_used(), facts.usable_cpus);
            let of = "CPUs used / CPUs that the process may use";
            let measure = Measure {
                value: rounded(ratio(used, usable)),
                numerator: rounded(used),
                denominator: usable,
                ..whole(0.0, of)
            };
            all.push(("usable_cpus_used", measure));
        }
        all.extend(of_facts(load).map(|(name, value, denominator, of)| {
            let measure = Measure {
                value: rounded(value),
                numerator: rounded(value * denominator),
                denominator: rounded(denominator),
                ..whole(0.0, of)
            };
            (name, measure)
        }));
        all.extend(
            BY_SECOND
                .iter()
                .map(|&(name, of, parts)| (name, measure(&load.totals, resamples, of, parts))),
        );
        Self(all)
    }

    /// The measure with that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Measure> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, measure)| measure)
    }
}

impl JsonSchema for Measures {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Measures".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let measure = generator.subschema_for::<Measure>();
        schemars::json_schema!({
            "description": "The measures of a process, by name. More names may come.",
            "type": "object",
            "additionalProperties": measure,
        })
    }
}

/// A measure's name, its value, its denominator, and what is divided by what.
type OfFacts = (&'static str, f64, f64, &'static str);

/// The measures that are known of the whole recording only.
fn of_facts(load: &Load) -> [OfFacts; 16] {
    let facts = &load.facts;
    let (marked, tasks) = (&facts.marked, &facts.tasks);
    let (samples, elapsed) = (load.totals.samples, load.totals.elapsed);
    let looks = tasks.looks as f64;
    let running = samples * load.mean_of(&[Cause::Python, Cause::Native]);
    [
        ("children_cpus", facts.children_cpus, elapsed, "CPU seconds of child processes / seconds"),
        (
            "awaiting_children",
            load.awaiting_children(),
            samples,
            "thread samples waiting for what children send / process samples",
        ),
        (
            "ipc",
            marked.ipc,
            samples,
            "thread samples packing, sending or unpacking work of a process pool / process samples",
        ),
        (
            "connecting",
            marked.connecting,
            samples,
            "thread samples setting up a connection / process samples",
        ),
        (
            "overlap",
            ratio(facts.overlaps.io.threads as f64, facts.overlaps.io.samples as f64),
            facts.overlaps.io.samples as f64,
            "thread samples waiting for input and output / process samples at which any does",
        ),
        ("tls", marked.tls, samples, "thread samples in TLS handshakes / process samples"),
        (
            "collecting",
            marked.collecting,
            samples,
            "thread samples collecting garbage / process samples",
        ),
        (
            "importing",
            marked.importing,
            samples,
            "thread samples importing modules / process samples",
        ),
        (
            "asking",
            marked.asking,
            samples,
            "thread samples waiting for the answer to what they asked / process samples",
        ),
        (
            "native_share",
            load.native_share(),
            running,
            "thread samples in C code that released the GIL / thread samples running",
        ),
        (
            "starvation",
            load.starvation(),
            load.within_reach() * elapsed,
            "CPU seconds within reach that the process did not get / CPU seconds within reach",
        ),
        (
            "loop_blocked",
            facts.blocked,
            elapsed,
            "seconds in steps that block an event loop / seconds",
        ),
        (
            "loop_briefly_blocked",
            facts.briefly_blocked,
            elapsed,
            "seconds in shorter steps that wait, or compute for half the threshold / seconds",
        ),
        (
            "task_answers",
            tasks.answers.unwrap_or(0.0),
            looks,
            "looks at which a task waits for a server's answer / looks at the tasks",
        ),
        (
            "task_children",
            tasks.children,
            looks,
            "looks at which a task waits for a child process / looks at the tasks",
        ),
        (
            "loop_waits",
            load.loop_waits(),
            samples,
            "samples of event loops in their selectors that count as input and output / process samples",
        ),
    ]
}

impl Serialize for Measures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, measure)| (name, measure)))
    }
}

fn measure(totals: &Totals, resamples: &Resamples, of: &'static str, parts: Parts) -> Measure {
    let (numerator, denominator) = parts(totals);
    let interval = resamples.interval(|totals| {
        let (numerator, denominator) = parts(totals);
        ratio(numerator, denominator)
    });
    Measure {
        value: rounded(ratio(numerator, denominator)),
        low: interval.map(|interval| rounded(interval.low)),
        high: interval.map(|interval| rounded(interval.high)),
        numerator: rounded(numerator),
        denominator: rounded(denominator),
        of,
    }
}

/// A number of samples and its share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct Share {
    /// How many.
    pub samples: u64,
    /// By all of them.
    pub share: f64,
}

/// What all threads did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct ThreadTotals {
    /// Samples of threads, of which the shares are.
    pub thread_samples: u64,
    /// What the shares are shares of.
    pub share_of: &'static str,
    /// By tag; a tag that never came is absent.
    pub tags: BTreeMap<&'static str, Share>,
    /// By cause; a cause that never came is absent.
    pub causes: BTreeMap<&'static str, Share>,
}

impl ThreadTotals {
    pub(super) fn of(threads: &[ThreadMeasures]) -> Self {
        let all: u64 = threads.iter().map(|thread| thread.samples).sum();
        let summed = |counts: fn(&ThreadMeasures) -> &BTreeMap<&'static str, u64>| {
            let mut sums: BTreeMap<&'static str, Share> = BTreeMap::new();
            for (&name, &samples) in threads.iter().flat_map(counts) {
                sums.entry(name).or_default().samples += samples;
            }
            for sum in sums.values_mut() {
                sum.share = rounded(ratio(sum.samples as f64, all as f64));
            }
            sums
        };
        Self {
            thread_samples: all,
            share_of: "thread samples",
            tags: summed(|thread| &thread.tags),
            causes: summed(|thread| &thread.causes),
        }
    }
}

/// What one thread did, in samples; all shares of it are of `samples`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ThreadMeasures {
    /// The native thread id.
    pub tid: Tid,
    /// Its name.
    pub name: String,
    /// At how many samples it was seen.
    pub samples: u64,
    /// At how many of them it had each tag; a tag that never came is absent.
    pub tags: BTreeMap<&'static str, u64>,
    /// At how many of them it had each cause; a cause that never came is absent.
    pub causes: BTreeMap<&'static str, u64>,
    /// The same as shares.
    pub tag_shares: BTreeMap<&'static str, f64>,
    /// The same as shares.
    pub cause_shares: BTreeMap<&'static str, f64>,
    /// What these are shares of.
    pub share_of: &'static str,
    /// At how many of them it had the GIL.
    pub gil_held: u64,
    /// Its CPU time in seconds.
    pub cpu_seconds: f64,
    /// Its time ready without a CPU in seconds.
    pub queued_seconds: f64,
}

/// The threads that were seen, in the order in which they were met.
pub(super) fn threads(profile: &Profile) -> Vec<ThreadMeasures> {
    let seen = profile.threads.iter().enumerate().filter(|(_, thread)| thread.samples > 0);
    let measured = seen.map(|(index, thread)| {
        let info = profile.tables.thread(ThreadId::from(index));
        let mut tags = BTreeMap::new();
        let mut causes = BTreeMap::new();
        for (&(id, blocking), &samples) in &thread.states {
            let Some(state) = profile.tables.states.get(id) else { continue };
            let tag = if blocking { crate::model::Tag::EventLoopBlocking } else { state.tag };
            *tags.entry(tag.name()).or_default() += samples;
            *causes.entry(state.cause.name()).or_default() += samples;
        }
        let shares = |counts: &BTreeMap<&'static str, u64>| {
            let share = |(name, samples): (&&'static str, &u64)| {
                (*name, rounded(ratio(*samples as f64, thread.samples as f64)))
            };
            counts.iter().map(share).collect()
        };
        ThreadMeasures {
            tag_shares: shares(&tags),
            cause_shares: shares(&causes),
            share_of: "samples of the thread",
            tid: info.map_or(0, |info| info.tid),
            name: info.map_or_else(String::new, |info| info.name.to_string()),
            samples: thread.samples,
            tags,
            causes,
            gil_held: thread.held,
            cpu_seconds: rounded(thread.cpu.seconds()),
            queued_seconds: rounded(thread.queued.seconds()),
        }
    });
    measured.collect()
}
