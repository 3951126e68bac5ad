//! What stands out in a profile: each finding with numbers, evidence and advice.

mod blocked_loop;
mod blocks_shutdown;
mod cpu_starved;
mod database_locked;
mod deadlock;
mod executor_starved;
mod fan_out;
mod gc_pressure;
mod gil_contention;
mod growth;
mod holding_gil;
mod left_at_exit;
mod lock_contention;
mod lock_held;
mod lock_on_event_loop;
mod loop_advice;
mod sequential_io;
mod starved_loop;
mod task_deadlock;
mod task_trouble;
mod unclosed_client;
mod unknown;

pub(super) use self::growth::FEWEST_LOOKS;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::catalog::{Catalog, Probe};
use crate::model::{Cause, State, Tables, ThreadId};
use crate::profile::{Profile, ThreadProfile};

use super::load::Load;
use super::site::{Site, innermost_user};
use super::words::ratio;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It holds the program back now.
    Error,
    /// It costs time, or will when the load grows.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    /// The stable name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Something that stands out.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Finding {
    /// The stable id of its kind.
    pub id: &'static str,
    /// What was found, in a few words.
    pub name: String,
    /// How grave it is.
    pub severity: Severity,
    /// How much of the time it concerns; `share_of` in the evidence says of which time.
    pub share: f64,
    /// How much time that is, in seconds; seconds of several threads add up.
    pub seconds: f64,
    /// How often: `count_of` in the evidence says what was counted.
    pub count: u64,
    /// The line of the program's own code that it concerns.
    #[serde(rename = "where")]
    pub site: Option<Site>,
    /// The text of that line, where it could be read.
    pub source: Option<String>,
    /// The thread that it concerns, when it is one.
    pub thread: Option<String>,
    /// The task that it concerns.
    pub task: Option<String>,
    /// The numbers behind it, and what they are numbers of.
    pub evidence: Map<String, Value>,
    /// What to do.
    pub advice: String,
}

/// The most findings of one family: more of the same kind help nobody.
const MOST_PER_FAMILY: usize = 20;

/// A family of findings.
type Family = fn(&Case) -> Vec<Finding>;

/// All families.
const FAMILIES: [Family; 21] = [
    deadlock::find,
    blocked_loop::find,
    gil_contention::find,
    gc_pressure::find,
    holding_gil::find,
    lock_held::find,
    lock_contention::find,
    database_locked::find,
    lock_on_event_loop::find,
    executor_starved::find,
    task_deadlock::find,
    growth::find,
    task_trouble::find,
    unclosed_client::find,
    fan_out::find,
    starved_loop::find,
    sequential_io::find,
    cpu_starved::find,
    blocks_shutdown::find,
    left_at_exit::find,
    unknown::find,
];

/// The ids of all findings.
pub const FINDINGS: [&str; 32] = [
    "deadlock",
    "blocked-event-loop",
    "gil-contention",
    "gc-pressure",
    "blocking-while-holding-gil",
    "sleep-under-lock",
    "lock-held-across-io",
    "priority-inversion",
    "lock-contention",
    "database-locked",
    "lock-on-event-loop",
    "executor-starved",
    "executor-saturated",
    "async-deadlock",
    "task-leak",
    "queue-growing",
    "left-at-exit",
    "cancel-swallowed",
    "sibling-of-failed-gather",
    "exception-never-retrieved",
    "no-deadline",
    "orphan-task",
    "unclosed-client",
    "unbounded-fan-out",
    "semaphore-saturated",
    "async-lock-contention",
    "loop-starved-by-gil",
    "task-never-yields",
    "sequential-io",
    "cpu-starved",
    "blocks-shutdown",
    "unknown-causes",
];

/// Everything that stands out, gravest first.
pub(super) fn find(profile: &Profile, catalog: &Catalog, load: &Load) -> Vec<Finding> {
    let case = Case::new(profile, catalog, load);
    let mut all = Vec::new();
    for family in FAMILIES {
        let mut found = family(&case);
        sort(&mut found);
        found.truncate(MOST_PER_FAMILY);
        all.extend(found);
    }
    sort(&mut all);
    for finding in &mut all {
        let text = |site: &Site| profile.surroundings.source(&site.file, site.line);
        finding.source = finding.site.as_ref().and_then(text).map(str::to_owned);
    }
    // Who adds a finding adds its id as well: `pyconc explain` and its tests go by the list.
    debug_assert!(all.iter().all(|finding| FINDINGS.contains(&finding.id)));
    all
}

fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        let by_share = || b.share.total_cmp(&a.share);
        a.severity.cmp(&b.severity).then_with(by_share).then_with(|| a.site.cmp(&b.site))
    });
}

/// What a family looks at.
pub(super) struct Case<'a> {
    profile: &'a Profile,
    catalog: &'a Catalog,
    load: &'a Load,
    rows: Vec<Row<'a>>,
}

