//! What no concurrency model mends: deadlocks, locks, fan-outs without a bound, ends that nobody
//! prepared, leaks, crumbs of work.

use crate::diagnose::findings::Finding;
use crate::diagnose::load::Load;
use crate::diagnose::words::{percent, seconds};
use crate::model::Cause;

use serde_json::Value;

use super::choice::{Choice, Situation};
use super::gain::{BOUND, Gain};
use super::model::Model;

/// Findings of things that were begun and not ended.
const LEAKS: [&str; 3] = ["task-leak", "unclosed-client", "queue-growing"];

pub(super) fn deadlocked(load: &Load) -> Choice {
    let stuck = load.facts.deadlocked_threads + load.facts.deadlocked_tasks;
    Choice::new(
        Model::FixDeadlock,
        Some(Gain::of_going_on(stuck)),
        "A deadlock is a mistake and not a matter of the concurrency model: who needs several locks \
         takes them in one order that all keep.",
    )
    .and(format!("{stuck} threads or tasks can never go on; until the process is restarted nothing changes that."))
    .not(Model::Threads, "More threads would stop at the same locks.")
    .not(Model::Processes, "What they share would be lost, and a lock between processes stops them as well.")
    .about(if load.facts.deadlocked_threads > 0 { "deadlock" } else { "async-deadlock" })
}

pub(super) fn lock_bound(situation: &Situation) -> Choice {
    let load = situation.load;
    if let Some(choice) = database(situation) {
        return choice;
    }
    let choice = Choice::new(
        Model::ReduceLockScope,
        Some(Gain::of_smaller_blocks(situation.profile, load)),
        format!(
            "On average {:.1} threads wait for a lock. While they do, the others have the work to themselves.",
            load.entering()
        ),
    );
    let choice = match situation.finding("lock-contention").and_then(meanwhile) {
        Some((cause, share)) => choice.and(format!(
            "Whoever has it spends {} of that time with cause `{cause}`.",
            percent(share)
        )),
        None => choice,
    };
    let choice = choice.not(Model::Threads, "More threads would wait for the same lock.");
    let computes = load.facts.gil && load.mean(Cause::Python) >= 0.8;
    let choice = if computes {
        choice.and("The holder computes in Python nearly all of the time: without the lock the others would wait for the GIL instead.")
    } else {
        choice.not(Model::Processes, "They share no lock, but no data either: what the lock guards would have to be kept elsewhere.")
    };
    choice
        .not(Model::Asyncio, "Tasks would wait for an asyncio.Lock in the same way.")
        .about("lock-contention")
}

/// Writers of a database that lets one of them write at a time.
fn database(situation: &Situation) -> Option<Choice> {
    let finding = situation.serious("database-locked")?;
    let locks = situation.finding("lock-contention").map_or(0.0, |it| it.share);
    let waiting = finding.evidence.get("mean_waiting").and_then(Value::as_f64)?;
    if finding.share < locks {
        return None;
    }
    let choice = Choice::new(
        Model::ReduceLockScope,
        None,
        format!(
            "On average {:.1} threads sleep until a database is free that another connection has locked for \
             writing: one writes at a time, however many try.",
            waiting
        ),
    );
    Some(
        choice
            .and("One thread that writes for all, many rows in each transaction, takes the lock less often. How much that gains depends on the disk; the recording does not tell.")
            .not(Model::Threads, "More threads would wait for the same lock.")
            .not(Model::Processes, "Processes would wait for the same file's lock.")
            .about("database-locked"),
    )
}

