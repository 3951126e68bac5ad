//! `unbounded-fan-out`, `semaphore-saturated`, `async-lock-contention`: how many tasks one task waits for, and what bounds
//! how many of them are at work.

use std::collections::BTreeMap;

use serde_json::json;

use crate::diagnose::site::{Site, innermost_user, lines};
use crate::diagnose::words::{ratio, rounded};
use crate::model::{AwaitKind, FunctionId, Relation, StackId, TaskGroup};
use crate::profile::GroupProfile;

use super::task_trouble::chain;
use super::{Case, Finding, Severity, evidence};

/// From how many tasks on a fan-out is wide.
const WIDE: u32 = 100;
/// Which share of them may be at work at once when something bounds it.
const AT_WORK: f64 = 0.5;
/// At which share of the looks tasks must have waited for a semaphore, how many looks there must be
/// at least, and how many tasks must have waited in the mean.
const MOSTLY: f64 = 0.7;
const FEWEST_LOOKS: u64 = 3;
const WAITERS: f64 = 2.0;

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let mut found = fan_outs(case);
    found.extend(scattered(case));
    found.extend(saturated(case));
    found
}

/// The tasks that tasks with one chain wait for, by one means.
#[derive(Default)]
struct Family<'a> {
    groups: Vec<(&'a TaskGroup, &'a GroupProfile)>,
}

fn fan_outs(case: &Case) -> Vec<Finding> {
    let mut families: BTreeMap<(Relation, StackId), Family> = BTreeMap::new();
    for (group, profile) in &case.profile.tasks.groups {
        if let Some(parent) = group.parent {
            families.entry(parent).or_default().groups.push((group, profile));
        }
    }
    families.into_iter().filter_map(|(parent, family)| fan_out(case, parent, &family)).collect()
}

fn fan_out(
    case: &Case,
    (relation, parent): (Relation, StackId),
    family: &Family,
) -> Option<Finding> {
    let groups = || family.groups.iter().copied();
    // Groups follow each other as the tasks proceed: the widest is how many there were at least.
    let width = groups().map(|(_, it)| it.width).max()?;
    let tasks: u64 = groups().map(|(_, it)| it.tasks).sum();
    // Those that wait for their turn are not at work.
    let turn = groups().filter(|(group, _)| group.awaits.is_some_and(|it| TURNS.contains(&it)));
    let waiting: u64 = turn.map(|(_, it)| it.tasks).sum();
    let at_work = 1.0 - ratio(waiting as f64, tasks as f64);
    // Workers that take what they do from a queue are as many as were asked for.
    if width < WIDE || at_work < AT_WORK || groups().any(|(_, it)| it.workers) {
        return None;
    }
    let (most, profile) = groups().max_by_key(|(group, it)| (it.tasks, **group))?;
    let site = innermost_user(case.tables(), parent).map(|line| line.site());
    Some(Finding {
        id: "unbounded-fan-out",
        name: format!("one task waits for {width} at once, and nothing bounds them"),
        severity: Severity::Warning,
        share: rounded(ratio(profile.looks as f64, case.profile.tasks.looks as f64)),
        seconds: rounded(profile.time.seconds()),
        count: u64::from(width),
        site,
        source: None,
        thread: None,
        task: None,
        evidence: evidence([
            ("share_of", "looks at the tasks".into()),
            ("count_of", "tasks that one task waits for".into()),
            ("seconds_of", "time of all of them in the wait that is most frequent".into()),
            ("relation", json!(relation)),
            ("at_work_share", rounded(at_work).into()),
            ("at_work_share_of", "tasks that one task waits for, over the looks".into()),
            ("awaits", json!(most.awaits)),
            ("chain", chain(case, most.chain)),
        ]),
        advice: ADVICE.to_owned(),
    })
}

