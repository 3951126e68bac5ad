//! `loop-starved-by-gil`, `task-never-yields`: an event loop that does not come to its tasks.

use serde_json::{Value, json};

use crate::diagnose::event_loop::{handler, selector_stacks};
use crate::diagnose::site::{Site, innermost_user};
use crate::diagnose::words::{ratio, rounded, seconds};
use crate::model::{Cause, ThreadId};
use crate::profile::ThreadProfile;

use super::{Case, Finding, Severity, evidence, heaviest, total};

/// Which share of the time in which a loop has something to do it must wait for the GIL, and how
/// many samples that must be.
const STARVED: f64 = 0.2;
const FEWEST_SAMPLES: u64 = 20;
/// How many others are named.
const NAMED: usize = 5;
/// How long a step must last that no task yields in, in thresholds and in seconds.
const THRESHOLDS: f64 = 10.0;
const LONGEST: f64 = 2.0;

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let threads = case.profile.threads.iter().enumerate();
    let with_loop = threads.filter(|(_, thread)| thread.event_loop.is_some());
    with_loop
        .flat_map(|(index, thread)| {
            let id = ThreadId::from(index);
            starved(case, id, thread).into_iter().chain(never_yields(case, id, thread))
        })
        .collect()
}

fn starved(case: &Case, id: ThreadId, thread: &ThreadProfile) -> Option<Finding> {
    let rows = case.rows(|row| row.thread == id).copied().collect::<Vec<_>>();
    let of = |cause| -> u64 {
        rows.iter().filter(|row| row.state.cause == cause).map(|row| row.samples).sum()
    };
    let busy = total(&rows).saturating_sub(of(Cause::Parked));
    let waits = of(Cause::Gil);
    let share = ratio(waits as f64, busy as f64);
    if waits < FEWEST_SAMPLES || share < STARVED {
        return None;
    }
    let holders = heaviest(thread.gil_waits.iter().map(|(holder, samples)| (*holder, *samples)));
    let named = |(holder, samples): &(ThreadId, u64)| {
        json!({
            "thread": case.thread_name(*holder),
            "share_of_waits": rounded(ratio(*samples as f64, waits as f64)),
        })
    };
    // Where the thread computes that has the GIL most often meanwhile.
    let holder = holders.first().map(|(holder, _)| *holder);
    let computes = case.rows(|row| {
        Some(row.thread) == holder && matches!(row.state.cause, Cause::Python | Cause::Gil)
    });
    let sites = heaviest(computes.map(|row| (case.site(row), row.samples)));
    Some(Finding {
        id: "loop-starved-by-gil",
        name: "the event loop waits for the GIL that other threads have".to_owned(),
        severity: if share >= 0.5 { Severity::Error } else { Severity::Warning },
        share: rounded(share),
        seconds: rounded(case.seconds(waits)),
        count: waits,
        site: sites.into_iter().find_map(|(site, _)| site),
        source: None,
        thread: case.thread_name(id),
        task: None,
        evidence: evidence([
            ("share_of", "samples of the loop's thread in which the loop is not idle".into()),
            ("count_of", "samples in which it waits for the GIL".into()),
            ("holders", holders.iter().take(NAMED).map(named).collect::<Value>()),
        ]),
        advice: "The threads above compute in Python beside the loop. Move their work to \
            processes (loop.run_in_executor with a ProcessPoolExecutor), or use a free-threaded \
            build; asyncio.to_thread does not help with Python code that computes."
            .to_owned(),
    })
}

fn never_yields(case: &Case, id: ThreadId, thread: &ThreadProfile) -> Option<Finding> {
    let event_loop = thread.event_loop.as_ref()?;
    let episode = event_loop.episodes.iter().max_by_key(|episode| episode.step.length())?;
    let length = episode.step.length().seconds();
    let threshold = case.profile.meta.threshold.seconds();
    if length < LONGEST.max(THRESHOLDS * threshold) {
        return None;
    }
    let tables = case.tables();
    let state = episode.states.first().and_then(|(id, _)| tables.states.get(*id))?;
    let selectors = selector_stacks(tables, thread);
    let handler = handler(tables, &selectors, state.stack).map(|line| line.site());
    let task = episode.step.task.as_ref();
    let coroutine = task.and_then(|task| tables.functions.get(task.coroutine?)).map(Site::of);
    let elapsed = case.load.totals.elapsed;
    Some(Finding {
        id: "task-never-yields",
        name: format!("one step of the event loop took {}", seconds(length)),
        severity: Severity::Error,
        share: rounded(ratio(length, elapsed)),
        seconds: rounded(length),
        count: 1,
        site: innermost_user(tables, state.stack).map(|line| line.site()),
        source: None,
        thread: case.thread_name(id),
        task: task.map(|task| task.name.to_string()),
        evidence: evidence([
            ("share_of", "the recording's time".into()),
            ("count_of", "steps, the longest".into()),
            ("cause", state.cause.name().into()),
            ("coroutine", json!(coroutine)),
            ("handler", json!(handler)),
            ("callbacks_kept_waiting", episode.step.kept.map(|kept| kept.ready).into()),
        ]),
        advice: "Nothing else on this loop ran in that time. Run the work in a process or a \
            source: None,
            thread, or cut it into pieces with await asyncio.sleep(0) between them."
            .to_owned(),
    })
}
