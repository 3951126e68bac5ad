//! `task-leak`, `queue-growing`: the tasks of one coroutine, or the items of a queue, become more and
//! more.

use serde_json::json;

use crate::diagnose::site::{Site, innermost_user};
use crate::diagnose::words::{ratio, rounded};
use crate::model::{AwaitKind, FunctionId, Nanos};
use crate::profile::{CoroutineProfile, QueueProfile, Series};

use super::task_trouble::chain;
use super::{Case, Finding, Severity, evidence};

const ID: &str = "task-leak";

/// At how many looks, and over how many seconds, the growth must show.
pub(crate) const FEWEST_LOOKS: usize = 3;
const FEWEST_SECONDS: f64 = 3.0;
/// By how many tasks, and by which part of those there were, they must become more.
const FEWEST: f64 = 10.0;
const LEAST_GROWTH: f64 = 0.3;
/// Which share of those that came may have ended: a load that grows has tasks that come and go.
const MOST_ENDED: f64 = 0.2;
/// The same where they become more by less than that part, and how many more they must be.
const MOST_ENDED_SLOWLY: f64 = 0.02;
const FEWEST_SLOWLY: f64 = 50.0;

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let mut found: Vec<_> = case.profile.tasks.coroutines.iter().collect();
    found.sort_by_key(|(function, _)| **function);
    let leaks = found.into_iter().filter_map(|(id, it)| finding(case, *id, it));
    let mut queues: Vec<_> = case.profile.tasks.queues.iter().collect();
    queues.sort_by_key(|(object, _)| **object);
    leaks.chain(queues.into_iter().filter_map(|(_, it)| queue(case, it))).collect()
}

fn finding(case: &Case, function: FunctionId, coroutine: &CoroutineProfile) -> Option<Finding> {
    let fast = growth(&coroutine.alive);
    let slow = || growth_by(&coroutine.alive, FEWEST_SLOWLY, 0.0);
    let (slope, seconds) = fast.or_else(slow)?;
    let (_, last) = *coroutine.alive.points().last()?;
    let ended = ratio(coroutine.ended as f64, coroutine.born as f64);
    if ended > if fast.is_some() { MOST_ENDED } else { MOST_ENDED_SLOWLY } {
        return None;
    }
    let tasks = &case.profile.tasks;
    // What most of them wait in.
    let of = |chain| {
        let outermost = crate::diagnose::site::lines(case.tables(), chain).last();
        outermost.is_some_and(|line| line.id == function)
    };
    let groups = tasks.groups.iter().filter(|(group, _)| of(group.chain));
    let most = groups.max_by_key(|(group, it)| (it.tasks, *group));
    let awaits = most.and_then(|(group, _)| group.awaits);
    // Connections that come one by one and stay are what a server is for.
    let connections = matches!(awaits, Some(AwaitKind::Stream | AwaitKind::Socket));
    if fast.is_none() && connections {
        return None;
    }
    let site = case.tables().functions.get(function).map(Site::of);
    Some(Finding {
        id: ID,
        name: format!("{slope:.1} more tasks a second of one coroutine, and they do not end"),
        severity: if fast.is_some() { Severity::Error } else { Severity::Warning },
        share: rounded(ratio(f64::from(last), tasks.tasks as f64)),
        seconds: rounded(seconds),
        count: u64::from(last),
        site,
        source: None,
        thread: None,
        task: None,
        evidence: evidence([
            ("share_of", "tasks at the last look".into()),
            ("count_of", "tasks of the coroutine at the last look".into()),
            ("tasks_a_second", rounded(slope).into()),
            ("came", coroutine.born.into()),
            ("ended", coroutine.ended.into()),
            ("awaits", json!(awaits)),
            ("parent", json!(most.and_then(|(group, _)| group.parent).map(|(by, _)| by))),
            ("chain", most.map_or(serde_json::Value::Null, |(group, _)| chain(case, group.chain))),
        ]),
        advice: ADVICE.to_owned(),
    })
}

/// How many more there are each second, and over how many seconds that was seen: when they become
/// more in the second half as they do in the first, and hardly ever fewer.
pub(super) fn growth(series: &Series) -> Option<(f64, f64)> {
    growth_by(series, FEWEST, LEAST_GROWTH)
}

