//! `sleep-under-lock`, `lock-held-across-io`, `priority-inversion`: a thread has a lock that
//! others want, and does something meanwhile that takes its time.

use std::collections::BTreeMap;

use crate::diagnose::locks::{lock_words, site_of};
use crate::diagnose::site::{Site, innermost_user};
use crate::diagnose::verdict::{Workload, holds};
use crate::diagnose::words::{ratio, rounded};
use crate::model::{Cause, Holder, LockKind, LockSight};

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

/// The holder of a lock that threads enter, when that it has it is a fact.
fn holder(sight: &LockSight) -> Option<Holder> {
    let enters = matches!(sight.lock.kind, LockKind::Lock | LockKind::RLock | LockKind::Condition);
    sight.holder.filter(|holder| enters && holder.certain)
}

/// Where all threads queue for the GIL, who has a lock does so, too: the queue is the trouble.
fn severity(case: &Case, habit: &Habit) -> Severity {
    let inverted = habit.causes.contains(&Cause::Gil);
    if inverted && holds(Workload::GilBound, case.load) {
        Severity::Info
    } else {
        Severity::Warning
    }
}

fn of_habit(case: &Case, habit: &Habit) -> Vec<Finding> {
    let state_of = |holder: Holder| case.tables().states.get(holder.state);
    // By lock and the line that took it.
    let mut groups: BTreeMap<_, Vec<(&LockSight, Holder, u32)>> = BTreeMap::new();
    for (sight, count) in &case.profile.locks.sights {
        let Some(holder) = holder(sight) else { continue };
        if state_of(holder).is_some_and(|state| habit.causes.contains(&state.cause)) {
            let group = groups.entry((sight.lock.object, holder.site)).or_default();
            group.push((sight, holder, *count));
        }
    }
    let looks = case.profile.locks.looks;
    let waiters =
        |group: &[(&LockSight, Holder, u32)]| -> u32 { group.iter().map(|(.., it)| *it).sum() };
    groups
        .into_values()
        .filter(|group| waiters(group) >= FEWEST_LOOKS)
        .filter_map(|group| {
            let count = waiters(&group);
            let &(sight, holder, _) = group.first()?;
            let mean = ratio(f64::from(count), f64::from(looks));
            let states = group.iter().filter_map(|&(_, holder, _)| state_of(holder));
            let mut at_work: Vec<Site> = states
                .filter_map(|state| innermost_user(case.tables(), state.stack))
                .map(|line| line.site())
                .collect();
            at_work.sort();
            at_work.dedup();
            let mut waiting: Vec<Site> =
                group.iter().filter_map(|(it, ..)| site_of(case.tables(), it.site?)).collect();
            waiting.sort();
            waiting.dedup();
            Some(Finding {
                id: habit.id,
                name: format!("{} is {} while others want it", lock_words(&sight.lock), habit.name),
                severity: severity(case, habit),
                share: rounded(mean.min(1.0)),
                seconds: rounded(mean * case.load.totals.elapsed),
                count: u64::from(count),
                site: at_work.first().cloned(),
                source: None,
                thread: None,
                task: None,
                evidence: evidence([
                    ("share_of", "looks at the locks".into()),
                    ("count_of", "waiters seen".into()),
                    ("lock", sight.lock.name.to_string().into()),
                    ("kind", sight.lock.kind.name().into()),
                    (
                        "taken",
                        serde_json::json!(holder.site.and_then(|it| site_of(case.tables(), it))),
                    ),
                    ("meanwhile", serde_json::json!(at_work)),
                    ("waiting", serde_json::json!(waiting)),
                ]),
                advice: habit.advice.to_owned(),
            })
        })
        .collect()
}