/// How often one Python thread was in one state.
#[derive(Clone, Copy)]
struct Row<'a> {
    thread: ThreadId,
    state: &'a State,
    /// Whether the samples belong to steps that blocked the thread's event loop.
    blocking: bool,
    samples: u64,
}

impl<'a> Case<'a> {
    fn new(profile: &'a Profile, catalog: &'a Catalog, load: &'a Load) -> Self {
        let mut rows: Vec<_> = Vec::new();
        for (index, counts) in profile.threads.iter().enumerate() {
            let thread = ThreadId::from(index);
            if profile.tables.thread(thread).is_some_and(|info| info.python) {
                rows.extend(rows_of(&profile.tables, thread, counts));
            }
        }
        Self { profile, catalog, load, rows }
    }

    fn tables(&self) -> &'a Tables {
        &self.profile.tables
    }

    /// The rows for which something holds.
    fn rows(&self, holds: impl Fn(&Row) -> bool) -> impl Iterator<Item = &Row<'a>> {
        self.rows.iter().filter(move |row| holds(row))
    }

    /// How often Python threads had a cause, in samples.
    fn samples_of(&self, cause: Cause) -> u64 {
        self.rows(|row| row.state.cause == cause).map(|row| row.samples).sum()
    }

    /// The time that so many samples of a thread stand for, in seconds.
    fn seconds(&self, samples: u64) -> f64 {
        samples as f64 * ratio(self.load.totals.elapsed, self.load.totals.samples)
    }

    /// So many samples by the samples of the process.
    fn share(&self, samples: u64) -> f64 {
        ratio(samples as f64, self.load.totals.samples)
    }

    /// Whether a thread waits for ever, which is a finding of its own.
    fn is_deadlocked(&self, thread: ThreadId) -> bool {
        let mut deadlocks = self.profile.deadlocks.iter().map(|seen| &seen.deadlock);
        deadlocks.any(|it| it.ring.iter().chain(&it.victims).any(|wait| wait.thread == thread))
    }

    fn thread_name(&self, thread: ThreadId) -> Option<String> {
        self.tables().thread(thread).map(|info| info.name.to_string())
    }

    /// The probe that a state's note names.
    fn probe(&self, state: &State) -> Option<&'a Probe> {
        self.catalog.probe(self.tables().note(state)?)
    }

    /// Where in the user's own code a row stands.
    fn site(&self, row: &Row) -> Option<Site> {
        innermost_user(self.tables(), row.state.stack).map(|line| line.site())
    }

    /// Rows by where in the user's own code they stand, most samples first.
    fn by_site(&self, holds: impl Fn(&Row) -> bool) -> Vec<(Option<Site>, Vec<Row<'a>>)> {
        let mut groups: HashMap<_, Vec<_>> = HashMap::new();
        for row in self.rows(holds) {
            groups.entry(self.site(row)).or_default().push(*row);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_cached_key(|(site, rows)| (Reverse(total(rows)), site.clone()));
        groups
    }
}

fn rows_of<'a>(
    tables: &'a Tables,
    thread: ThreadId,
    counts: &ThreadProfile,
) -> impl Iterator<Item = Row<'a>> {
    let mut counts: Vec<_> = counts.states.iter().map(|(&key, &samples)| (key, samples)).collect();
    counts.sort_unstable();
    counts.into_iter().filter_map(move |((id, blocking), samples)| {
        Some(Row { thread, state: tables.states.get(id)?, blocking, samples })
    })
}

/// All samples of some rows.
fn total(rows: &[Row]) -> u64 {
    rows.iter().map(|row| row.samples).sum()
}

/// The keys of weighted items, heaviest first; equal ones in their own order.
fn heaviest<K: Ord + Hash + Clone>(items: impl IntoIterator<Item = (K, u64)>) -> Vec<(K, u64)> {
    let mut weights: HashMap<K, u64> = HashMap::new();
    for (key, weight) in items {
        *weights.entry(key).or_default() += weight;
    }
    let mut sorted: Vec<_> = weights.into_iter().collect();
    sorted.sort_by_cached_key(|(key, weight)| (Reverse(*weight), key.clone()));
    sorted
}

