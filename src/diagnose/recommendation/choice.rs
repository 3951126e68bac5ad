//! Which model a workload wants, with the reasons for it and against the others.

use crate::diagnose::findings::Finding;
use crate::diagnose::load::Load;
use crate::diagnose::loops::LoopMeasures;
use crate::diagnose::verdict::Workload;
use crate::diagnose::words::{percent, seconds};
use crate::model::Cause;

use super::Rejected;
use super::gain::Gain;
use super::model::Model;

/// From how many waiting threads on tasks are cheaper than threads.
const MANY_THREADS: f64 = 32.0;

/// What the choice is made from.
pub(super) struct Situation<'a> {
    pub(super) load: &'a Load,
    pub(super) findings: &'a [Finding],
    pub(super) loops: &'a [LoopMeasures],
}

/// A model, and the case for it.
pub(super) struct Choice {
    pub(super) model: Model,
    pub(super) gain: Option<Gain>,
    pub(super) why: Vec<String>,
    pub(super) rejected: Vec<Rejected>,
}

impl Choice {
    fn new(model: Model, gain: Option<Gain>, why: impl Into<String>) -> Self {
        Self { model, gain, why: vec![why.into()], rejected: Vec::new() }
    }

    fn keep(why: impl Into<String>) -> Self {
        Self::new(Model::Keep, None, why)
    }

