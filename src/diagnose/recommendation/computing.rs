//! What programs want that compute, or want to.

use crate::diagnose::load::Load;
use crate::diagnose::words::percent;
use crate::model::Cause;

use super::choice::{Choice, Situation};
use super::gain::Gain;
use super::model::Model;
use super::veto;

/// From which mean number of threads on that wait for locks of the program's own the threads that
/// compute are taken to share what they compute on.
const SHARES: f64 = 0.02;

pub(super) fn gil_bound(situation: &Situation) -> Choice {
    let load = situation.load;
    let waiting = format!(
        "On average {:.1} threads wait for the GIL, which some thread has {} of the time.",
        load.mean(Cause::Gil),
        percent(load.facts.held.min(1.0))
    );
    if load.facts.usable_cpus < 1.5 {
        return Choice::new(
            Model::Native,
            None,
            "Only one CPU may be used: neither processes nor threads add anything, only less work \
             for each result does.",
        )
        .and(waiting)
        .not(Model::Processes, "There is no second CPU for a second process.")
        .not(Model::Threads, "More threads would wait for the same GIL.")
        .about("gil-contention");
    }
    let against_processes = veto::processes(situation);
    let against_free_threading = veto::free_threaded(situation);
    let shares = load.entering() >= SHARES;
    let choice = if (shares || !against_processes.is_empty()) && against_free_threading.is_empty() {
        let why = if shares {
            "The threads that compute also wait for the program's own locks: they share what they \
             work on. Processes would have to copy it to and fro; threads of a free-threaded build \
             compute at the same time and share as before."
        } else {
            "Threads of a free-threaded build compute at the same time, in one process."
        };
        let choice = Choice::new(Model::FreeThreaded, Some(Gain::of_dropping_the_gil(load)), why);
        let choice = choice.and(waiting).and(veto::builds(situation));
        let reasons = if against_processes.is_empty() {
            vec![
                "What the threads share would have to be sent to and fro, or kept in a manager."
                    .into(),
            ]
        } else {
            against_processes
        };
        reasons.into_iter().fold(choice, |choice, why| choice.not(Model::Processes, why))
    } else {
        let choice = Choice::new(
            Model::Processes,
            Some(Gain::of_leaving_the_gil(load)),
            "Each process has a GIL of its own, so that they compute at the same time.",
        );
        let choice = against_processes
            .into_iter()
            .fold(choice.and(waiting), |choice, against| choice.and(format!("Mind: {against}")));
        let free_threading = if against_free_threading.is_empty() {
            vec!["It does the same without copying, but the interpreter has to be another; it is the second choice here.".to_owned()]
        } else {
            against_free_threading
        };
        free_threading.into_iter().fold(choice, |it, why| it.not(Model::FreeThreaded, why))
    };
    choice
        .not(Model::Threads, "More threads would wait for the same GIL.")
        .not(Model::Subinterpreters, veto::subinterpreters(situation))
        .not(
            Model::Asyncio,
            "Tasks take turns on one thread; they do not compute at the same time.",
        )
        .about("gil-contention")
}

pub(super) fn cpu_bound(situation: &Situation) -> Choice {
    let load = situation.load;
    let cpus = load.facts.usable_cpus;
    if load.cpus_used() >= 1.2 && !load.facts.gil {
        return Choice::keep("Threads compute at the same time already: there is no GIL in force.")
            .not(Model::Processes, "Threads do the same here without copying.");
    }
    if cpus >= 1.5 && load.cpus_used() >= 0.75 * cpus {
        return Choice::keep(format!(
            "It uses {:.1} of {cpus:.1} CPUs: what it computes is divided among them already.",
            load.cpus_used()
        ))
        .not(Model::Processes, "There is no CPU left for more of them.");
    }
    let children = load.facts.children_cpus;
    if children + load.cpus_used() >= 0.75 * cpus && children >= 0.3 {
        return Choice::keep(format!(
            "It and its child processes use {:.1} of {cpus:.1} CPUs: the work is divided already.",
            children + load.cpus_used()
        ))
        .not(Model::Threads, "There is no CPU left for more of them.");
    }
    if cpus < 1.5 {
        return Choice::new(
            Model::Native,
            None,
            "It uses the one CPU that it may use. Only less work for each result makes it faster.",
        )
        .not(Model::Processes, "There is no second CPU for a second process.");
    }
    let gain = Gain::of_dividing(load);
    let choice = if load.native_share() >= 0.5 {
        let why = format!(
            "{} of the work is C code that releases the GIL: divided among threads it uses several CPUs.",
            percent(load.native_share())
        );
        Choice::new(Model::Threads, gain, why)
            .not(Model::Processes, "Threads do, without copying the data.")
    } else {
        let why = if situation.loops.is_empty() {
            "One thread's computation in Python is the limit. If the work can be divided, \
             processes compute its parts at the same time."
        } else {
            "The event loop's thread is busy with many short steps. Several worker processes \
             share the requests."
        };
        let choice = Choice::new(Model::Processes, gain, why)
            .not(Model::Threads, "Threads that compute in Python take turns at the GIL.");
        veto::processes(situation)
            .into_iter()
            .fold(choice, |choice, against| choice.and(format!("Mind: {against}")))
    };
    choice.not(Model::Asyncio, "There is nothing to wait for that tasks could overlap.")
}

pub(super) fn native_parallel(load: &Load) -> Choice {
    Choice::keep(format!(
        "C code that releases the GIL uses {:.1} CPUs: threads are the right model.",
        load.cpus_used()
    ))
    .not(Model::Processes, "There is no GIL to escape from, and the data would have to be copied.")
    .not(Model::Asyncio, "Tasks run on one thread, which would use one CPU.")
}

pub(super) fn cpu_starved(load: &Load) -> Choice {
    Choice::new(
        Model::MoreCpus,
        Some(Gain::of_more_cpu(load)),
        format!(
            "{} of the CPU time within reach goes to others, or is withheld by the container's limit.",
            percent(load.starvation())
        ),
    )
    .not(Model::Threads, "More threads would wait for the same CPUs.")
    .not(Model::Processes, "More processes would wait for the same CPUs.")
    .about("cpu-starved")
}
