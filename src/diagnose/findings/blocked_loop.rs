//! `blocked-event-loop`: steps of an event loop at least as long as the threshold, and shorter ones
//! that take much of its time: those that wait, for the loop could have served others meanwhile, and
//! those that compute for a good part of the threshold.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::diagnose::event_loop::{handler, selector_stacks};
use crate::diagnose::site::{Site, innermost_user, lines};
use crate::diagnose::words::{ratio, rounded};
use crate::model::{
    Cause, FunctionId, Kept, LabelId, Nanos, StackId, StateId, Tables, ThreadId, note,
};
use crate::profile::{Episode, ShortSteps, ThreadProfile};

use super::{Case, Finding, Severity, evidence, heaviest, loop_advice};

const ID: &str = "blocked-event-loop";

/// How many tasks are named.
const NAMED: usize = 5;

/// From which part of the threshold on a step that computes is long enough for others to notice: one by
/// so much.
const NOTICEABLE: u64 = 4;

/// What tells one way of blocking a loop from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    /// The outermost function of the user's within the step.
    handler: Option<FunctionId>,
    /// The innermost one.
    function: Option<FunctionId>,
    /// Its line when it waits there; work has many lines and is one finding all the same.
    line: Option<u32>,
    cause: Cause,
    note: Option<LabelId>,
}

/// The steps with one key.
#[derive(Default)]
struct Group {
    seconds: f64,
    /// The sum of the steps' squared lengths.
    squares: f64,
    longest: f64,
    count: u64,
    /// How many of them were at least as long as the threshold.
    long: u64,
    /// The samples of all its states.
    states: BTreeMap<StateId, u64>,
    /// The tasks that they were steps of, with the time that each took in nanoseconds.
    tasks: BTreeMap<(String, Option<FunctionId>), u64>,
    /// The most that was kept waiting by one of them.
    kept: Option<Kept>,
}

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let threads = case.profile.threads.iter().enumerate();
    let with_loop = threads.filter(|(_, thread)| thread.event_loop.is_some());
    with_loop.flat_map(|(index, thread)| find_in(case, ThreadId::from(index), thread)).collect()
}

fn find_in(case: &Case, id: ThreadId, thread: &ThreadProfile) -> Vec<Finding> {
    let noticeable = Nanos(case.profile.meta.threshold.0 / NOTICEABLE);
    let selectors = selector_stacks(case.tables(), thread);
    let mut keys: HashMap<StateId, Option<Key>> = HashMap::new();
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    for episode in thread.event_loop.iter().flat_map(|event_loop| &event_loop.episodes) {
        let states = episode.states.iter().filter_map(|&(state, samples)| {
            let key = *keys.entry(state).or_insert_with(|| key_of(case, &selectors, state));
            Some((key?, samples))
        });
        if let Some(&(key, _)) = heaviest(states).first() {
            groups.entry(key).or_default().add(episode, case.profile.meta.origin);
        }
    }
    for (&state, steps) in thread.event_loop.iter().flat_map(|event_loop| &event_loop.short) {
        let key = keys.entry(state).or_insert_with(|| key_of(case, &selectors, state));
        if let Some(key) = key.filter(|key| steps.block(key.cause, noticeable)) {
            groups.entry(key).or_default().add_short(case, state, steps);
        }
    }
    let found =
        groups.into_iter().map(|(key, group)| (severity(case, key.cause, &group), key, group));
    // Short steps are an event loop's daily bread; they have to add up before they are news.
    let told = found.filter(|(severity, _, group)| group.long > 0 || *severity < Severity::Info);
    told.map(|(severity, key, group)| finding(case, severity, (id, key), &group)).collect()
}

impl Group {
    fn add_short(&mut self, case: &Case, state: StateId, steps: &ShortSteps) {
        self.seconds += case.seconds(steps.samples);
        self.squares += case.seconds(1) * steps.lengths.seconds();
        self.longest = self.longest.max(steps.longest.seconds());
        self.count += steps.count;
        if let Some(task) = &steps.task {
            let key = (task.name.to_string(), task.coroutine);
            *self.tasks.entry(key).or_default() += 1;
        }
        self.kept = self.kept.into_iter().chain(steps.kept).reduce(Kept::max);
        *self.states.entry(state).or_default() += steps.samples;
    }