    fn and(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    fn not(mut self, model: Model, why: &'static str) -> Self {
        self.rejected.push(Rejected { model, why });
        self
    }
}

pub(super) fn choose(workload: Workload, situation: &Situation) -> Choice {
    match workload {
        Workload::EventLoopBlocked => blocked_loop(situation),
        Workload::GilBound => gil_bound(situation.load),
        Workload::CpuBound => cpu_bound(situation),
        Workload::IoBound => io_bound(situation),
        Workload::NativeParallel => native_parallel(situation.load),
        Workload::LockBound => lock_bound(situation.load),
        Workload::CpuStarved => cpu_starved(situation.load),
        Workload::Mixed => mixed(situation),
        Workload::Idle => {
            Choice::keep("It has hardly anything to do; no model would make it faster.")
                .and("If this is not its usual load, record while it works.")
        }
        Workload::Deadlocked => {
            Choice::keep("A deadlock is a mistake and not a matter of the concurrency model.")
        }
        Workload::InsufficientData => {
            Choice::keep("Too little was seen to recommend anything. Record for longer.")
        }
    }
}

/// Waits are best replaced by the asynchronous call, work is best moved elsewhere.
fn blocked_loop(situation: &Situation) -> Choice {
    let blocked = |it: &LoopMeasures| it.blocked_share + it.briefly_blocked_share;
    let worst = situation.loops.iter().max_by(|a, b| blocked(a).total_cmp(&blocked(b)));
    let finding = situation.findings.iter().find(|finding| finding.id == "blocked-event-loop");
    let cause = finding.and_then(|finding| finding.evidence.get("cause")?.as_str());
    let gain = worst.map(|worst| Gain::of_latency(worst.mean_delay_seconds, worst.steps.max));
    let numbers = worst.map(|worst| {
        format!(
            "The loop is blocked for {} of the time: a callback waits {} for it on average, and up to {}.",
            percent(blocked(worst)),
            seconds(worst.mean_delay_seconds),
            seconds(worst.steps.max)
        )
    });
    let python = cause == Some(Cause::Python.name());
    let native = cause == Some(Cause::Native.name());
    let choice = if python {
        Choice::new(
            Model::OffloadToExecutor,
            gain,
            "The step computes in Python: only another process takes it off the loop's back (a \
             ProcessPoolExecutor with loop.run_in_executor).",
        )
        .not(Model::Threads, "A thread that computes in Python shares the GIL with the loop.")
    } else if native {
        Choice::new(
            Model::OffloadToExecutor,
            gain,
            "The step computes in C code that releases the GIL: await asyncio.to_thread(...) \
             is enough.",
        )
        .not(Model::Processes, "The GIL is free meanwhile, so that a thread does, without copying.")
    } else {
        Choice::new(
            Model::Asyncio,
            gain,
            "The step waits: the asynchronous counterpart of the call lets other tasks run \
             meanwhile. Where there is none, await asyncio.to_thread(...).",
        )
        .not(Model::Processes, "There is next to nothing to compute; waiting needs no CPU.")
    };
    numbers.into_iter().fold(choice, Choice::and)
}

fn gil_bound(load: &Load) -> Choice {
    let waiting = format!(
        "On average {:.1} threads wait for the GIL, which some thread has {} of the time.",
        load.mean(Cause::Gil),
        percent(load.facts.held.min(1.0))
    );
    let choice = if load.facts.usable_cpus < 1.5 {
        Choice::new(
            Model::Native,
            None,
            "Only one CPU may be used: neither processes nor threads add anything, only less work \
             for each result does.",
        )
        .not(Model::Processes, "There is no second CPU for a second process.")
    } else {
        Choice::new(
            Model::Processes,
            Some(Gain::of_leaving_the_gil(load)),
            "Each process has a GIL of its own, so that they compute at the same time. A \
             free-threaded build of Python does the same for threads, where all extensions \
             allow it.",
        )
    };
    choice.and(waiting).not(Model::Threads, "More threads would wait for the same GIL.").not(
        Model::Asyncio,
        "Tasks take turns on one thread; they do not compute at the same time.",
    )
}

fn cpu_bound(situation: &Situation) -> Choice {
    let load = situation.load;
    let cpus = load.facts.usable_cpus;
    if load.cpus_used() >= 1.2 && !load.facts.gil {
        return Choice::keep("Threads compute at the same time already: there is no GIL in force.")
            .not(Model::Processes, "Threads do the same here without copying.");
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
    } else if situation.loops.is_empty() {
        Choice::new(
            Model::Processes,
            gain,
            "One thread's computation in Python is the limit. If the work can be divided, \
             processes compute its parts at the same time.",
        )
        .not(Model::Threads, "Threads that compute in Python take turns at the GIL.")
    } else {
        Choice::new(
            Model::Processes,
            gain,
            "The event loop's thread is busy with many short steps. Several worker processes \
             share the requests.",
        )
        .not(Model::Threads, "Threads that compute in Python take turns at the GIL.")
    };
    choice
        .and("Whether the work can be divided the recording does not tell: then the low end holds.")
        .not(Model::Asyncio, "There is nothing to wait for that tasks could overlap.")
}

fn io_bound(situation: &Situation) -> Choice {
    let load = situation.load;
    if load.loop_waits() > load.waiting_outside() {
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
        return other_io(load);
    }
    if outside >= MANY_THREADS {
        return Choice::new(
            Model::Asyncio,
            None,
            format!("{outside:.0} threads wait at the same time. Tasks wait for less memory than threads."),
        )
        .and("It would not be faster: the waits overlap already.");
    }
    if outside >= 1.5 {
        return Choice::keep(format!("{outside:.1} threads wait at the same time: the waits overlap already."))
            .and("More of them, with a bound, may help as long as the other end keeps its response time.")
            .not(Model::Processes, "There is next to nothing to compute.");
    }
    Choice::new(
        Model::Asyncio,
        Some(Gain::of_overlapping(load)),
        "One request waits at a time. With several in flight the waits overlap; a ThreadPoolExecutor \
         does the same where the library has no asynchronous variant.",
    )
    .and("The gain assumes 4 to 16 requests in flight, independent of each other, and another end that keeps its response time.")
    .not(Model::Processes, "There is next to nothing to compute; waiting needs no CPU.")
}

fn other_io(load: &Load) -> Choice {
    let child = load.mean(Cause::Child);
    if child >= load.mean_of(&[Cause::Disk, Cause::Pipe]) {
        return Choice::keep(
            "It waits for a child process: what takes the time is to be found there.",
        )
        .and("Record the child (pyconc record --subprocesses).");
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

fn native_parallel(load: &Load) -> Choice {
    Choice::keep(format!(
        "C code that releases the GIL uses {:.1} CPUs: threads are the right model.",
        load.cpus_used()
    ))
    .not(Model::Processes, "There is no GIL to escape from, and the data would have to be copied.")
    .not(Model::Asyncio, "Tasks run on one thread, which would use one CPU.")
}

fn lock_bound(load: &Load) -> Choice {
    Choice::new(
        Model::ReduceLockScope,
        Some(Gain::of_smaller_blocks(load)),
        format!("On average {:.1} threads wait for a lock. While they do, they might as well not exist.", load.entering()),
    )
    .and("How much of the work under the lock really needs it the recording does not tell: then the low end holds.")
    .not(Model::Threads, "More threads would wait for the same lock.")
}

fn cpu_starved(load: &Load) -> Choice {
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
}

fn mixed(situation: &Situation) -> Choice {
    let load = situation.load;
    if load.io() >= 0.2 && load.on_cpu() >= 0.2 && situation.loops.is_empty() {
        return Choice::new(
            Model::Threads,
            Some(Gain::of_mixing(load)),
            "It computes and waits by turns. A second thread can compute while the first waits.",
        )
        .and("At best the shorter of the two disappears behind the longer.");
    }
    Choice::keep("No single thing holds it back; the findings say where time goes.")
}