/// Builds a finding's evidence from pairs.
fn evidence<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Finding, Severity, find};
    use crate::catalog::Catalog;
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::diagnose::load::Load;
    use crate::model::{Cause, Nanos, ThreadId};

    const POOL: &str = "/usr/lib/python3.13/threading.py:Thread._bootstrap:1000";

    fn found(fixture: &Fixture) -> Vec<Finding> {
        find(&fixture.profile, &Catalog::default(), &Load::of(&fixture.profile))
    }

    #[track_caller]
    fn only(id: &str, fixture: &Fixture) -> Finding {
        let found = found(fixture);
        let [finding] = &found[..] else { panic!("{found:#?}") };
        assert_eq!(finding.id, id);
        assert!(!finding.advice.is_empty() && !finding.name.is_empty());
        for key in ["share_of", "count_of"] {
            assert!(finding.evidence[key].is_string(), "{key}");
        }
        finding.clone()
    }

    fn at(finding: &Finding) -> String {
        let site = finding.site.as_ref().unwrap();
        format!("{}:{} {}", site.file, site.line, site.function)
    }

    #[test]
    fn a_blocked_loop_names_the_call_and_the_handler() {
        let finding = only("blocked-event-loop", &Fixture::blocked_by_sleep());
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(at(&finding), "app.py:12 charge");
        assert_eq!(finding.evidence["handler"]["function"], "serve");
        assert_eq!((finding.share, finding.seconds, finding.count), (0.3, 1.5, 5));
        assert_eq!(finding.evidence["longest_seconds"], 0.3);
        assert_eq!(finding.evidence["mean_delay_seconds"], 0.045);
        assert_eq!(finding.thread.as_deref(), Some("MainThread"));
    }

    #[test]
    fn a_loop_that_never_waits_still_tells_its_handler() {
        let mut fixture = Fixture::new(5);
        let thread = fixture.thread("MainThread");
        let run = "/usr/lib/python3.13/asyncio/base_events.py:BaseEventLoop._run_once:2000";
        let stack =
            ["app.py:<module>:90", "app.py:main:80", run, "app.py:serve:30", "app.py:rank:5"];
        fixture.block(thread, 60, &Doing::new(Cause::Python, &stack));
        fixture.block(thread, 40, &Doing::new(Cause::Native, &stack));
        let found = found(&fixture);
        assert_eq!(found.len(), 2, "work and wait of one handler are two findings: {found:#?}");
        for finding in &found {
            assert_eq!(finding.evidence["handler"]["function"], "serve");
            assert_eq!(at(finding), "app.py:5 rank");
        }
        assert!(found[0].share > found[1].share);
    }

    #[test]
    fn short_steps_are_told_where_they_add_up() {
        let short = |cause, samples, millis: u64| {
            let mut fixture = Fixture::new(5);
            let thread = fixture.thread("MainThread");
            let run = "/usr/lib/python3.13/asyncio/base_events.py:BaseEventLoop._run_once:2000";
            let stack = ["app.py:main:80", run, "app.py:serve:30"];
            let doing = Doing::new(cause, &stack);
            fixture.short_steps(thread, samples, Nanos(millis * 1_000_000), &doing);
            fixture
        };
        let severity = |fixture| only("blocked-event-loop", &fixture).severity;
        assert_eq!(severity(short(Cause::Sleep, 60, 30)), Severity::Error);
        assert_eq!(severity(short(Cause::Disk, 10, 2)), Severity::Warning);
        assert_eq!(severity(short(Cause::Python, 60, 30)), Severity::Warning);
        assert_eq!(found(&short(Cause::Python, 60, 10)), [], "work in small pieces");
        assert_eq!(found(&short(Cause::Python, 10, 30)), [], "work now and then");
        assert_eq!(found(&short(Cause::Disk, 2, 5)), [], "a wait now and then");
    }

    #[test]
    fn gil_contention_names_holders_and_waiters() {
        let mut fixture = Fixture::new(5);
        for (name, line) in
            [("one", "app.py:hot:7"), ("two", "app.py:hot:8"), ("three", "app.py:warm:9")]
        {
            let thread = fixture.thread(name);
            fixture.spend(thread, 33, &Doing::new(Cause::Python, &[POOL, line]));
            fixture.spend(thread, 66, &Doing::new(Cause::Gil, &[POOL, line]));
        }
        fixture.cpus(1.0, 0.05);
        let finding = only("gil-contention", &fixture);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(finding.evidence["mean_waiters"], 1.98);
        let holders = finding.evidence["holders"].as_array().unwrap();
        assert_eq!(holders[0]["function"], "hot");
        assert_eq!(holders[0]["share_of_python_samples"], 0.667);
        assert_eq!(finding.site.unwrap().function, "hot");
        assert_eq!(finding.evidence["waiters"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn one_request_at_a_time_names_its_peer_and_two_threads_are_not_sequential() {
        let waits = Doing::new(
            Cause::Network,
            &["get.py:fetch:20", "/usr/lib/python3.13/socket.py:SocketIO.readinto:700"],
        );
        let waits = waits.peer("192.0.2.7:443");
        let works = Doing::new(Cause::Python, &["get.py:parse:30"]);
        let mut fixture = Fixture::new(5);
        for _ in 0..2 {
            let thread = fixture.thread("downloads");
            fixture.spend(thread, 90, &waits);
            fixture.spend(thread, 10, &works);
            fixture.cpus(0.1, 0.0);
            if thread == ThreadId(0) {
                let finding = only("sequential-io", &fixture);
                assert_eq!(at(&finding), "get.py:20 fetch");
                assert_eq!(finding.severity, Severity::Warning);
                assert_eq!(finding.share, 0.9);
                assert_eq!(finding.evidence["peers"][0]["peer"], "192.0.2.7:443");
            }
        }
        assert_eq!(found(&fixture), []);
    }

    #[test]
    fn lock_waits_are_found_and_waits_for_signals_are_not() {
        let mut fixture = Fixture::new(5);
        let holder = fixture.thread("holder");
        fixture.spend(holder, 100, &Doing::new(Cause::Sleep, &[POOL, "app.py:save:5"]));
        for _ in 0..3 {
            let waiter = fixture.thread("waiter");
            fixture.spend(waiter, 100, &Doing::new(Cause::Lock, &[POOL, "app.py:save:4"]));
        }
        let semaphore = "/usr/lib/python3.13/threading.py:Semaphore.__enter__:500";
        let wait = "/usr/lib/python3.13/threading.py:Condition.wait:350";
        let stack = [POOL, "app.py:load:9", semaphore, wait];
        let throttled = fixture.thread("throttled");
        fixture.spend(throttled, 100, &Doing::new(Cause::Lock, &stack));
        let stack = [POOL, "app.py:consume:2", "/usr/lib/python3.13/queue.py:Queue.get:180", wait];
        let consumer = fixture.thread("consumer");
        fixture.spend(consumer, 100, &Doing::new(Cause::Lock, &stack));
        let found = found(&fixture);
        let sites: Vec<_> = found.iter().map(at).collect();
        assert_eq!(sites, ["app.py:4 save", "app.py:9 load"]);
        assert_eq!((found[0].share, found[0].severity), (0.75, Severity::Error));
        assert_eq!(found[0].thread, None);
        assert_eq!(found[1].thread.as_deref(), Some("throttled"));
    }

    #[test]
    fn a_wait_with_the_gil_held_is_an_error_when_others_want_it() {
        let mut fixture = Fixture::new(5);
        let thread = fixture.thread("MainThread");
        let query = Doing::new(Cause::Network, &["app.py:query:3"]).note("holds-gil");
        fixture.spend(thread, 20, &query);
        fixture.spend(thread, 80, &Doing::new(Cause::Sleep, &["app.py:rest:4"]));
        let finding = only("blocking-while-holding-gil", &fixture);
        assert_eq!((finding.severity, at(&finding)), (Severity::Warning, "app.py:3 query".into()));
        let other = fixture.thread("other");
        fixture.spend(other, 25, &Doing::new(Cause::Gil, &["app.py:serve:9"]));
        let found = found(&fixture);
        let finding = found.iter().find(|finding| finding.id == "blocking-while-holding-gil");
        assert_eq!(finding.unwrap().severity, Severity::Error);
    }

    #[test]
    fn a_lack_of_cpus_is_told_from_too_many_threads() {
        let mut fixture = Fixture::new(5);
        let thread = fixture.thread("MainThread");
        fixture.spend(thread, 60, &Doing::new(Cause::Python, &["app.py:work:1"]));
        fixture.spend(thread, 40, &Doing::new(Cause::CpuWait, &["app.py:work:1"]));
        fixture.cpus(0.6, 0.4);
        assert_eq!(only("cpu-starved", &fixture).severity, Severity::Error);
        fixture.cpus(4.0, 4.0);
        assert_eq!(only("cpu-starved", &fixture).severity, Severity::Info);
    }

    #[test]
    fn unknown_causes_come_with_their_reasons() {
        let mut fixture = Fixture::new(5);
        let thread = fixture.thread("MainThread");
        fixture.spend(thread, 95, &Doing::new(Cause::Sleep, &["app.py:rest:4"]));
        fixture.spend(
            thread,
            5,
            &Doing::new(Cause::Unknown, &["app.py:odd:5"]).note("system call 451"),
        );
        let finding = only("unknown-causes", &fixture);
        assert_eq!((finding.share, finding.severity), (0.05, Severity::Info));
        assert_eq!(finding.evidence["reasons_samples"]["system call 451"], 25);
    }

    #[test]
    fn a_healthy_program_has_no_findings() {
        let mut fixture = Fixture::new(5);
        for _ in 0..4 {
            let thread = fixture.thread("hash");
            fixture.spend(thread, 97, &Doing::new(Cause::Native, &[POOL, "app.py:check:7"]));
            fixture.spend(thread, 3, &Doing::new(Cause::Python, &[POOL, "app.py:check:7"]));
        }
        fixture.cpus(3.9, 0.05);
        assert_eq!(found(&fixture), []);
    }
}
