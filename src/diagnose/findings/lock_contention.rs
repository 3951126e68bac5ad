//! `lock-contention`: threads wait to enter critical sections of the program.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::diagnose::lock_use::{LockHolder, LocksBySite, holders};
use crate::diagnose::locks::lock_words;
use crate::diagnose::site::Site;
use crate::diagnose::verdict::{Workload, holds};
use crate::diagnose::words::{percent, ratio, rounded};
use crate::model::{Cause, Lock, LockKind};
use crate::profile::StateKind;

use super::{Case, Finding, Row, Severity, evidence, heaviest, total};

const ID: &str = "lock-contention";

/// What threads wait for: a lock, or where it is not known which, whatever a line waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Awaited {
    Lock(LockKind, u64),
    Line(Option<Site>),
}

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let active = case.load.active() * case.load.totals.samples;
    let by_site = LocksBySite::of(case.profile);
    let waits = |row: &Row| {
        // A loop that waits for a file's lock is blocked, which is a finding of its own.
        let runs_loop = || {
            let thread = case.profile.threads.get(usize::from(row.thread));
            thread.is_some_and(|thread| thread.event_loop.is_some())
        };
        row.state.cause == Cause::Lock
            && StateKind::of(case.tables(), row.state).enters
            && !case.is_deadlocked(row.thread)
            && !(row.state.descriptor.is_some() && runs_loop())
    };
    let mut groups: BTreeMap<Awaited, (Option<&Lock>, Vec<Row>)> = BTreeMap::new();
    for row in case.rows(waits) {
        let lock = by_site.lock_at(case.tables(), row.state.stack).filter(|lock| lock.object != 0);
        let key = match lock {
            Some(lock) => Awaited::Lock(lock.kind, lock.object),
            None => Awaited::Line(case.site(row)),
        };
        groups.entry(key).or_insert((lock, Vec::new())).1.push(*row);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|(_, rows)| Reverse(total(rows)));
    groups
        .into_iter()
        .filter(|(_, rows)| {
            let count = total(rows);
            case.share(count) >= 0.05 && ratio(count as f64, active) >= 0.02
        })
        .map(|(lock, rows)| finding(case, lock, &rows, active))
        .collect()
}

fn finding(case: &Case, lock: Option<&Lock>, rows: &[Row], active: f64) -> Finding {
    let count = total(rows);
    let share = ratio(count as f64, active);
    let grave = holds(Workload::LockBound, case.load) && share >= 0.2;
    let threads = heaviest(rows.iter().map(|row| (row.thread, row.samples)));
    let sites = heaviest(rows.iter().map(|row| (case.site(row), row.samples)));
    let probe = rows.iter().find_map(|row| case.probe(row.state));
    let one = <[_; 1]>::try_from(threads.clone()).ok().map(|[(thread, _)]| thread);
    let same = |known: &Lock| lock.is_some_and(|lock| lock.is_same(known));
    let sights = case.profile.locks.sights.iter().filter(|(sight, _)| same(&sight.lock));
    let holders = holders(case.tables(), sights.map(|(sight, count)| (sight, *count)));
    let spells = || case.profile.locks.spells.iter().filter(|(known, _)| same(known));
    let name = match (lock, probe) {
        (Some(lock), _) => format!("threads wait for {}", lock_words(lock)),
        (None, Some(probe)) => probe.title.clone(),
        (None, None) => "threads wait for a lock".to_owned(),
    };
    let story: Vec<Value> = holders.iter().take(2).map(|it| sentence(it).into()).collect();
    let mut evidence = evidence([
        ("share_of", "thread time that is not idle".into()),
        ("count_of", "thread samples waiting to enter a critical section here".into()),
        ("mean_waiters", rounded(case.share(count)).into()),
        ("threads", threads.len().into()),
        ("lock", lock.map(|lock| lock.name.to_string()).into()),
        ("kind", lock.map(|lock| lock.kind.name()).into()),
        ("object", lock.map(|lock| format!("{:#x}", lock.object)).into()),
        ("holders", serde_json::to_value(&holders).unwrap_or_default()),
        ("story", story.into()),
    ]);
    if let Some(longest) = spells().map(|(_, spell)| spell.longest).max() {
        let waits: u64 = spells().map(|(_, spell)| u64::from(spell.count)).sum();
        evidence.insert("waits".to_owned(), waits.into());
        evidence.insert("longest_seconds".to_owned(), rounded(longest.seconds()).into());
    }
    Finding {
        id: ID,
        name,
        severity: if grave { Severity::Error } else { Severity::Warning },
        share: rounded(share),
        seconds: rounded(case.seconds(count)),
        count,
        site: sites.into_iter().next().and_then(|(site, _)| site),
        source: None,
        thread: one.and_then(|thread| case.thread_name(thread)),
        task: None,
        evidence,
        advice: probe.map_or_else(|| ADVICE.to_owned(), |probe| probe.advice.clone()),
    }
}

/// `Meanwhile worker-1 has it, since save (cache.py:12), at 62 % of the looks: sleep.`
fn sentence(holder: &LockHolder) -> String {
    let since = holder.site.as_ref().map_or_else(String::new, |site| {
        let file = site.file.rsplit('/').next().unwrap_or_default();
        format!(", since {} ({file}:{})", site.function, site.line)
    });
    let likely = if holder.certain { "" } else { "likely " };
    let most = holder.meanwhile.iter().max_by(|a, b| a.1.total_cmp(b.1));
    let doing = most.map_or_else(String::new, |(cause, _)| format!(", mostly at {cause}"));
    format!(
        "Meanwhile {} {likely}has it{since}: {} of the looks{doing}.",
        holder.thread,
        percent(holder.share)
    )
}

const ADVICE: &str = "Do less while the lock is held: take input and output, sleeps and \
    computations out of the block, and lock only what the threads really share. Where every key or \
    connection can have a lock of its own, give it one.";
