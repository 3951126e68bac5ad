//! How clearly each rule of the decision table holds, from 0 to 1; it holds from 0.5 on.

use crate::diagnose::load::Load;
use crate::diagnose::words::{ramp, ratio};
use crate::model::Cause;

use super::FEWEST_SAMPLES;

/// The unknown share of what threads did that are not idle by design.
pub(super) fn unknown_share(load: &Load) -> f64 {
    let unknown = load.mean(Cause::Unknown);
    ratio(unknown, unknown + load.active())
}

pub(super) fn insufficient(load: &Load) -> f64 {
    let too_few = load.totals.samples < FEWEST_SAMPLES || load.facts.python_threads == 0;
    let mostly_rejected = load.facts.rejected > load.totals.thread_samples();
    let mostly_unknown = load.mean(Cause::Unknown) >= 0.2 && unknown_share(load) >= 0.5;
    f64::from(too_few || mostly_rejected || mostly_unknown)
}

/// Threads and tasks that wait for ever are worth more than anything that the others do.
pub(super) fn deadlocked(load: &Load) -> f64 {
    f64::from(load.facts.deadlocked_threads + load.facts.deadlocked_tasks > 0)
}

/// Short waits within steps must add up to more than long steps before they are what holds the
/// program back.
pub(super) fn loop_blocked(load: &Load) -> f64 {
    let facts = &load.facts;
    let long = facts.blocked - facts.briefly_blocked;
    let by_share = ramp(long, 0.02, 0.08).max(ramp(facts.blocked, 0.1, 0.4));
    let by_length = if facts.longest_block >= 1.0 { ramp(long, 0.0, 0.02) } else { 0.0 };
    by_share.max(by_length)
}

/// Brief waiters at a GIL that is mostly free are not held back by it, and neither are waiters
/// whose holder lacks a CPU.
pub(super) fn gil_bound(load: &Load) -> f64 {
    if !load.facts.gil {
        return 0.0;
    }
    let waiters = ramp(load.mean(Cause::Gil), 0.2, 0.8);
    // While it is handed over nobody has it, and still it is not free for those who wait.
    let wanted = ratio(load.facts.overlaps.gil.samples as f64, load.totals.samples);
    waiters.min(ramp(load.facts.held.max(wanted), 0.5, 0.9))
        * (1.0 - ramp(load.starvation(), 0.5, 0.8))
}

/// Of a program that mostly waits, threads that lack a CPU now and then are not what holds it back,
/// however little of the little that they ask for they get.
pub(super) fn cpu_starved(load: &Load) -> f64 {
    let of_all = ratio(load.run_queue(), load.active().max(load.run_queue()));
    ramp(load.starvation(), 0.15, 0.35)
        .min(ramp(load.run_queue(), 0.05, 0.25))
        .min(ramp(of_all, 0.05, 0.25))
}

pub(super) fn idle(load: &Load) -> f64 {
    1.0 - ramp(load.active(), 0.1, 0.3)
}

pub(super) fn lock_bound(load: &Load) -> f64 {
    let share = ratio(load.entering(), load.active());
    ramp(share, 0.3, 0.6).min(ramp(load.entering(), 0.15, 0.45))
}

/// With half of the CPUs gone elsewhere, that is the news.
pub(super) fn native_parallel(load: &Load) -> f64 {
    let parallel = ramp(load.cpus_used(), 1.05, 1.35).min(ramp(load.native_share(), 0.35, 0.65));
    parallel * (1.0 - ramp(load.starvation(), 0.4, 0.6))
}

/// How nearly what only one thread at a time can do is used up: one thread's time, or the GIL by
/// threads that compute with it.
fn saturation(load: &Load) -> f64 {
    if load.children_work() {
        return 0.0;
    }
    let computing = load.mean_of(&[Cause::Python, Cause::CpuWait]);
    let held = if load.facts.gil { load.facts.held.min(computing) } else { 0.0 };
    ramp(load.facts.busiest.max(held), 0.8, 0.95)
}

pub(super) fn cpu_bound(load: &Load) -> f64 {
    let computes = ramp(ratio(load.on_cpu(), load.active()), 0.5, 0.75);
    computes.max(saturation(load)).max(hands_out(load))
}

/// How nearly all that a process can do is to hand out work to a pool's processes, by threads that take
/// turns.
fn hands_out(load: &Load) -> f64 {
    let marked = &load.facts.marked;
    ramp(marked.ipc_of_work(), 0.3, 0.6).min(ramp(marked.ipc, 0.4, 1.0))
}

/// Threads that wait for answers do not make a program I/O-bound when another thread of it, or the
/// GIL, cannot do more.
pub(super) fn io_bound(load: &Load) -> f64 {
    let share = ramp(ratio(load.io(), load.active()), 0.5, 0.75) * (1.0 - saturation(load));
    if load.without_work() { share * 0.75 } else { share }
}
