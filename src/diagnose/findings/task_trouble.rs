//! Tasks that nobody looks after, that do not end when they are asked to, or that wait for ever:
//! `left-at-exit`, `orphan-task`, `sibling-of-failed-gather`, `exception-never-retrieved`, `cancel-swallowed`,
//! `no-deadline`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::diagnose::site::{Site, innermost_user};
use crate::diagnose::words::{ratio, rounded, seconds};
use crate::model::{FunctionId, Origin, Plight, StackId, TaskSight, TaskTrouble};
use crate::profile::SightProfile;

use super::{Case, Finding, Severity, evidence};

/// A kind of trouble.
struct Kind {
    id: &'static str,
    /// Whether a trouble is of this kind.
    is: fn(&TaskTrouble) -> bool,
    /// From how many seconds on it is told: what is shorter may end by itself.
    lasting: f64,
    severity: Severity,
    /// What one task is in, and what several are.
    one: &'static str,
    many: &'static str,
    advice: &'static str,
}

const KINDS: [Kind; 6] = [
    Kind {
        id: "left-at-exit",
        is: |trouble| *trouble == TaskTrouble::Stopped,
        lasting: 0.5,
        severity: Severity::Info,
        one: "a task is pending, and its event loop is not running",
        many: "tasks are pending, and their event loop is not running",
        advice: "Its cleanup will never run. Cancel and await all tasks before the loop is left: \
            asyncio.run and asyncio.Runner do that by themselves, loop.run_until_complete does \
            not.",
    },
    Kind {
        id: "cancel-swallowed",
        is: |trouble| *trouble == TaskTrouble::Cancelling,
        lasting: 3.0,
        severity: Severity::Error,
        one: "a task was asked to be cancelled and runs on",
        many: "tasks were asked to be cancelled and run on",
        advice: "The coroutine catches CancelledError and goes on, or its cleanup takes this long. \
            Let CancelledError pass (except Exception does not catch it, a bare except and \
            except BaseException do); re-raise it after cleaning up, and give what the cleanup \
            awaits a time limit. Shutdown, timeouts and TaskGroups wait for this task.",
    },
    Kind {
        id: "sibling-of-failed-gather",
        is: |trouble| *trouble == TaskTrouble::Plight(Plight::LeftByGather),
        lasting: 0.5,
        severity: Severity::Warning,
        one: "a task runs on though the gather that it belongs to has failed",
        many: "tasks run on though the gather that they belong to has failed",
        advice: "gather raises at its first exception and leaves the other tasks running, with \
            nobody to await them. Use asyncio.TaskGroup (3.11+), which cancels and awaits the \
            rest, or gather(..., return_exceptions=True).",
    },
    Kind {
        id: "exception-never-retrieved",
        is: |trouble| matches!(trouble, TaskTrouble::Plight(Plight::Unretrieved { .. })),
        lasting: 0.5,
        severity: Severity::Warning,
        one: "a task has failed and nobody has asked for its exception",
        many: "tasks have failed and nobody has asked for their exceptions",
        advice: "The program keeps the failed task and never awaits it: its error is only logged \
            when the task is dropped. Await it, or add a done callback that looks at \
            task.exception(); a TaskGroup does that by itself.",
    },
    Kind {
        id: "no-deadline",
        is: |trouble| matches!(trouble, TaskTrouble::NoDeadline { .. }),
        lasting: 5.0,
        severity: Severity::Warning,
        one: "a task waits for a peer, and no time limit is in sight",
        many: "tasks wait for a peer, and no time limit is in sight",
        advice: "Unless somebody cancels it from elsewhere, a peer that goes silent keeps it for ever. Put the wait into \
            async with asyncio.timeout(seconds) (3.11+) or asyncio.wait_for(..., timeout), or set \
            the client's own timeout.",
    },
    Kind {
        id: "orphan-task",
        is: |trouble| *trouble == TaskTrouble::Plight(Plight::Orphan),
        lasting: 0.5,
        severity: Severity::Warning,
        one: "nobody awaits a task, and only what will wake it refers to it",
        many: "nobody awaits these tasks, and only what will wake them refers to them",
        advice: "asyncio keeps weak references to tasks. When what it waits for is dropped as well, \
            such a task vanishes in the middle of its work, and its exception is lost. Keep it in a set until it is done \
            (tasks.add(task); task.add_done_callback(tasks.discard)), or use a TaskGroup \
            (ruff RUF006).",
    },
];

/// What tasks that are told together have in common: the coroutine, and where they wait.
type Key = (Option<FunctionId>, Option<Site>);

/// How many lines of a chain are shown.
const SHOWN: usize = 12;

pub(super) fn find(case: &Case) -> Vec<Finding> {
    KINDS.iter().flat_map(|kind| find_kind(case, kind)).collect()
}

