//! `deadlock`: threads wait for each other, and nothing that they do will ever end it.

use serde_json::{Value, json};

use crate::diagnose::locks::{name_of, owner_words, site_of, wait_words};
use crate::diagnose::words::{ratio, rounded};
use crate::model::{Deadlock, LockKind, LockOwner, LockWait, Tables};
use crate::profile::SeenDeadlock;

use super::{Case, Finding, Severity, evidence};

const ID: &str = "deadlock";

pub(super) fn find(case: &Case) -> Vec<Finding> {
    case.profile.deadlocks.iter().map(|seen| finding(case, seen)).collect()
}

fn finding(case: &Case, seen: &SeenDeadlock) -> Finding {
    let (tables, deadlock) = (case.tables(), &seen.deadlock);
    let length = seen.last.since(seen.first).seconds();
    let threads = (deadlock.ring.len() + deadlock.victims.len()) as u64;
    let one = <&[_; 1]>::try_from(&deadlock.ring[..]).ok().map(|[one]| one);
    let wait = |wait| wait_value(tables, deadlock, wait);
    let name = name(tables, deadlock);
    Finding {
        id: ID,
        name: if deadlock.certain { name } else { format!("{name}, likely") },
        severity: Severity::Error,
        share: rounded(ratio(length, case.load.totals.elapsed).min(1.0)),
        seconds: rounded(length * threads as f64),
        count: threads,
        site: deadlock.ring.first().and_then(|first| site_of(tables, first.site?)),
        source: None,
        thread: one.map(|one| name_of(tables, one.thread).to_owned()),
        task: None,
        evidence: evidence([
            ("share_of", "the recording".into()),
            ("count_of", "threads that wait for ever".into()),
            ("ring", deadlock.ring.iter().map(wait).collect()),
            ("victims", deadlock.victims.iter().map(wait).collect()),
            ("certain", deadlock.certain.into()),
            ("story", story(case, deadlock).into()),
        ]),
        advice: advice(deadlock).to_owned(),
    }
}

fn name(tables: &Tables, deadlock: &Deadlock) -> String {
    match &deadlock.ring[..] {
        [one] if is_orphan(one) => {
            format!("{} waits for a thread that has ended", name_of(tables, one.thread))
        }
        [one] => format!("{} waits for itself", name_of(tables, one.thread)),
        ring => {
            let names: Vec<_> = ring.iter().map(|wait| name_of(tables, wait.thread)).collect();
            format!("{} wait for each other", names.join(" and "))
        }
    }
}

fn is_orphan(wait: &LockWait) -> bool {
    wait.owners.iter().all(|owner| owner.thread.is_none())
}

/// The owner of what a thread of the ring waits for that is next in it.
fn next_owner<'a>(deadlock: &Deadlock, wait: &'a LockWait) -> Option<&'a LockOwner> {
    let place = deadlock.ring.iter().position(|member| member.thread == wait.thread)?;
    let next = deadlock.ring.get((place + 1) % deadlock.ring.len())?.thread;
    wait.owners.iter().find(|owner| owner.thread == Some(next))
}

/// A sentence for each thread.
fn story(case: &Case, deadlock: &Deadlock) -> Vec<String> {
    let (tables, forked_from) = (case.tables(), case.profile.meta.forked_from);
    let sentence = |wait: &LockWait| {
        let owner = next_owner(deadlock, wait).or(wait.owners.first());
        let owner =
            owner.map(|owner| format!(", {}", owner_words(tables, wait, owner, forked_from)));
        let name = name_of(tables, wait.thread);
        format!("{name} {}{}.", wait_words(tables, wait), owner.unwrap_or_default())
    };
    deadlock.ring.iter().chain(&deadlock.victims).map(sentence).collect()
}

fn wait_value(tables: &Tables, deadlock: &Deadlock, wait: &LockWait) -> Value {
    let owner = next_owner(deadlock, wait).or(wait.owners.first());
    let owner_name = owner.and_then(|owner| owner.thread).map(|thread| name_of(tables, thread));
    json!({
        "thread": name_of(tables, wait.thread),
        "kind": wait.kind.name(),
        "name": wait.name,
        "object": format!("{:#x}", wait.object),
        "where": wait.site.and_then(|site| site_of(tables, site)),
        "owner": owner_name,
        "owner_where": owner.and_then(|owner| site_of(tables, owner.site?)),
    })
}

fn advice(deadlock: &Deadlock) -> &'static str {
    let any = |kind| deadlock.ring.iter().any(|wait| wait.kind == kind);
    match &deadlock.ring[..] {
        [one] if is_orphan(one) => {
            "The thread that took the lock ended without giving it back (or did not come along when \
             the process forked). Take locks by `with` only, and start processes by \"spawn\" or \
             \"forkserver\" in a program that has threads."
        }
        _ if any(LockKind::Future) => {
            "A job must not wait for a job that needs the same workers. Await the result outside \
             the executor, chain the second job from the first one's callback, or give the inner \
             jobs an executor of their own."
        }
        _ if any(LockKind::ThreadJoin) => {
            "A thread must not join one that waits for it. Let one thread own the others and join \
             them, without holding a lock that they need."
        }
        [_] => {
            "The thread has the lock already: call a function that expects it to be held, or make \
             it an RLock."
        }
        _ => {
            "Take the locks in one order everywhere, or replace them by one lock. Where that cannot \
             be, acquire(timeout=...) and give up what is held when it fails."
        }
    }
}
