//! `cpu-starved`: threads are ready and do not get a CPU.

use crate::diagnose::verdict::{Workload, holds};
use crate::diagnose::words::{ratio, rounded};

use super::{Case, Finding, Severity, evidence};

const ID: &str = "cpu-starved";

/// So many seconds in run queues are nothing to speak of: a start-up is that long.
const SHORTEST: f64 = 0.3;

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let load = case.load;
    let queue = load.run_queue();
    let share = ratio(queue, queue + load.cpus_used());
    // Each waiter for the GIL wakes every few milliseconds and stands in a run queue for a moment:
    // that is the GIL's doing. A process that lacks its CPU is not judged gil-bound.
    let shortest = load.totals.queued < SHORTEST;
    if shortest || queue < 0.1 || share < 0.1 || holds(Workload::GilBound, load) {
        return Vec::new();
    }
    let usable = load.facts.usable_cpus;
    let crowded = load.starvation() < 0.1;
    let severity = if holds(Workload::CpuStarved, load) {
        Severity::Error
    } else if crowded {
        Severity::Info
    } else {
        Severity::Warning
    };
    vec![Finding {
        id: ID,
        name: if crowded {
            "more threads want a CPU than there are"
        } else {
            "threads wait for a CPU"
        }
        .to_owned(),
        severity,
        share: rounded(share),
        seconds: rounded(load.totals.queued),
        count: case.samples_of(crate::model::Cause::CpuWait),
        site: None,
        source: None,
        thread: None,
        task: None,
        evidence: evidence([
            ("share_of", "thread time on a CPU or ready for one".into()),
            ("count_of", "thread samples ready without a CPU".into()),
            ("mean_ready", rounded(queue).into()),
            ("cpus_used", rounded(load.cpus_used()).into()),
            ("cpus_usable", usable.is_finite().then_some(usable).into()),
            ("starvation_share_of_cpu_within_reach", rounded(load.starvation()).into()),
        ]),
        advice: if crowded { CROWDED } else { STARVED }.to_owned(),
    }]
}

const STARVED: &str = "Other processes, or the container's CPU limit, take the CPUs. Raise the \
    limit, move the neighbours, or run on a quieter machine before judging the program itself.";

const CROWDED: &str = "The program has more threads at work than CPUs to run them. Size its pools \
    by the CPUs that it may use; a larger machine would be used.";
