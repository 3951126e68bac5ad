//! What the tasks of asyncio did, and what is to be said of each lint: that it found something, that
//! it found nothing, or that it is too early to say.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{AwaitKind, LoopKind, Relation, StackId, TaskState, Tid};
use crate::profile::Profile;

use super::findings::{FEWEST_LOOKS, Finding};
use super::site::{Site, innermost_user, lines};
use super::words::{counted, ratio, rounded, seconds};

/// The groups that a report lists.
const MOST_GROUPS: usize = 50;

/// What the tasks did, by the looks at them, about one a second.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TaskMeasures {
    /// How many looks saw the tasks; 0 where no event loop was met.
    pub looks: u64,
    /// How many could not read them: their lists changed at every attempt, or the process had ended.
    pub failed_looks: u64,
    /// The time between the first and the last.
    pub seconds: f64,
    /// The tasks at the first look.
    pub first: u64,
    /// The tasks at the last look.
    pub last: u64,
    /// The tasks at the look that saw most.
    pub most: u64,
    /// The tasks at a look, in the mean.
    pub mean: f64,
    /// What each lint says.
    pub lints: Vec<Lint>,
    /// Tasks that are alike, those with the most time first.
    pub groups: Vec<GroupMeasures>,
    /// The loops at the last look.
    pub loops: Vec<LoopMoment>,
}

/// What a lint says.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Lint {
    /// The id of its findings.
    pub id: &'static str,
    /// What it says.
    pub verdict: LintVerdict,
    /// Why, in a sentence.
    pub why: String,
}

/// What a lint can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LintVerdict {
    /// There are findings.
    Found,
    /// It looked for long enough and found nothing.
    Clean,
    /// It did not look for long enough.
    TooEarly,
    /// The interpreter does not let it see.
    Unknown,
}

/// Tasks that are alike.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GroupMeasures {
    /// The function of their coroutine, where it begins.
    pub coroutine: Option<Site>,
    /// The innermost line of the program's own in their await chain.
    #[serde(rename = "where")]
    pub site: Option<Site>,
    /// What they do.
    pub state: TaskState,
    /// What they wait for.
    pub awaits: Option<AwaitKind>,
    /// How the task waits for them that does.
    pub awaited_by: Option<Relation>,
    /// The function of that task's coroutine, where it begins.
    pub awaiter: Option<Site>,
    /// Their await chain.
    #[serde(skip)]
    #[schemars(skip)]
    pub chain: StackId,
    /// The time that they spent so, in seconds, added up over the tasks.
    pub seconds: f64,
    /// Their number at a look, in the mean.
    pub mean: f64,
    /// Their number at the look that saw most.
    pub most: u32,
    /// The most that one task waits for.
    pub width: u32,
    /// The age of the oldest in seconds, counted from the look that saw it first.
    pub oldest_seconds: f64,
}

/// A loop at the last look.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LoopMoment {
    /// The thread that ran it.
    pub tid: Option<Tid>,
    /// Which event loop it is.
    pub kind: LoopKind,
    /// Whether it is in debug mode.
    pub debug: bool,
    /// Its tasks.
    pub tasks: u32,
    /// Its timers, as far as they can be counted.
    pub timers: Option<u64>,
}

/// The lints, each with the seconds for which it must look, and whether it looks at tasks or at
/// samples of threads.
const LINTS: [(&str, f64); 17] = [
    ("async-deadlock", 2.0),
    ("blocked-event-loop", 1.0),
    ("cancel-swallowed", 4.0),
    ("exception-never-retrieved", 2.0),
    ("executor-saturated", 2.0),
    ("executor-starved", 2.0),
    ("loop-starved-by-gil", 1.0),
    ("no-deadline", 6.0),
    ("orphan-task", 2.0),
    ("queue-growing", 4.0),
    ("semaphore-saturated", 3.0),
    ("async-lock-contention", 3.0),
    ("sibling-of-failed-gather", 2.0),
    ("task-leak", 4.0),
    ("task-never-yields", 2.0),
    ("unbounded-fan-out", 1.0),
    ("unclosed-client", 4.0),
];

