//! `sleep-under-lock`, `lock-held-across-io`, `priority-inversion`: a thread has a lock that
//! others want, and does something meanwhile that takes its time.

use std::collections::BTreeMap;

use crate::diagnose::locks::site_of;
use crate::diagnose::site::{Site, innermost_user};
use crate::diagnose::words::{ratio, rounded};
use crate::model::{Cause, HeldLock, LockKind};

use super::{Case, Finding, Severity, evidence};

/// From how many looks on anything is said.
const FEWEST_LOOKS: u32 = 3;

/// What an owner does with a lock that others wait for.
struct Habit {
    id: &'static str,
    name: &'static str,
    causes: &'static [Cause],
    advice: &'static str,
}

const HABITS: [Habit; 3] = [
    Habit {
        id: "sleep-under-lock",
        name: "held through a sleep",
        causes: &[Cause::Sleep],
        advice: "Sleep after the block, or wait with a Condition or an Event, which gives the lock \
                 up meanwhile.",
    },
    Habit {
        id: "lock-held-across-io",
        name: "held through input or output",
        causes: &[Cause::Network, Cause::Disk, Cause::Pipe, Cause::Child],
        advice: "Do the input and output before the block or after it, and lock only what is \
                 shared. What must be one after the other goes through a queue to one thread.",
    },
    Habit {
        id: "priority-inversion",
        name: "held by a thread that does not get to run",
        causes: &[Cause::CpuWait, Cause::Gil],
        advice: "Do less while the lock is held, above all no long computation: each switch of \
                 threads inside the block is time that all who want the lock lose.",
    },
];

pub(super) fn find(case: &Case) -> Vec<Finding> {
    if case.profile.locks.looks < FEWEST_LOOKS {
        return Vec::new();
    }
    HABITS.iter().flat_map(|habit| of_habit(case, habit)).collect()
}

fn of_habit(case: &Case, habit: &Habit) -> Vec<Finding> {
    let cause_of =
        |lock: &HeldLock| case.tables().states.get(lock.owner_state).map(|state| state.cause);
    // By lock and the line that took it.
    let mut groups: BTreeMap<_, Vec<&(HeldLock, u32)>> = BTreeMap::new();
    for seen in &case.profile.locks.held {
        if cause_of(&seen.0).is_some_and(|cause| habit.causes.contains(&cause)) {
            groups.entry((seen.0.object, seen.0.owner_site)).or_default().push(seen);
        }
    }
    let looks = case.profile.locks.looks;
    let waiters = |group: &[&(HeldLock, u32)]| -> u32 { group.iter().map(|(_, it)| *it).sum() };
    groups
        .into_values()
        .filter(|group| waiters(group) >= FEWEST_LOOKS)
        .filter_map(|group| {
            let count = waiters(&group);
            let (lock, _) = group.first()?;
            let mean = ratio(f64::from(count), f64::from(looks));
            let states =
                group.iter().filter_map(|(it, _)| case.tables().states.get(it.owner_state));
            let mut at_work: Vec<Site> = states
                .filter_map(|state| innermost_user(case.tables(), state.stack))
                .map(|line| line.site())
                .collect();
            at_work.sort();
            at_work.dedup();
            let mut waiting: Vec<Site> =
                group.iter().filter_map(|(it, _)| site_of(case.tables(), it.site?)).collect();
            waiting.sort();
            waiting.dedup();
            Some(Finding {
                id: habit.id,
                name: format!("{} is {} while others want it", called(lock), habit.name),
                severity: Severity::Warning,
                share: rounded(mean.min(1.0)),
                seconds: rounded(mean * case.load.totals.elapsed),
                count: u64::from(count),
                site: at_work.first().cloned(),
                thread: None,
                task: None,
                evidence: evidence([
                    ("share_of", "looks at the locks".into()),
                    ("count_of", "waiters seen".into()),
                    ("lock", lock.name.to_string().into()),
                    ("kind", lock.kind.name().into()),
                    (
                        "taken",
                        serde_json::json!(
                            lock.owner_site.and_then(|it| site_of(case.tables(), it))
                        ),
                    ),
                    ("meanwhile", serde_json::json!(at_work)),
                    ("waiting", serde_json::json!(waiting)),
                ]),
                advice: habit.advice.to_owned(),
            })
        })
        .collect()
}

fn called(lock: &HeldLock) -> String {
    match lock.kind {
        LockKind::Lock | LockKind::RLock if lock.name.starts_with("_thread.") => {
            lock.kind.name().to_owned()
        }
        kind => format!("{} {}", kind.name(), lock.name),
    }
}
