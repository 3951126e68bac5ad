//! What programs want that wait: for peers, files, children, and event loops that wait the wrong way.

use crate::diagnose::findings::Finding;
use crate::diagnose::load::Load;
use crate::diagnose::loops::LoopMeasures;
use crate::diagnose::words::{percent, ratio, seconds};
use crate::model::Cause;

use serde_json::Value;

use super::choice::{Choice, Situation};
use super::gain::Gain;
use super::model::Model;
use super::trouble;

/// From how many waiting threads on tasks are cheaper than threads.
const MANY_THREADS: f64 = 32.0;

/// Waits are best replaced by the asynchronous call, work is best moved elsewhere.
pub(super) fn blocked_loop(situation: &Situation) -> Choice {
    let blocked = |it: &LoopMeasures| it.blocked_share + it.briefly_blocked_share;
    let worst = situation.loops.iter().max_by(|a, b| blocked(a).total_cmp(&blocked(b)));
    let finding = situation.finding("blocked-event-loop");
    let cause = finding.and_then(|finding| finding.evidence.get("cause")?.as_str());
    let gain = worst.map(|worst| {
        let late = worst.mean_delay_seconds;
        Gain::of_latency(late, finding.map_or(0.0, |it| queue_ahead(it, blocked(worst), late)))
    });
    let numbers = worst.map(|worst| {
        format!(
            "The loop is blocked for {} of the time: a callback waits {} for it on average, and up to {}.",
            percent(blocked(worst)),
            seconds(worst.mean_delay_seconds),
            seconds(worst.steps.max)
        )
    });
    let is = |other: Cause| cause == Some(other.name());
    let choice = if is(Cause::Python) {
        Choice::new(
            Model::OffloadToExecutor,
            gain,
            "The step computes in Python: only another process takes it off the loop's back (a \
             ProcessPoolExecutor with loop.run_in_executor).",
        )
        .not(Model::Threads, "A thread that computes in Python shares the GIL with the loop.")
        .not(Model::Asyncio, "There is no call to await: the step does not wait.")
    } else if is(Cause::Native) {
        Choice::new(
            Model::OffloadToExecutor,
            gain,
            "The step computes in C code that releases the GIL: await asyncio.to_thread(...) \
             is enough.",
        )
        .not(Model::Processes, "The GIL is free meanwhile, so that a thread does, without copying.")
    } else if is(Cause::Disk) {
        Choice::new(
            Model::OffloadToExecutor,
            gain,
            "The step waits for a file, which no event loop can wait for: await \
             asyncio.to_thread(...).",
        )
        .not(Model::Processes, "There is next to nothing to compute; waiting needs no CPU.")
    } else {
        Choice::new(
            Model::Asyncio,
            gain,
            "The step waits: the asynchronous counterpart of the call lets other tasks run \
             meanwhile. Where there is none, await asyncio.to_thread(...).",
        )
        .not(Model::Processes, "There is next to nothing to compute; waiting needs no CPU.")
        .not(Model::Threads, "A thread for each call does it too, where the library has no asynchronous form; it costs a thread for each wait.")
    };
    numbers.into_iter().fold(choice, Choice::and).about("blocked-event-loop")
}

/// How long a callback waits on average for the steps that are ready before it, in seconds, on a loop that
/// is blocked for a share of the time, `late` for the step that it is in.
///
/// The queue is that of a single server (Pollaczek and Khinchine), but no longer than it was seen to
/// be: few programs have an endless supply of requests. A loop that is mostly free has hardly any.
fn queue_ahead(finding: &Finding, blocked: f64, late: f64) -> f64 {
    let ready = finding.evidence.get("callbacks_kept_waiting").and_then(Value::as_f64);
    let ahead = (ready.unwrap_or(0.0) - 1.0).max(0.0);
    if blocked < 0.5 {
        return 0.0;
    }
    // The step that a random moment finds the loop in is so long, and half of it is left.
    let step = 2.0 * late / blocked;
    let open = if blocked < 1.0 { blocked / (1.0 - blocked) } else { f64::INFINITY };
    // The longest queue that was seen is about twice the mean one.
    step * (ahead / 2.0).min(open)
}

