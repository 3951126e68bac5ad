//! `sequential-io`: one thread, or one task, asks, waits for the answer, and asks again.

use serde_json::{Value, json};

use crate::diagnose::site::innermost_user;
use crate::diagnose::verdict::{Workload, holds};
use crate::diagnose::words::{ratio, rounded};
use crate::model::{AwaitKind, Cause, DescriptorKind, TaskState, ThreadId};
use crate::profile::TaskWait;

use super::task_trouble::chain;
use super::{Case, Finding, Row, Severity, evidence, heaviest};

const ID: &str = "sequential-io";

/// How many looks there must be, and which share of a CPU must be used.
const FEWEST_LOOKS: u64 = 3;
const LEAST_WORK: f64 = 0.002;

/// How many peers are named.
const NAMED: usize = 5;

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let mut found = by_threads(case);
    found.extend(by_tasks(case));
    found
}

/// One task that asks, waits for the answer, and asks again, on a loop that has nothing else to do.
fn by_tasks(case: &Case) -> Option<Finding> {
    let (tasks, load) = (&case.profile.tasks, case.load);
    // Who does nothing between the waits may wait for messages.
    if !load.facts.tasks.alone || tasks.looks < FEWEST_LOOKS || load.cpus_used() < LEAST_WORK {
        return None;
    }
    // Clients wait in many ways: for a stream, for an event that their protocol sets.
    let waiting = || tasks.groups.iter().filter(|(group, _)| group.state == TaskState::Waiting);
    let is_lock = |kind| matches!(kind, Some(AwaitKind::Lock | AwaitKind::Semaphore));
    let queue: u64 =
        waiting().filter(|(group, _)| is_lock(group.awaits)).map(|(_, it)| it.tasks).sum();
    // One at a time because the others wait for a lock: that is another finding.
    if 2 * queue >= tasks.looks {
        return None;
    }
    let for_peers = waiting().filter(|(group, _)| group.awaits != Some(AwaitKind::Sleep));
    let (group, profile) = for_peers.max_by_key(|(group, it)| (it.tasks, **group))?;
    let share = ratio(tasks.waits.looks(TaskWait::Answer) as f64, tasks.looks as f64);
    let named = tasks.waits.peers().into_iter().take(NAMED);
    let peers: Value = named.map(|(peer, looks)| json!({"peer": peer, "looks": looks})).collect();
    Some(Finding {
        id: ID,
        name: "one request at a time on an event loop".to_owned(),
        severity: if holds(Workload::IoBound, load) { Severity::Warning } else { Severity::Info },
        share: rounded(share),
        seconds: rounded(profile.time.seconds()),
        count: tasks.waits.looks(TaskWait::Answer),
        site: innermost_user(case.tables(), group.chain).map(|line| line.site()),
        source: None,
        thread: None,
        task: None,
        evidence: evidence([
            ("share_of", "looks at the tasks".into()),
            ("count_of", "looks at which a task waited for an answer".into()),
            ("peers", peers),
            ("chain", chain(case, group.chain)),
        ]),
        advice: TASKS.to_owned(),
    })
}

fn by_threads(case: &Case) -> Vec<Finding> {
    let is_wait = |row: &Row| row.state.cause == Cause::Network && !row.blocking;
    let waiters = heaviest(case.rows(is_wait).map(|row| (row.thread, row.samples)));
    let Some(&(thread, count)) = waiters.first() else { return Vec::new() };
    let others: u64 = waiters.iter().skip(1).map(|&(_, samples)| samples).sum();
    let own = case.profile.threads.get(usize::from(thread)).map_or(0, |thread| thread.samples);
    let mostly = count * 2 >= own && case.share(count) >= 0.3;
    if !mostly || others * 5 > count {
        return Vec::new();
    }
    vec![finding(case, thread, count, own)]
}

fn finding(case: &Case, thread: ThreadId, count: u64, own: u64) -> Finding {
    let waits = |row: &Row| row.thread == thread && row.state.cause == Cause::Network;
    let sites = case.rows(waits).filter_map(|row| Some((case.site(row)?, row.samples)));
    let site = heaviest(sites).into_iter().next().map(|(site, _)| site);
    let asleep = case.load.without_work();
    let bound = holds(Workload::IoBound, case.load);
    Finding {
        id: ID,
        name: "one request at a time over the network".to_owned(),
        severity: if bound && !asleep { Severity::Warning } else { Severity::Info },
        share: rounded(case.share(count)),
        seconds: rounded(case.seconds(count)),
        count,
        site,
        source: None,
        thread: case.thread_name(thread),
        task: None,
        evidence: evidence([
            ("share_of", "samples of the process".into()),
            ("count_of", "samples of the thread waiting for the network".into()),
            ("share_of_own_samples", rounded(ratio(count as f64, own as f64)).into()),
            ("mean_threads_waiting", rounded(case.load.mean(Cause::Network)).into()),
            ("peers", peers(case, waits)),
        ]),
        advice: if asleep { MESSAGES } else { REQUESTS }.to_owned(),
    }
}

/// The other ends of the connections that were waited for.
fn peers(case: &Case, waits: impl Fn(&Row) -> bool) -> Value {
    let peer = |row: &Row| {
        let descriptor = case.tables().descriptors.get(row.state.descriptor?)?;
        let DescriptorKind::Socket { peer, .. } = &descriptor.kind else { return None };
        Some((peer.to_string(), row.samples))
    };
    let peers = heaviest(case.rows(waits).filter_map(peer));
    peers.into_iter().take(NAMED).map(|(peer, n)| json!({"peer": peer, "samples": n})).collect()
}

const TASKS: &str = "If the requests do not depend on each other, make a task of each: a TaskGroup, with a \
    Semaphore as bound, and a time limit for each.";

const REQUESTS: &str = "If the requests do not depend on each other, let their waits overlap: an \
    asyncio client in a TaskGroup with a Semaphore as bound, or a ThreadPoolExecutor with this \
    library. Give each a timeout.";

const MESSAGES: &str = "It does next to nothing between the waits: if it waits for messages by \
    design, nothing has to change. If these are requests, look at why the other end takes so long.";