fn find_kind(case: &Case, kind: &Kind) -> Vec<Finding> {
    let tasks = &case.profile.tasks;
    let mut groups: BTreeMap<Key, Vec<(&TaskSight, &SightProfile)>> = BTreeMap::new();
    for (sight, count) in tasks.in_trouble(kind.is) {
        let lasts = count.longest.seconds() >= kind.lasting && count.looks > 1;
        // What a library does with its own tasks is not for its user to mend.
        let foreign = kind.id == "orphan-task" && is_foreign(case, sight.coroutine);
        if lasts && !foreign {
            let site = innermost_user(case.tables(), sight.chain).map(|line| line.site());
            groups.entry((sight.coroutine, site)).or_default().push((sight, count));
        }
    }
    groups.into_iter().map(|(key, sights)| finding(case, kind, key, &sights)).collect()
}

fn is_foreign(case: &Case, coroutine: Option<FunctionId>) -> bool {
    let function = coroutine.and_then(|id| case.tables().functions.get(id));
    function.is_some_and(|function| Origin::of(function) != Origin::User)
}

fn finding(
    case: &Case,
    kind: &Kind,
    (coroutine, site): Key,
    sights: &[(&TaskSight, &SightProfile)],
) -> Finding {
    let looks = sights.iter().map(|(_, count)| count.looks).max().unwrap_or(0);
    let tasks: u64 = sights.iter().map(|(_, count)| u64::from(count.most)).sum();
    let worst = sights.iter().max_by_key(|(_, count)| count.longest);
    let longest = worst.map_or(0.0, |(_, count)| count.longest.seconds());
    let peers: Vec<&str> = sights.iter().filter_map(|(sight, _)| peer(&sight.trouble)).collect();
    let exceptions = sights.iter().filter_map(|(sight, _)| match &sight.trouble {
        TaskTrouble::Plight(Plight::Unretrieved { exception, .. }) => Some(exception.to_string()),
        _ => None,
    });
    let function = coroutine.and_then(|id| case.tables().functions.get(id));
    let mild = match kind.id {
        "no-deadline" => peers.is_empty(),
        // It may be awaited yet.
        "exception-never-retrieved" => sights.iter().all(|(sight, _)| is_at_hand(&sight.trouble)),
        _ => false,
    };
    let awaits = worst.and_then(|(sight, _)| sight.awaits).map(|awaits| awaits.name());
    Finding {
        id: kind.id,
        name: if tasks == 1 { kind.one } else { kind.many }.to_owned(),
        severity: if mild { Severity::Info } else { kind.severity },
        share: rounded(ratio(looks as f64, case.profile.tasks.looks as f64)),
        seconds: rounded(longest),
        count: tasks,
        site: site.or_else(|| function.map(Site::of)),
        source: None,
        thread: None,
        task: worst.map(|(_, count)| count.name.to_string()),
        evidence: evidence([
            ("share_of", "looks at the tasks".into()),
            ("count_of", "tasks at the look that saw most".into()),
            ("seconds_of", "the longest that one of them was seen so".into()),
            ("looks", looks.into()),
            ("coroutine", json!(function.map(Site::of))),
            ("awaits", awaits.into()),
            ("story", story(case, sights).into()),
            ("chain", worst.map_or(Value::Null, |(sight, _)| chain(case, sight.chain))),
            ("peers", peers.into_iter().collect()),
            ("exceptions", exceptions.collect()),
        ]),
        advice: kind.advice.to_owned(),
    }
}

/// `client waits for stream from 10.0.0.7:5432, for 8.0 s`, of those that are in it longest.
fn story(case: &Case, sights: &[(&TaskSight, &SightProfile)]) -> Vec<String> {
    const TOLD: usize = 2;
    let mut sights = sights.to_vec();
    sights.sort_by_key(|(_, count)| std::cmp::Reverse(count.longest));
    let told = sights.into_iter().take(TOLD).map(|(sight, count)| {
        let what = match &sight.trouble {
            TaskTrouble::Plight(Plight::Unretrieved { exception, .. }) => {
                format!("failed: {exception}")
            }
            trouble => {
                let awaits = sight.awaits.map_or("a call", |awaits| awaits.name());
                let from = peer(trouble).map_or_else(String::new, |peer| format!(" from {peer}"));
                format!("in {awaits}{from}")
            }
        };
        let outermost = crate::diagnose::site::lines(case.tables(), sight.chain).last();
        let of = outermost.map_or_else(String::new, |line| format!(" ({})", line.function.name));
        format!("{}{of}: {what}, {} so far", count.name, seconds(count.longest.seconds()))
    });
    told.collect()
}

fn is_at_hand(trouble: &TaskTrouble) -> bool {
    matches!(trouble, TaskTrouble::Plight(Plight::Unretrieved { at_hand: true, .. }))
}

fn peer(trouble: &TaskTrouble) -> Option<&str> {
    match trouble {
        TaskTrouble::NoDeadline { peer } => peer.as_deref(),
        _ => None,
    }
}

/// The lines of an await chain, outermost first.
pub(super) fn chain(case: &Case, chain: StackId) -> Value {
    let mut lines: Vec<_> =
        crate::diagnose::site::lines(case.tables(), chain).map(|line| line.site()).collect();
    lines.reverse();
    lines.truncate(SHOWN);
    json!(lines)
}