/// What the holder of a contended lock mostly does.
fn meanwhile(finding: &Finding) -> Option<(String, f64)> {
    let holder = finding.evidence.get("holders")?.as_array()?.first()?;
    let causes = holder.get("meanwhile")?.as_object()?;
    let shares = causes.iter().filter_map(|(cause, share)| Some((cause.clone(), share.as_f64()?)));
    shares.max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Tasks that queue for a lock of asyncio's which one of them holds while it waits.
pub(super) fn async_lock(situation: &Situation) -> Option<Choice> {
    let finding = situation.serious("async-lock-contention")?;
    let waiters = finding.evidence.get("mean_waiters").and_then(Value::as_f64)?;
    let choice = Choice::new(
        Model::ReduceLockScope,
        Some(Gain::of_smaller_async_blocks(waiters, situation.load)),
        format!(
            "On average {waiters:.1} tasks wait for a lock that one of them holds while it waits itself: \
             they ask one after the other."
        ),
    );
    Some(
        choice
            .not(Model::Asyncio, "It has tasks enough: more of them would wait for the same lock.")
            .not(Model::Threads, "Threads would wait for a lock in the same way.")
            .not(Model::Processes, "There is next to nothing to compute; waiting needs no CPU.")
            .about("async-lock-contention"),
    )
}

/// An executor whose few workers all wait for what is outside while jobs queue for them.
pub(super) fn small_executor(situation: &Situation) -> Option<Choice> {
    let full = |id| situation.finding(id).filter(|it: &&Finding| it.share >= 0.5);
    let finding = full("executor-saturated").or_else(|| full("executor-starved"))?;
    let number = |key: &str| finding.evidence.get(key).and_then(Value::as_f64);
    let (workers, waiting) = (number("workers")?, situation.load.waiting_outside());
    // What they do besides is another matter.
    if waiting < 0.6 * workers || number("mean_queued")? < 1.0 {
        return None;
    }
    let choice = Choice::new(
        Model::Threads,
        Some(Gain::of_more_waiters(workers, situation.load)),
        format!(
            "The {workers:.0} workers of its executor all wait, {waiting:.1} of them for the other end, and \
             jobs queue for them: more workers (max_workers) let more of these waits overlap."
        ),
    );
    Some(
        choice
            .and("As long as the other end keeps its response time; raise it step by step.")
            .not(Model::Processes, "There is next to nothing to compute; waiting needs no CPU.")
            .not(Model::Asyncio, "Tasks wait for less memory than threads, but the library has to be an asynchronous one.")
            .about(finding.id),
    )
}

/// A fan-out without a bound.
pub(super) fn fan_out(situation: &Situation) -> Option<Choice> {
    let finding = situation.serious("unbounded-fan-out")?;
    let width = finding.count as f64;
    let choice = Choice::new(
        Model::BoundFanOut,
        Some(Gain::of_bounding(width)),
        format!(
            "One task starts {width:.0} at once and waits for all of them: the other end, memory and descriptors have to bear them all."
        ),
    );
    Some(
        choice
            .and(format!("A Semaphore of {BOUND:.0} to begin with: raise it while the throughput still grows."))
            .not(Model::Threads, "A pool of threads bounds them too, but takes a thread for each.")
            .not(Model::Processes, "The waits overlap already; there is next to nothing to compute.")
            .about("unbounded-fan-out"),
    )
}

/// A pool of processes that gets its work in crumbs.
pub(super) fn crumbs(situation: &Situation) -> Option<Choice> {
    let load = situation.load;
    let pools = situation.profile.surroundings.children.iter().any(|child| child.same_program);
    let share = load.facts.marked.ipc_of_work();
    if !pools || share < 0.4 || load.facts.marked.ipc < 0.2 || load.on_cpu() < 0.4 {
        return None;
    }
    if let Some(size) = situation.profile.surroundings.mean_write().filter(|size| *size >= LARGE) {
        return Some(large_messages(size, share));
    }
    let choice = Choice::new(
        Model::LargerChunks,
        Gain::of_larger_chunks(situation.profile, load),
        format!(
            "{} of what this process computes is packing, sending and unpacking work for its pool's processes.",
            percent(share)
        ),
    );
    Some(
        choice
            .and("With many items in each message (map's chunksize) that is paid once for all of them.")
            .not(Model::Processes, "More of them would be sent crumbs faster than these can be packed.")
            .not(Model::Threads, "Threads need no messages, but what they compute in Python takes turns at the GIL."),
    )
}

/// From which mean size on, in bytes, messages are no crumbs.
const LARGE: f64 = 8192.0;

/// A pool of processes whose messages are large.
fn large_messages(size: f64, share: f64) -> Choice {
    Choice::new(
        Model::SmallerMessages,
        None,
        format!(
            "{} of what this process computes is packing, sending and unpacking what its pool's processes \
             get and give back.",
            percent(share)
        ),
    )
    .and(format!(
        "It writes {:.0} KiB at a time: the data are large, and larger chunks would not make them less.",
        size / 1024.0
    ))
    .not(Model::LargerChunks, "What costs is the data themselves, and not their number of messages.")
    .not(Model::Processes, "More of them would have to be sent the same data.")
    .not(Model::Threads, "Threads need no messages, but what they compute in Python takes turns at the GIL.")
}

/// What is worth doing where the model is to be kept.
pub(super) fn instead_of_keeping(situation: &Situation) -> Option<Choice> {
    fan_out(situation).or_else(|| shutdown(situation)).or_else(|| leak(situation))
}

fn shutdown(situation: &Situation) -> Option<Choice> {
    let finding = situation.serious("blocks-shutdown")?;
    let length = finding.seconds;
    let choice = Choice::new(
        Model::CloseOnShutdown,
        Some(Gain::of_ending(length)),
        format!("Its end took {}: it waited for what nobody had told to end.", seconds(length)),
    );
    Some(choice.about("blocks-shutdown"))
}

fn leak(situation: &Situation) -> Option<Choice> {
    let (id, finding) = LEAKS.into_iter().find_map(|id| Some((id, situation.serious(id)?)))?;
    let why = format!("{}: in the end memory or descriptors run out.", finding.name);
    Some(Choice::new(Model::FixLeak, None, why).about(id))
}
