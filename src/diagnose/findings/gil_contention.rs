//! `gil-contention`: threads want the GIL while others have it.

use serde_json::{Value, json};

use crate::diagnose::site::Site;
use crate::diagnose::verdict::{Workload, holds};
use crate::diagnose::words::{ratio, rounded};
use crate::model::Cause;

use super::{Case, Finding, Severity, evidence, heaviest, total};

const ID: &str = "gil-contention";

/// How many holders and waiters are named.
const NAMED: usize = 5;

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let load = case.load;
    let waiters = load.mean(Cause::Gil);
    let share = ratio(waiters, waiters + load.on_cpu());
    if !load.facts.gil || waiters < 0.1 || share < 0.1 {
        return Vec::new();
    }
    let count = case.samples_of(Cause::Gil);
    let mut groups = case.by_site(|row| row.state.cause == Cause::Python);
    let holders = heaviest(groups.iter().filter_map(|(site, rows)| {
        let site = site.as_ref()?;
        Some(((site.file.clone(), site.function.clone()), total(rows)))
    }));
    // The busiest line of the busiest function: groups come busiest first.
    let is_in_busiest = |site: &Site| {
        let busiest = holders.first();
        busiest
            .is_some_and(|((file, function), _)| *file == site.file && *function == site.function)
    };
    let site = groups.iter_mut().find_map(|(site, _)| site.take_if(|site| is_in_busiest(site)));
    let bound = holds(Workload::GilBound, load);
    vec![Finding {
        id: ID,
        name: "threads queue for the GIL".to_owned(),
        severity: if case.load.facts.marked.ipc_of_work() >= MOSTLY_MESSAGES
            || load.cpus_used() < LITTLE
        {
            Severity::Info
        } else if bound {
            Severity::Error
        } else if holds(Workload::NativeParallel, load) || holds(Workload::CpuStarved, load) {
            // A holder without a CPU keeps others waiting for long, and so do many at work.
            Severity::Info
        } else {
            Severity::Warning
        },
        share: rounded(share),
        seconds: rounded(case.seconds(count)),
        count,
        site,
        source: None,
        thread: None,
        task: None,
        evidence: evidence([
            ("share_of", "time of threads that compute, are ready to, or wait for the GIL".into()),
            ("count_of", "thread samples waiting for the GIL".into()),
            ("mean_waiters", rounded(waiters).into()),
            ("held_share_of_samples", rounded(load.facts.held).into()),
            ("holders", named_holders(case, &holders)),
            ("waiters", named_waiters(case)),
        ]),
        advice: if case.load.facts.marked.ipc_of_work() >= MOSTLY_MESSAGES {
            MESSAGES
        } else {
            ADVICE
        }
        .to_owned(),
    }]
}

/// From which share of the work on it is the pool's machinery that queues.
const MOSTLY_MESSAGES: f64 = 0.4;
/// Of a process that uses less of a CPU, a queue for the GIL costs next to nothing.
const LITTLE: f64 = 0.25;

const MESSAGES: &str = "Most of what these threads compute is messages to and from the processes of a \
    pool, which threads of this process pack and unpack by turns: fewer messages, or smaller ones, \
    shorten the queue.";

const ADVICE: &str = "Only one thread at a time runs Python. Move the work of the function above to \
    processes (concurrent.futures.ProcessPoolExecutor), or use a free-threaded build; more threads \
    make it slower.";

/// The functions that computed with the GIL, with their share of the samples at which one did.
fn named_holders(case: &Case, holders: &[((String, String), u64)]) -> Value {
    let all = case.samples_of(Cause::Python) as f64;
    let named = holders.iter().take(NAMED).map(|((file, function), samples)| {
        json!({
            "function": function,
            "file": file,
            "samples": samples,
            "share_of_python_samples": rounded(ratio(*samples as f64, all)),
        })
    });
    named.collect()
}

/// The threads that waited, with the share of their own samples at which they did.
fn named_waiters(case: &Case) -> Value {
    let rows = case.rows(|row| row.state.cause == Cause::Gil);
    let waiters = heaviest(rows.map(|row| (row.thread, row.samples)));
    let named = waiters.into_iter().take(NAMED).map(|(thread, samples)| {
        let own = case.profile.threads.get(usize::from(thread)).map_or(0, |thread| thread.samples);
        json!({
            "thread": case.thread_name(thread),
            "samples": samples,
            "share_of_own_samples": rounded(ratio(samples as f64, own as f64)),
        })
    });
    named.collect()
}