    fn add(&mut self, episode: &Episode, origin: Nanos) {
        let step = &episode.step;
        // Of a step that had begun before, the recording's part counts.
        let length = step.length_since(origin).seconds();
        self.seconds += length;
        self.squares += length * length;
        self.longest = self.longest.max(step.length().seconds());
        self.count += 1;
        self.long += 1;
        if let Some(task) = &step.task {
            let key = (task.name.to_string(), task.coroutine);
            *self.tasks.entry(key).or_default() += step.length().0;
        }
        self.kept = self.kept.into_iter().chain(step.kept).reduce(Kept::max);
        for &(state, samples) in &episode.states {
            *self.states.entry(state).or_default() += samples;
        }
    }
}

fn key_of(case: &Case, selectors: &[StackId], id: StateId) -> Option<Key> {
    let state = case.tables().states.get(id)?;
    let handler = handler(case.tables(), selectors, state.stack);
    // Where the step has no line of the program's, that which started the loop is not to blame.
    let site = match handler {
        Some(_) => innermost_user(case.tables(), state.stack),
        None => lines(case.tables(), state.stack).next(),
    };
    let works = matches!(state.cause, Cause::Python | Cause::Native | Cause::CpuWait | Cause::Gil);
    Some(Key {
        handler: handler.map(|line| line.id),
        function: site.map(|site| site.id),
        line: site.filter(|_| !works).map(|site| site.line),
        cause: state.cause,
        note: state.note,
    })
}

/// The program's own lines from the handler on that lead to what takes the time, outermost first, each
/// with the function that it called; none where that has no frame.
fn calls(tables: &Tables, stack: StackId, handler: FunctionId) -> Vec<(Site, Option<String>)> {
    let mut callee = None;
    let mut found = Vec::new();
    for line in lines(tables, stack) {
        let called = callee.replace(line.function.name.rsplit('.').next().map(str::to_owned));
        if line.is_user() {
            found.push((line.site(), called.flatten()));
        }
        if line.id == handler {
            break;
        }
    }
    found.reverse();
    found
}