/// Tasks of one coroutine of the program's that no task waits for. They may be one for each client,
/// and then so many are what a server is for: it is for the reader to know.
fn scattered(case: &Case) -> Vec<Finding> {
    let tables = case.tables();
    let mut coroutines: BTreeMap<FunctionId, Family> = BTreeMap::new();
    for (group, profile) in &case.profile.tasks.groups {
        let coroutine = lines(tables, group.chain).last();
        let own = coroutine.filter(|line| line.is_user() && group.parent.is_none());
        if let Some(line) = own {
            coroutines.entry(line.id).or_default().groups.push((group, profile));
        }
    }
    let found = coroutines.into_iter().filter_map(|(function, family)| {
        let groups = || family.groups.iter().copied();
        let (most, profile) = groups().max_by_key(|(group, it)| (it.most, **group))?;
        let awaits_turn = most.awaits.is_some_and(|it| TURNS.contains(&it));
        if profile.most < WIDE || awaits_turn || groups().any(|(_, it)| it.workers) {
            return None;
        }
        Some(Finding {
            id: "unbounded-fan-out",
            name: format!(
                "{} tasks of one coroutine at once, which no task waits for",
                profile.most
            ),
            severity: Severity::Info,
            share: rounded(ratio(profile.looks as f64, case.profile.tasks.looks as f64)),
            seconds: rounded(profile.time.seconds()),
            count: profile.most.into(),
            site: tables.functions.get(function).map(Site::of),
            source: None,
            thread: None,
            task: None,
            evidence: evidence([
                ("share_of", "looks at the tasks".into()),
                ("count_of", "tasks at the look that saw most".into()),
                ("seconds_of", "time of all of them in the wait that is most frequent".into()),
                ("awaits", json!(most.awaits)),
                ("chain", chain(case, most.chain)),
            ]),
            advice: format!("Where they are not one for each client: {ADVICE}"),
        })
    });
    found.collect()
}

/// What bounds how many tasks are at work: those that wait for it wait for their turn.
const TURNS: [AwaitKind; 4] =
    [AwaitKind::Semaphore, AwaitKind::Lock, AwaitKind::Executor, AwaitKind::Queue];

const ADVICE: &str = "Bound how many are at work at once: async with asyncio.Semaphore(n) inside \
    the coroutine, or n workers that take the items from a queue. Otherwise memory, connections \
    and the peer's patience grow with the number of items.";

/// Something of asyncio's that many tasks wait for, one after the other.
struct Turnstile {
    awaits: AwaitKind,
    id: &'static str,
    severity: Severity,
    /// What they wait for, in words.
    what: &'static str,
    advice: &'static str,
}

const TURNSTILES: [Turnstile; 2] = [
    Turnstile {
        awaits: AwaitKind::Semaphore,
        id: "semaphore-saturated",
        severity: Severity::Info,
        what: "a permit of a semaphore",
        advice: "The semaphore does what it is for. If what it protects could bear more, give it more \
            permits; if the tasks wait too long, do less while a permit is held, or start fewer of them.",
    },
    Turnstile {
        awaits: AwaitKind::Lock,
        id: "async-lock-contention",
        severity: Severity::Warning,
        what: "an asyncio.Lock",
        advice: "Await less while the lock is held: whoever has it keeps all others waiting for what it \
            waits for. Where it guards a connection, use several (a pool with a bound); where it guards \
            data, take the wait out of the block.",
    },
];

fn saturated(case: &Case) -> Vec<Finding> {
    // Who waits in a circle is told of as that.
    let stuck = case.profile.tasks.lasting_deadlocks().next().is_some();
    let told = TURNSTILES.iter().filter(|it| !stuck || it.awaits != AwaitKind::Lock);
    let mut found: Vec<_> = told.flat_map(|turnstile| waiting_at(case, turnstile)).collect();
    found.sort_by(|a, b| a.site.cmp(&b.site));
    found
}

fn waiting_at<'a>(
    case: &'a Case,
    turnstile: &'a Turnstile,
) -> impl Iterator<Item = Finding> + use<'a> {
    let tasks = &case.profile.tasks;
    let waits = tasks.groups.iter().filter(|(it, _)| it.awaits == Some(turnstile.awaits));
    waits.filter_map(move |(group, profile)| {
        let share = ratio(profile.looks as f64, tasks.looks as f64);
        let mean = ratio(profile.tasks as f64, tasks.looks as f64);
        if profile.looks < FEWEST_LOOKS || share < MOSTLY || mean < WAITERS {
            return None;
        }
        Some(Finding {
            id: turnstile.id,
            name: format!("{mean:.0} tasks wait for {}", turnstile.what),
            severity: turnstile.severity,
            share: rounded(share),
            seconds: rounded(profile.time.seconds()),
            count: u64::from(profile.most),
            site: innermost_user(case.tables(), group.chain).map(|line| line.site()),
            source: None,
            thread: None,
            task: None,
            evidence: evidence([
                ("share_of", "looks at the tasks".into()),
                ("count_of", "tasks that waited at the look that saw most".into()),
                ("seconds_of", "time of all of them in this wait".into()),
                ("mean_waiters", rounded(mean).into()),
                ("same_object", profile.same_object.into()),
                ("chain", chain(case, group.chain)),
            ]),
            advice: turnstile.advice.to_owned(),
        })
    })
}