pub(super) fn io_bound(situation: &Situation) -> Choice {
    let load = situation.load;
    if load.loop_waits() > load.waiting_outside() {
        if let Some(choice) = trouble::async_lock(situation) {
            return choice;
        }
        if let Some(finding) = situation.serious("sequential-io") {
            return Choice::new(
                Model::Asyncio,
                Some(Gain::of_overlapping(load)),
                "It has an event loop, and asks for one thing at a time on it: several tasks would let \
                 the waits overlap.",
            )
            .and(format!(
                "At {} of the looks a task waited for an answer, and no other did.",
                percent(finding.share)
            ))
            .not(Model::Processes, "There is next to nothing to compute; waiting needs no CPU.")
            .not(Model::Threads, "The loop does the same with less.")
            .about("sequential-io");
        }
        return Choice::keep("An event loop overlaps the waits already, and no step holds it up.")
            .not(Model::Processes, "There is next to nothing to compute.");
    }
    if load.without_work() {
        return Choice::keep(
            "It does nothing between the waits: the other end sets the pace, or it waits for \
             messages by design.",
        );
    }
    let outside = load.waiting_outside();
    if load.mean(Cause::Network) < outside / 2.0 {
        return other_io(situation);
    }
    if outside >= MANY_THREADS {
        return Choice::new(
            Model::Asyncio,
            Some(Gain::of_tasks_for_threads(outside)),
            format!("{outside:.0} threads wait at the same time. Tasks wait for less memory than threads."),
        )
        .and("It would hardly be faster: the waits overlap already.")
        .not(Model::Processes, "There is next to nothing to compute; waiting needs no CPU.")
        .not(Model::Threads, "They are what it has; a pool of fixed size bounds them, but each wait takes one.");
    }
    if let Some(choice) = trouble::small_executor(situation) {
        return choice;
    }
    if outside >= 1.5 {
        return Choice::keep(format!("{outside:.1} threads wait at the same time: the waits overlap already."))
            .and("More of them, with a bound, may help as long as the other end keeps its response time.")
            .not(Model::Processes, "There is next to nothing to compute.");
    }
    if situation.finding("sequential-io").is_none() {
        return Choice::keep(
            "Its threads wait by turns, and none of them most of the time: little is to be gained by \
             overlapping the waits. What takes the time is the other end.",
        );
    }
    Choice::new(
        Model::Asyncio,
        Some(Gain::of_overlapping(load)),
        "One request waits at a time. With several in flight the waits overlap; a ThreadPoolExecutor \
         does the same where the library has no asynchronous variant.",
    )
    .and(format!(
        "Waiting for the network is {} of what it does, and one thread of {:.2} waits at a time.",
        percent(ratio(load.mean(Cause::Network), load.active())),
        outside
    ))
    .not(Model::Processes, "There is next to nothing to compute; waiting needs no CPU.")
    .not(Model::Threads, "They do the same at the price of a thread for each request: the second choice, where the library has no asynchronous form.")
    .about("sequential-io")
}

fn other_io(situation: &Situation) -> Choice {
    let load = situation.load;
    let child = load.mean(Cause::Child);
    let used = load.facts.children_cpus;
    if child >= load.mean_of(&[Cause::Disk, Cause::Pipe]) || used >= 0.3 {
        let cpus = load.facts.usable_cpus;
        let choice = Choice::keep(format!(
            "It waits for child processes, which use {used:.1} CPUs: what takes the time is to be found there.",
        ));
        // Children that come and go one after the other could come several at a time.
        let one_by_one =
            (0.5..1.5).contains(&child) && situation.profile.surroundings.children_change;
        if one_by_one && cpus.is_finite() && used < 0.7 * cpus {
            return Choice::new(
                Model::Threads,
                Some(Gain::of_children_at_once(load)),
                format!(
                    "It runs one child process after the other and waits for each; they use {used:.2} CPUs \
                     of {cpus:.1}. A ThreadPoolExecutor of a few threads, each of which runs a child, lets \
                     several run at once."
                ),
            )
            .not(Model::Processes, "The children are processes already; whoever waits for them needs no CPU.")
            .not(Model::Asyncio, "asyncio.create_subprocess_exec does the same, where there is a loop already.");
        }
        return if cpus.is_finite() && used >= 0.75 * cpus {
            choice.and(format!("They use the {cpus:.1} CPUs that there are."))
        } else {
            choice.and("Record the child itself (pyconc record --pid CHILD).")
        };
    }
    Choice::new(
        Model::Threads,
        None,
        "It waits for files or pipes. A few threads let these waits overlap, if the device and the \
         other end can serve several at a time; the recording does not tell.",
    )
    .not(
        Model::Asyncio,
        "Files have no asynchronous interface in Python: tasks would use threads too.",
    )
}

pub(super) fn mixed(situation: &Situation) -> Choice {
    let load: &Load = situation.load;
    if let Some(choice) = trouble::fan_out(situation) {
        return choice;
    }
    if load.io() >= 0.2 && load.on_cpu() >= 0.2 && situation.loops.is_empty() {
        return Choice::new(
            Model::Threads,
            Some(Gain::of_mixing(load)),
            "It computes and waits by turns. A second thread can compute while the first waits.",
        )
        .and("At best the shorter of the two disappears behind the longer.")
        .not(Model::Processes, "They do the same, and copy what they send each other.");
    }
    Choice::keep("No single thing holds it back; the findings say where time goes.")
}