fn finding(
    case: &Case,
    severity: Severity,
    (thread, key): (ThreadId, Key),
    group: &Group,
) -> Finding {
    let states = || {
        let states = group.states.iter();
        states.filter_map(|(&id, &samples)| Some((case.tables().states.get(id)?, samples)))
    };
    let own = || states().filter(|(state, _)| state.cause == key.cause && state.note == key.note);
    let sites = own().filter_map(|(state, samples)| {
        let line = match key.handler {
            Some(_) => innermost_user(case.tables(), state.stack)?,
            None => lines(case.tables(), state.stack).next()?,
        };
        (Some(line.id) == key.function).then(|| (line.site(), samples))
    });
    let site = heaviest(sites).into_iter().next().map(|(site, _)| site);
    let function = key.function.and_then(|id| case.tables().functions.get(id));
    let collects = own().any(|(state, _)| case.tables().note(state) == Some(note::COLLECTING));
    let special = match key.cause {
        _ if collects => Some(loop_advice::COLLECTION),
        Cause::Python | Cause::Native if key.handler.is_none() => {
            let own = function.is_some_and(|function| function.module.starts_with("asyncio"));
            own.then_some(loop_advice::OWN_WORK)
        }
        Cause::Lock => {
            let of_file = own().any(|(state, _)| state.descriptor.is_some());
            of_file.then_some(loop_advice::FILE_LOCK)
        }
        _ => None,
    };
    let probe = own().find_map(|(state, _)| case.probe(state));
    let elapsed = case.load.totals.elapsed;
    let share = ratio(group.seconds, elapsed);
    let causes = heaviest(states().map(|(state, samples)| (state.cause.name(), samples)));
    let handler: Option<Site> =
        key.handler.and_then(|id| Some(Site::of(case.tables().functions.get(id)?)));
    let calls = heaviest(own().filter_map(|(state, samples)| {
        Some((calls(case.tables(), state.stack, key.handler?), samples))
    }));
    let running = case.profile.threads.get(usize::from(thread));
    let kind = running.and_then(|thread| thread.event_loop.as_ref()?.kind);
    let tasks = heaviest(group.tasks.iter().map(|(task, nanos)| (task.clone(), *nanos)));
    Finding {
        id: ID,
        name: match (special, probe) {
            (Some((name, _)), _) => name.to_owned(),
            (None, Some(probe)) => probe.title.clone(),
            (None, None) => loop_advice::name(key.cause).to_owned(),
        },
        severity,
        share: rounded(share),
        seconds: rounded(group.seconds),
        count: group.count,
        site,
        source: None,
        thread: case.thread_name(thread),
        task: tasks.first().map(|((name, _), _)| name.clone()),
        evidence: evidence([
            ("share_of", "the recording's time".into()),
            ("count_of", "steps of the loop".into()),
            ("steps_at_least_as_long_as_the_threshold", group.long.into()),
            ("tasks", named_tasks(case, &tasks)),
            ("distinct_tasks", tasks.len().into()),
            ("callbacks_kept_waiting", group.kept.map(|kept| kept.ready).into()),
            ("timers_overdue", group.kept.and_then(|kept| kept.overdue).into()),
            ("cause", key.cause.name().into()),
            ("causes_samples", causes.into_iter().collect()),
            ("probe", probe.map(|probe| probe.id.clone()).into()),
            ("handler", json!(handler)),
            ("calls", calls.into_iter().next().map(|(calls, _)| named_calls(&calls)).into()),
            ("longest_seconds", rounded(group.longest).into()),
            ("mean_seconds", rounded(ratio(group.seconds, group.count as f64)).into()),
            ("mean_delay_seconds", rounded(ratio(group.squares, 2.0 * elapsed)).into()),
            ("threshold_seconds", case.profile.meta.threshold.seconds().into()),
        ]),
        advice: match (special, loop_advice::of(kind, key.cause), probe) {
            (Some((_, advice)), ..) => advice.to_owned(),
            (None, Some(own), _) => own.to_owned(),
            (None, None, Some(probe)) => probe.advice.clone(),
            (None, None, None) => loop_advice::general(key.cause).to_owned(),
        },
    }
}

fn named_calls(calls: &[(Site, Option<String>)]) -> Value {
    calls.iter().map(|(site, callee)| json!({"where": site, "callee": callee})).collect()
}

/// The tasks that blocked the loop longest, each with the function of its coroutine.
fn named_tasks(case: &Case, tasks: &[((String, Option<FunctionId>), u64)]) -> Value {
    let named = tasks.iter().take(NAMED).map(|((name, coroutine), nanos)| {
        let function = coroutine.and_then(|id| case.tables().functions.get(id));
        json!({
            "task": name,
            "coroutine": function.map(Site::of),
            "seconds": rounded(Nanos(*nanos).seconds()),
        })
    });
    named.collect()
}

/// A step that is long because others have the GIL or the CPUs is not the loop's own fault.
fn severity(case: &Case, cause: Cause, group: &Group) -> Severity {
    let share = ratio(group.seconds, case.load.totals.elapsed);
    let others = matches!(cause, Cause::Gil | Cause::CpuWait);
    let works = matches!(cause, Cause::Python | Cause::Native);
    let (error, warning) = match group.long {
        0 if works => (f64::INFINITY, 0.25),
        0 => (0.5, 0.05),
        _ if others => (f64::INFINITY, 0.01),
        _ if group.longest >= 1.0 => (0.01, 0.01),
        _ => (0.05, 0.01),
    };
    if share >= error {
        Severity::Error
    } else if share >= warning {
        Severity::Warning
    } else {
        Severity::Info
    }
}
