//! The arithmetic behind each verdict, in sentences.

use crate::diagnose::load::Load;
use crate::diagnose::phases::{Phase, PhaseKind};
use crate::diagnose::words::{counted, percent, ratio, seconds};
use crate::model::Cause;
use crate::profile::Profile;

use super::FEWEST_SAMPLES;

/// A mean number of threads, as a noun: `2.8 threads`.
fn threads(mean: f64) -> String {
    format!("{mean:.2} threads")
}

pub(super) fn insufficient(load: &Load) -> Vec<String> {
    let samples = load.totals.samples as u64;
    let seen = format!(
        "{} of the process, {} seen",
        counted(samples, "sample"),
        counted(load.facts.python_threads, "Python thread")
    );
    let too_few = load.totals.samples < FEWEST_SAMPLES || load.facts.python_threads == 0;
    let needs = if too_few {
        format!("; a verdict needs at least {FEWEST_SAMPLES} samples and a Python thread.")
    } else {
        ": enough, but not of enough of it is known what was done.".to_owned()
    };
    let mut why = vec![seen + &needs];
    if load.facts.rejected > 0.0 {
        why.push(format!("{} thread samples could not be read.", load.facts.rejected));
    }
    let unknown = load.mean(Cause::Unknown);
    if unknown > 0.0 {
        why.push(format!("Of {} on average it is not known what they do.", threads(unknown)));
    }
    why
}

/// Why no recording of an old version is ever enough, where much of it stays unknown.
pub(super) fn old_python(profile: &Profile) -> Option<String> {
    let series = ["2.", "3.3", "3.4", "3.5", "3.6", "3.7"];
    let version = &profile.meta.python;
    series.iter().any(|old| version.starts_with(old)).then(|| {
        format!(
            "Of Python {version} neither the GIL nor locks can be read, so that much of the time stays \
             unknown however long it is watched. A verdict needs CPython 3.8 or later."
        )
    })
}

pub(super) fn deadlocked(load: &Load) -> Vec<String> {
    let stuck = [(load.facts.deadlocked_threads, "thread"), (load.facts.deadlocked_tasks, "task")];
    let stuck = stuck.into_iter().filter(|(count, _)| *count > 0);
    let sentence = |(count, noun)| {
        let who = counted(count as u64, noun);
        format!("{who} can never go on: nobody is left who could end what they wait for.")
    };
    stuck.map(sentence).collect()
}

pub(super) fn loop_blocked(load: &Load) -> Vec<String> {
    let facts = &load.facts;
    let long = facts.blocked - facts.briefly_blocked;
    let mut why = Vec::new();
    if facts.longest_block > 0.0 {
        why.push(format!(
            "Steps of the event loop at least as long as the threshold take {} of the time; meanwhile no other task of the loop can run.",
            percent(long)
        ));
        why.push(format!("The longest of them lasted {}.", seconds(facts.longest_block)));
    }
    if facts.briefly_blocked > 0.0 {
        why.push(format!(
            "Shorter steps that wait, where the loop could have run other tasks, or compute for half the threshold, take {} of the time.",
            percent(facts.briefly_blocked)
        ));
    }
    why
}

pub(super) fn gil_bound(load: &Load) -> Vec<String> {
    vec![
        format!("On average {} wait for the GIL.", threads(load.mean(Cause::Gil))),
        format!("Some thread has the GIL at {} of the samples.", percent(load.facts.held)),
        cpus_sentence(load),
    ]
}

pub(super) fn cpu_starved(load: &Load) -> Vec<String> {
    vec![
        format!("On average {} are ready and wait for a CPU.", threads(load.run_queue())),
        format!("{} of the CPU time within its reach goes elsewhere.", percent(load.starvation())),
        cpus_sentence(load),
    ]
}

pub(super) fn idle(load: &Load) -> Vec<String> {
    let mut why = vec![format!(
        "On average {} work, or wait for something that holds them back.",
        threads(load.active())
    )];
    let (parked, sleep) = (load.mean(Cause::Parked), load.mean(Cause::Sleep));
    if parked > 0.0 {
        why.push(format!(
            "{} are idle by design (without work, requests or events).",
            threads(parked)
        ));
    }
    if sleep > 0.0 {
        why.push(format!(
            "It sleeps: {} on average are in a sleep that the program asked for.",
            threads(sleep)
        ));
    }
    if load.awaiting_signal() > 0.0 {
        why.push(format!(
            "{} wait for a signal from another thread.",
            threads(load.awaiting_signal())
        ));
    }
    why
}