/// The same, by at least so many, and by at least a part of those there were at first.
fn growth_by(series: &Series, fewest: f64, part: f64) -> Option<(f64, f64)> {
    let points = series.points();
    let (first, last) = (points.first()?, points.last()?);
    let seconds = last.0.since(first.0).seconds();
    if points.len() < FEWEST_LOOKS || seconds < FEWEST_SECONDS {
        return None;
    }
    let grown = f64::from(last.1) - f64::from(first.1);
    // By time: looks may be far apart, and the last one follows at the heels of another.
    let half = Nanos(first.0.0 + last.0.since(first.0).0 / 2);
    let middle = points.iter().take_while(|(time, _)| *time <= half).last()?;
    let later = f64::from(last.1) - f64::from(middle.1);
    let fewer = points.windows(2).filter(|pair| matches!(pair, [a, b] if b.1 < a.1)).count();
    let grows = grown >= fewest.max(part * f64::from(first.1))
        && later >= grown * 0.2
        && fewer * 5 <= points.len();
    grows.then(|| (ratio(grown, seconds), seconds))
}

fn queue(case: &Case, queue: &QueueProfile) -> Option<Finding> {
    if queue.limit > 0 {
        return None;
    }
    let (slope, seconds) = growth(&queue.size)?;
    let (_, last) = *queue.size.points().last()?;
    Some(Finding {
        id: "queue-growing",
        name: format!("the queue {} grows by {slope:.0} items a second", queue.name),
        severity: Severity::Warning,
        share: 1.0,
        seconds: rounded(seconds),
        count: u64::from(last),
        site: innermost_user(case.tables(), queue.chain).map(|line| line.site()),
        source: None,
        thread: None,
        task: None,
        evidence: evidence([
            ("share_of", "looks at the tasks, over which it grew".into()),
            ("count_of", "items in the queue at the last look".into()),
            ("variable", queue.name.to_string().into()),
            ("items_a_second", rounded(slope).into()),
            ("chain", chain(case, queue.chain)),
        ]),
        advice: "It is put in faster than it is taken out, and nothing holds the producers back \
            until the memory is full. Give the queue a maxsize, so that put waits, and start more \
            consumers, or do less per item."
            .to_owned(),
    })
}

const ADVICE: &str = "Each of these tasks waits for something that does not come. Give the wait a \
    time limit (asyncio.timeout), see to it that whoever should end it does (set the event, close \
    the queue, cancel the task when its request is over), and start them in a TaskGroup whose end \
    is the request's end.";

#[cfg(test)]
mod tests {
    use super::{growth, growth_by};
    use crate::model::Nanos;
    use crate::profile::Series;

    fn grown(counts: &[u32]) -> Option<f64> {
        let mut series = Series::default();
        for (second, count) in (0..).zip(counts) {
            series.add(Nanos(second * Nanos::SECOND.0), *count);
        }
        growth(&series).map(|(slope, _)| slope)
    }

    #[test]
    fn a_last_look_at_the_heels_of_another_changes_nothing() {
        let mut series = Series::default();
        for (millis, count) in [(0, 10), (2700, 100), (7900, 300), (8000, 304)] {
            series.add(Nanos(millis * Nanos::MILLISECOND.0), count);
        }
        assert!(growth(&series).is_some());
    }

    #[test]
    fn what_keeps_growing_slowly_is_told_apart() {
        let mut series = Series::default();
        for second in 0..5 {
            series.add(Nanos(second * Nanos::SECOND.0), 50_000 + 20 * second as u32);
        }
        assert_eq!(growth(&series), None);
        assert_eq!(growth_by(&series, 50.0, 0.0), Some((20.0, 4.0)));
    }

    #[test]
    fn only_what_keeps_growing_leaks() {
        assert_eq!(grown(&[0, 10, 20, 30, 40]), Some(10.0));
        assert_eq!(grown(&[0, 10, 20]), None, "too early to say");
        assert_eq!(grown(&[0, 40, 40, 41, 40, 41]), None, "a load that has set in");
        assert_eq!(grown(&[50, 30, 60, 20, 70, 30]), None, "a load that comes and goes");
        assert_eq!(grown(&[1000, 1004, 1008, 1012, 1016]), None, "next to nothing");
    }
}
