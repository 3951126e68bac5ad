//! `lock-wait`: threads wait to enter critical sections of the program.

use crate::diagnose::verdict::{Workload, holds};
use crate::diagnose::words::{ratio, rounded};
use crate::profile::StateKind;

use super::{Case, Finding, Severity, evidence, heaviest, total};

const ID: &str = "lock-wait";

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let active = case.load.active() * case.load.totals.samples;
    let waits = |row: &super::Row| {
        StateKind::of(case.tables(), row.state).enters && !case.is_deadlocked(row.thread)
    };
    let groups = case.by_site(waits).into_iter().map(|(site, rows)| (site, total(&rows), rows));
    let material = groups
        .filter(|&(_, count, _)| case.share(count) >= 0.05 && ratio(count as f64, active) >= 0.02);
    let findings = material.map(|(site, count, rows)| {
        let share = ratio(count as f64, active);
        let grave = holds(Workload::LockBound, case.load) && share >= 0.2;
        let threads = heaviest(rows.iter().map(|row| (row.thread, row.samples)));
        let probe = rows.iter().find_map(|row| case.probe(row.state));
        let one = <[_; 1]>::try_from(threads.clone()).ok().map(|[(thread, _)]| thread);
        Finding {
            id: ID,
            name: probe
                .map_or_else(|| "threads wait for a lock".to_owned(), |probe| probe.title.clone()),
            severity: if grave { Severity::Error } else { Severity::Warning },
            share: rounded(share),
            seconds: rounded(case.seconds(count)),
            count,
            site,
            thread: one.and_then(|thread| case.thread_name(thread)),
            task: None,
            evidence: evidence([
                ("share_of", "thread time that is not idle".into()),
                ("count_of", "thread samples waiting to enter a critical section here".into()),
                ("mean_waiters", rounded(case.share(count)).into()),
                ("threads", threads.len().into()),
            ]),
            advice: probe.map_or_else(|| ADVICE.to_owned(), |probe| probe.advice.clone()),
        }
    });
    findings.collect()
}

const ADVICE: &str = "Do less while the lock is held: take input and output, sleeps and \
    computations out of the block, and lock only what the threads really share. Where every key or \
    connection can have a lock of its own, give it one.";
