//! `executor-starved`, `executor-saturated`: jobs wait for workers that themselves do nothing but
//! wait, or that all are at work.

use std::collections::BTreeMap;

use crate::diagnose::locks::site_of;
use crate::diagnose::words::{ratio, rounded};
use crate::model::{Cause, ExecutorSight, ThreadId};

use super::{Case, Finding, Severity, evidence};

const ID: &str = "executor-starved";
const SATURATED: &str = "executor-saturated";

/// From how many looks on anything is said.
const FEWEST_LOOKS: u32 = 3;
/// At which share of the looks all workers must have been at a job while more jobs waited.
const MATERIAL: f64 = 0.3;
/// Which share of the workers must wait then. Where they compute, more of them would not help.
const WAITING: f64 = 0.7;

#[derive(Default)]
struct Full {
    looks: u32,
    queued: u64,
    waiting: u64,
    at_work: u64,
    sight: Option<ExecutorSight>,
}

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let looks = case.profile.locks.looks;
    let mut executors: BTreeMap<u64, Full> = BTreeMap::new();
    for (sight, (count, queued)) in &case.profile.locks.full_executors {
        let full = executors.entry(sight.queue).or_default();
        full.looks += count;
        full.queued += queued;
        full.waiting += u64::from(sight.waiting) * u64::from(*count);
        full.at_work += sight.workers.len() as u64 * u64::from(*count);
        full.sight = Some(sight.clone());
    }
    let mut found = Vec::new();
    for full in executors.into_values() {
        let Some(sight) = &full.sight else { continue };
        let share = ratio(f64::from(full.looks), f64::from(looks));
        let waiting = ratio(full.waiting as f64, full.at_work as f64);
        let stuck = sight.workers.iter().all(|worker| case.is_deadlocked(*worker));
        if full.looks < FEWEST_LOOKS || share < MATERIAL || stuck {
            continue;
        }
        let starved = waiting >= WAITING;
        let workers = sight.workers.len();
        let name = sight.workers.first().and_then(|worker| case.thread_name(*worker));
        let pool = name.as_deref().map_or("", |name| name.rsplit_once('_').map_or(name, |it| it.0));
        let queued = ratio(full.queued as f64, f64::from(full.looks));
        found.push(Finding {
            id: if starved { ID } else { SATURATED },
            name: if starved {
                format!("jobs wait for the {workers} workers of {pool}, which wait themselves")
            } else {
                format!("jobs wait for the {workers} workers of {pool}, which all are at work")
            },
            severity: if starved && !wait_outside(case, &sight.workers) {
                Severity::Warning
            } else {
                Severity::Info
            },
            share: rounded(share),
            seconds: rounded(share * case.load.totals.elapsed),
            count: u64::from(full.looks),
            site: sight.site.and_then(|site| site_of(case.tables(), site)),
            source: None,
            thread: None,
            task: None,
            evidence: evidence([
                ("share_of", "looks at the executor".into()),
                ("count_of", "looks that found no free worker and jobs in the queue".into()),
                ("workers", workers.into()),
                ("mean_queued", rounded(queued).into()),
                ("waiting_share", rounded(waiting).into()),
                ("waiting_share_of", "workers at a job".into()),
            ]),
            advice: if starved { ADVICE } else { at_work(case, &sight.workers) }.to_owned(),
        });
    }
    found
}

/// How often workers had such a cause, in samples.
fn samples_of(case: &Case, workers: &[ThreadId], holds: fn(Cause) -> bool) -> u64 {
    let own = case.rows(|row| workers.contains(&row.thread) && holds(row.state.cause));
    own.map(|row| row.samples).sum()
}

/// Whether workers mostly wait for what is outside the process: then a queue may be a pool's purpose.
fn wait_outside(case: &Case, workers: &[ThreadId]) -> bool {
    let outside =
        |cause| matches!(cause, Cause::Network | Cause::Disk | Cause::Pipe | Cause::Child);
    2 * samples_of(case, workers, outside) > samples_of(case, workers, |_| true)
}

/// What to do when all workers are at a job, by what they mostly do there.
fn at_work(case: &Case, workers: &[ThreadId]) -> &'static str {
    let samples = |holds: fn(Cause) -> bool| samples_of(case, workers, holds) as f64;
    let all = samples(|cause| cause != Cause::Parked);
    let python = samples(|cause| matches!(cause, Cause::Python | Cause::Gil));
    let computing = python + samples(|cause| matches!(cause, Cause::Native | Cause::CpuWait));
    if ratio(samples(|cause| cause == Cause::Lock), all) >= 0.5 {
        LOCKED
    } else if ratio(computing, all) < 0.5 {
        BUSY
    } else if case.load.facts.gil && python > 0.5 * computing {
        COMPUTING_IN_PYTHON
    } else {
        COMPUTING
    }
}

const LOCKED: &str = "The workers mostly wait for a lock: more of them would queue for it, too. Hold \
    it for shorter, or split what it guards.";

const BUSY: &str = "All workers are at a job, and none is free for what waits: give the executor more \
    of them (max_workers), submit fewer jobs at a time, or give what is urgent an executor of its \
    own.";

const COMPUTING_IN_PYTHON: &str = "The workers compute in Python: more threads would only share the \
    GIL. Give the executor processes, submit fewer jobs, or make them smaller; and do not let an \
    event loop wait for this executor with what is urgent.";

const COMPUTING: &str = "The workers compute: more of them than there are CPUs would only share those. \
    Submit fewer jobs, or make them smaller; and do not let an event loop wait for this executor \
    with what is urgent.";

const ADVICE: &str = "The workers wait and leave the CPU free: give the executor more of them \
    (max_workers), a limit of time to what they wait for, or an executor of its own to what waits \
    longest. Where they wait for jobs of the same executor, chain the jobs instead.";