pub(super) fn lock_bound(load: &Load) -> Vec<String> {
    let share = ratio(load.entering(), load.active());
    let mut why = vec![
        format!(
            "On average {} wait to get a lock that another thread has.",
            threads(load.entering())
        ),
        format!("That is {} of all thread time that is not idle.", percent(share)),
    ];
    if load.active() - load.entering() + load.mean(Cause::Sleep) < 0.01 {
        why.push(
            "No thread was seen at work that could free a lock: this may be a deadlock.".into(),
        );
    }
    why
}

pub(super) fn native(load: &Load) -> Vec<String> {
    vec![
        cpus_sentence(load),
        format!("{} of the work is C code that released the GIL.", percent(load.native_share())),
    ]
}

pub(super) fn cpu_bound(load: &Load) -> Vec<String> {
    let native = load.native_share();
    let mut why = vec![
        format!(
            "On average {} compute or are ready to, of {} that are not idle.",
            threads(load.on_cpu()),
            threads(load.active())
        ),
        format!("The busiest thread does so at {} of the samples.", percent(load.facts.busiest)),
        cpus_sentence(load),
    ];
    if native >= 0.05 {
        why.push(format!("{} of the work is C code that released the GIL.", percent(native)));
    }
    why
}

pub(super) fn io_bound(load: &Load) -> Vec<String> {
    let mut why = vec![format!(
        "Waiting for input and output takes {} of all thread time that is not idle.",
        percent(ratio(load.io(), load.active()))
    )];
    for cause in [Cause::Network, Cause::Disk, Cause::Pipe, Cause::Child] {
        let mean = load.mean(cause);
        if mean > 0.0 {
            why.push(format!("Waiting for {}: {} on average.", object(cause), threads(mean)));
        }
    }
    why.extend(loop_waits(load));
    if load.awaiting_children() > 0.0 {
        why.push(format!(
            "It waits for what its child processes send, which use {:.2} CPUs.",
            load.facts.children_cpus
        ));
    }
    why.push(cpus_sentence(load));
    if load.without_work() {
        why.push(
            "It uses next to no CPU time: it may as well wait for messages, by design.".into(),
        );
    }
    why
}

/// What an event loop's time in its selector stands for.
fn loop_waits(load: &Load) -> Option<String> {
    let tasks = &load.facts.tasks;
    let answers = tasks.answers.filter(|share| *share > 0.0).map(|share| {
        let share = percent(share);
        format!("Tasks wait for answers from the network at {share} of the looks at them.")
    });
    answers.or_else(|| {
        (load.loop_waits() > 0.0).then(|| {
            "An event loop waits in its selector and gets work every now and then; what its tasks wait for was not seen.".into()
        })
    })
}

/// What a thread with an outside cause waits for, in words.
const fn object(cause: Cause) -> &'static str {
    match cause {
        Cause::Network => "the network",
        Cause::Disk => "files",
        Cause::Pipe => "pipes and local sockets",
        _ => "child processes",
    }
}

pub(super) fn mixed(load: &Load) -> Vec<String> {
    let active = load.active();
    let share = |mean| percent(ratio(mean, active));
    vec![
        format!(
            "Of {} that are not idle: {} compute, {} wait for input and output, {} for locks, {} for the GIL.",
            threads(active),
            share(load.on_cpu()),
            share(load.io()),
            share(load.entering()),
            share(load.mean(Cause::Gil)),
        ),
        cpus_sentence(load),
    ]
}

fn cpus_sentence(load: &Load) -> String {
    let usable = load.facts.usable_cpus;
    let of =
        if usable.is_finite() { format!(" of {usable:.1} that it may use") } else { String::new() };
    format!("The process uses {:.2} CPUs{of}.", load.cpus_used())
}

/// Where the workload changes, if it does.
pub(super) fn phases(phases: &[Phase]) -> Option<String> {
    /// More of them do not fit a sentence.
    const MOST: usize = 6;
    if phases.len() < 2 {
        return None;
    }
    let told = phases.iter().take(MOST).map(|phase| {
        let kind = match phase.kind {
            PhaseKind::StartUp => "its start, ",
            PhaseKind::Steady => "",
            PhaseKind::Shutdown => "its end, ",
        };
        format!("{:.0} to {:.0} s {kind}{}", phase.start, phase.end, phase.workload.name())
    });
    let more = if phases.len() > MOST { "; and so on" } else { "" };
    Some(format!("The workload changes: {}{more}.", told.collect::<Vec<_>>().join("; ")))
}