/// Those that need several looks, which are rare where tasks are many.
const GROWTHS: [&str; 3] = ["queue-growing", "task-leak", "unclosed-client"];

/// CPython keeps the requests to cancel a task from this version on.
const KEEPS_CANCELLATIONS: (u32, u32) = (3, 11);

/// CPython lists tasks that have ended up to this version.
const LISTS_NO_ENDED: (u32, u32) = (3, 14);

/// What is to be said of the tasks of a profile.
pub(super) fn tasks(profile: &Profile, findings: &[Finding]) -> TaskMeasures {
    let tasks = &profile.tasks;
    let loops = tasks.loops.iter().map(|it| LoopMoment {
        tid: it.tid,
        kind: it.kind,
        debug: it.debug,
        tasks: it.tasks,
        timers: it.timers,
    });
    TaskMeasures {
        looks: tasks.looks,
        failed_looks: tasks.failed,
        seconds: rounded(tasks.seconds()),
        first: tasks.at_first,
        last: tasks.tasks,
        most: tasks.most,
        mean: rounded(ratio(tasks.sum as f64, tasks.looks as f64)),
        lints: if tasks.looks == 0 { Vec::new() } else { lints(profile, findings) },
        groups: groups(profile),
        loops: loops.collect(),
    }
}

fn lints(profile: &Profile, findings: &[Finding]) -> Vec<Lint> {
    let looked = profile.tasks.seconds();
    let lint = |(id, needed): (&'static str, f64)| {
        let found = findings.iter().filter(|finding| finding.id == id).count();
        let (verdict, why) = if found > 0 {
            (LintVerdict::Found, counted(found as u64, "finding"))
        } else if profile.tasks.missed > profile.tasks.sum {
            let why = "most of the tasks could not be read; tasks written in Python \
                (nest_asyncio) never are";
            (LintVerdict::Unknown, why.to_owned())
        } else if id == "cancel-swallowed" && version(&profile.meta.python) < KEEPS_CANCELLATIONS {
            let why = "CPython keeps no requests to cancel before 3.11";
            (LintVerdict::Unknown, why.to_owned())
        } else if id == "exception-never-retrieved"
            && version(&profile.meta.python) >= LISTS_NO_ENDED
            && looked >= needed
        {
            let why = "CPython lists no tasks that have ended since 3.14: those that failed before \
                the first look, or within a second of their start, are not seen";
            (LintVerdict::Unknown, why.to_owned())
        } else if GROWTHS.contains(&id) && profile.tasks.looks < FEWEST_LOOKS as u64 {
            let looks = counted(profile.tasks.looks, "look");
            let why = format!("{looks} in {}, {FEWEST_LOOKS} are needed", seconds(looked));
            (LintVerdict::TooEarly, why)
        } else if looked < needed {
            let why = format!("looked for {}, {} are needed", seconds(looked), seconds(needed));
            (LintVerdict::TooEarly, why)
        } else {
            (LintVerdict::Clean, format!("looked for {}", seconds(looked)))
        };
        Lint { id, verdict, why }
    };
    LINTS.into_iter().map(lint).collect()
}

fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn groups(profile: &Profile) -> Vec<GroupMeasures> {
    let tables = &profile.tables;
    let mut groups: Vec<_> = profile.tasks.groups.iter().collect();
    groups.sort_by_key(|(group, it)| (std::cmp::Reverse(it.time), **group));
    groups.truncate(MOST_GROUPS);
    let measures = groups.into_iter().map(|(group, it)| GroupMeasures {
        coroutine: lines(tables, group.chain).last().map(|line| Site::of(line.function)),
        site: innermost_user(tables, group.chain).map(|line| line.site()),
        state: group.state,
        awaits: group.awaits,
        awaited_by: group.parent.map(|(relation, _)| relation),
        awaiter: group
            .parent
            .and_then(|(_, chain)| Some(Site::of(lines(tables, chain).last()?.function))),
        chain: group.chain,
        seconds: rounded(it.time.seconds()),
        mean: rounded(ratio(it.tasks as f64, profile.tasks.looks as f64)),
        most: it.most,
        width: it.width,
        oldest_seconds: rounded(it.oldest.seconds()),
    });
    measures.collect()
}
