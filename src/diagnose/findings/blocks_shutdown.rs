//! `blocks-shutdown`: the program wants to end, or an event loop does, and something keeps it from that.
//!
//! That a main thread waits at the interpreter's end is no fault by itself: to start threads and to
//! fall off the end of main is a design. So it is graded by what was seen. When the wait began
//! under our eyes, its length tells, unless all that it waits for was started just before and is at
//! work. When it was there all along, it is worth a word and no more, unless no thread is left that
//! could end it. An event loop that has cancelled its tasks waits by nobody's design.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::diagnose::site::{Site, innermost_user, lines};
use crate::diagnose::words::{percent, ratio, rounded, seconds};
use crate::model::{Cause, Nanos, ProcessEnd, State, StateId, ThreadId, note};
use crate::profile::Shutdown;

use super::{Case, Finding, Severity, evidence};
use crate::diagnose::event_loop::is_in_step;

const ID: &str = "blocks-shutdown";

/// From how many seconds on a wait is told, warned of, and an error.
const TOLD: f64 = 0.5;
const LONG: f64 = 1.0;
const TOO_LONG: f64 = 5.0;
/// How long before the wait a thread was started at most that main has left the work to.
const LEFT_TO: Nanos = Nanos::SECOND;
/// A process that was no older when it was first seen had not yet been waiting for long.
const YOUNG: Nanos = Nanos::SECOND;
/// From which share of its time on in one wait a thread is not at work.
const STUCK: f64 = 0.95;
/// The most threads that are told.
const MOST_THREADS: usize = 20;
/// The most of them that have a sentence, and that have their name in the finding's.
const MOST_SENTENCES: usize = 5;
const MOST_NAMES: usize = 3;
/// The places in which a program may wait by design, for threads or for other processes.
const BY_DESIGN: [&str; 5] = [
    "shutdown-threads",
    "shutdown-executor",
    "shutdown-executor-at-exit",
    "shutdown-process-pool",
    "shutdown-children",
];
/// Those of them where other processes do the work, which nobody has looked at.
const ELSEWHERE: [&str; 2] = ["shutdown-process-pool", "shutdown-children"];

/// A thread that lived meanwhile.
struct Other<'a> {
    thread: ThreadId,
    /// The state that it was in most of the time.
    state: &'a State,
    /// At how many samples it was in that, and in any.
    there: u64,
    samples: u64,
}

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let mut shutdowns: Vec<_> =
        case.profile.shutdowns().filter(|it| it.length().seconds() >= TOLD).collect();
    let is_main = |thread| case.tables().thread(thread).is_some_and(|info| info.main);
    shutdowns.sort_by_key(|it| (!is_main(it.thread), Reverse(it.length()), it.thread));
    // What goes on at the same time is the same end: that of a helper, or of a loop that main joins.
    let mut told: Vec<&Shutdown> = Vec::new();
    for shutdown in shutdowns {
        if told.iter().all(|it| it.last < shutdown.since || shutdown.last < it.since) {
            told.push(shutdown);
        }
    }
    told.into_iter().filter_map(|shutdown| finding(case, shutdown)).collect()
}

fn finding(case: &Case, shutdown: &Shutdown) -> Option<Finding> {
    let id = place(case, shutdown)?;
    let probe = case.catalog.probe(&id)?;
    let others = others(case, shutdown);
    let blamed = blamed(case, &others);
    let length = shutdown.length().seconds();
    let site =
        blamed.iter().find_map(|it| user_site(case, it.state)).or_else(|| own_site(case, shutdown));
    let name = |thread| case.thread_name(thread).unwrap_or_default();
    let names: Vec<_> = blamed.iter().map(|it| name(it.thread)).collect();
    let thread = match &blamed[..] {
        [] => Some(name(shutdown.thread)),
        [one] => Some(name(one.thread)),
        _ => None,
    };
    let told: Vec<_> =
        blamed.iter().take(MOST_THREADS).map(|it| value(case, shutdown, it)).collect();
    Some(Finding {
        id: ID,
        name: title(&probe.title, &names),
        severity: severity(case, shutdown, &id, &others, &blamed),
        share: rounded(ratio(length, case.load.totals.elapsed).min(1.0)),
        seconds: rounded(length),
        count: blamed.len() as u64,
        site,
        source: None,
        thread,
        task: None,
        evidence: evidence([
            ("share_of", "the recording".into()),
            ("count_of", "threads that it waits for".into()),
            ("place", id.clone().into()),
            ("waits", name(shutdown.thread).into()),
            ("since_seconds", rounded(since(case, shutdown)).into()),
            ("seen_to_begin", is_seen_to_begin(case, shutdown).into()),
            ("threads", told.into()),
            ("story", story(case, shutdown, &blamed).into()),
        ]),
        advice: probe.advice.clone(),
    })
}

/// The probe for the place in which the thread waited most.
fn place(case: &Case, shutdown: &Shutdown) -> Option<String> {
    let mut places: BTreeMap<&str, u64> = BTreeMap::new();
    for (state, samples) in states_of(case, shutdown, shutdown.thread) {
        let note = case.tables().note(state).filter(|note| note.starts_with(note::SHUTDOWN));
        *places.entry(note?).or_default() += samples;
    }
    places.into_iter().max_by_key(|(_, samples)| *samples).map(|(note, _)| note.to_owned())
}

/// What a thread did meanwhile.
fn states_of<'a>(
    case: &'a Case,
    shutdown: &'a Shutdown,
    thread: ThreadId,
) -> impl Iterator<Item = (&'a State, u64)> {
    let own = shutdown.states.iter().filter(move |((of, _), _)| *of == thread);
    own.filter_map(|((_, state), samples)| Some((case.tables().states.get(*state)?, *samples)))
}

/// The Python threads that lived meanwhile, without the main thread and those that help it to end.
fn others<'a>(case: &'a Case, shutdown: &Shutdown) -> Vec<Other<'a>> {
    let mut most: BTreeMap<ThreadId, (u64, u64, Reverse<StateId>)> = BTreeMap::new();
    for (&(thread, state), &samples) in &shutdown.states {
        let most = most.entry(thread).or_insert((0, 0, Reverse(state)));
        most.0 += samples;
        (most.1, most.2) = (most.1, most.2).max((samples, Reverse(state)));
    }
    let other = |(thread, (samples, there, Reverse(state)))| {
        let info = case.tables().thread(thread)?;
        let state = case.tables().states.get(state)?;
        let helps = case.tables().note(state).is_some_and(|note| note.starts_with(note::SHUTDOWN));
        (info.python && !info.main && !helps && thread != shutdown.thread).then_some(Other {
            thread,
            state,
            there,
            samples,
        })
    };
    most.into_iter().filter_map(other).collect()
}

/// Those of them that are waited for: who is no daemon and stayed; those that do something first.
///
/// Before CPython 3.9 the workers of an executor are daemons and are waited for all the same. They
/// are when no other thread is there.
fn blamed<'a, 'b>(case: &Case, others: &'b [Other<'a>]) -> Vec<&'b Other<'a>> {
    let is_daemon = |it: &Other| case.tables().thread(it.thread).and_then(|info| info.daemon);
    let mut blamed: Vec<_> = others.iter().filter(|it| is_daemon(it) == Some(false)).collect();
    if blamed.is_empty() {
        blamed = others.iter().filter(|it| it.state.cause != Cause::Parked).collect();
    }
    let longest = blamed.iter().map(|it| it.samples).max().unwrap_or_default();
    blamed.retain(|it| it.samples >= longest / 2);
    blamed.sort_by_key(|it| (it.state.cause == Cause::Parked, Reverse(it.samples), it.thread));
    blamed
}

fn severity(
    case: &Case,
    shutdown: &Shutdown,
    place: &str,
    others: &[Other],
    blamed: &[&Other],
) -> Severity {
    let by_length = match shutdown.length().seconds() {
        length if length >= TOO_LONG => Severity::Error,
        length if length >= LONG => Severity::Warning,
        _ => Severity::Info,
    };
    if !BY_DESIGN.contains(&place) {
        return by_length;
    }
    if !blamed.is_empty() && blamed.iter().all(|it| case.is_deadlocked(it.thread)) {
        return by_length;
    }
    let begun = is_seen_to_begin(case, shutdown);
    if !begun && !is_hopeless(case, shutdown, others) {
        return Severity::Info;
    }
    // Of what other processes do, and of how long a wait may last, nothing is known.
    if !begun || ELSEWHERE.contains(&place) {
        return by_length.max(Severity::Warning);
    }
    let left_to = |it: &&Other| {
        is_at_work(case, shutdown, it) && is_started_before(case, shutdown, it.thread)
    };
    let is_design = !blamed.is_empty() && blamed.iter().all(left_to);
    if is_design { Severity::Info } else { by_length }
}

/// Whether the wait began while we looked, or a moment before.
fn is_seen_to_begin(case: &Case, shutdown: &Shutdown) -> bool {
    let meta = &case.profile.meta;
    let samples = 2.0 * ratio(case.load.totals.elapsed, case.load.totals.samples);
    since(case, shutdown) > samples || meta.age <= YOUNG
}

/// When the wait began, in seconds of the recording.
fn since(case: &Case, shutdown: &Shutdown) -> f64 {
    shutdown.since.since(case.profile.meta.origin).seconds()
}

/// Whether a thread does its work: it runs now and then, or serves.
fn is_at_work(case: &Case, shutdown: &Shutdown, other: &Other) -> bool {
    const SERVES: [&str; 4] = [
        note::EVENT_LOOP_SELECTOR,
        note::AWAITS_REQUEST,
        note::AWAITS_CONNECTION,
        note::AWAITS_SIGNAL,
    ];
    let runs = matches!(
        other.state.cause,
        Cause::Python | Cause::Native | Cause::CpuWait | Cause::Gil | Cause::Disk
    );
    let serves = case.tables().note(other.state).is_some_and(|note| SERVES.contains(&note));
    let has_run = match shutdown.cpu.get(&other.thread) {
        Some(cpu) => cpu.0 > 0,
        // Too short for the kernel's account.
        None => share(other) < STUCK,
    };
    runs || serves || has_run
}

fn is_started_before(case: &Case, shutdown: &Shutdown, thread: ThreadId) -> bool {
    let seen = case.profile.threads.get(usize::from(thread)).and_then(|thread| thread.seen);
    seen.is_some_and(|seen| shutdown.since.since(seen.first) <= LEFT_TO)
}

/// Whether every other thread waited for a lock or for an item of a queue, all of the time: none is
/// left that could give it to them.
fn is_hopeless(case: &Case, shutdown: &Shutdown, others: &[Other]) -> bool {
    let waits = |state: &State| {
        state.cause == Cause::Lock || case.tables().note(state) == Some(note::QUEUE_CONSUMER)
    };
    !others.is_empty()
        && shutdown
            .states
            .keys()
            .filter(|(thread, _)| *thread != shutdown.thread)
            .all(|(_, state)| case.tables().states.get(*state).is_some_and(waits))
}

fn title(place: &str, names: &[String]) -> String {
    match names {
        [] => place.to_owned(),
        _ if names.len() > MOST_NAMES => {
            let some = names.iter().take(MOST_NAMES - 1).cloned().collect::<Vec<_>>().join(", ");
            format!("{place}: {some} and {} more", names.len() + 1 - MOST_NAMES)
        }
        _ => format!("{place}: {}", names.join(", ")),
    }
}

/// The line of the user's own code, if a state has one.
fn user_site(case: &Case, state: &State) -> Option<Site> {
    lines(case.tables(), state.stack).find(|line| line.is_user()).map(|line| line.site())
}

/// The line of the waiting thread itself: in a task that does not end, or else where the loop was run.
fn own_site(case: &Case, shutdown: &Shutdown) -> Option<Site> {
    let own = || states_of(case, shutdown, shutdown.thread);
    let in_task = own().filter(|(state, _)| is_in_step(case.tables(), &[], state.stack));
    let (state, _) = in_task
        .max_by_key(|(state, samples)| (*samples, Reverse(state.stack)))
        .or_else(|| own().max_by_key(|(state, samples)| (*samples, Reverse(state.stack))))?;
    user_site(case, state)
}

fn value(case: &Case, shutdown: &Shutdown, other: &Other) -> Value {
    let info = case.tables().thread(other.thread);
    json!({
        "thread": case.thread_name(other.thread),
        "daemon": info.and_then(|info| info.daemon),
        "where": innermost_user(case.tables(), other.state.stack).map(|line| line.site()),
        "cause": other.state.cause.name(),
        "share": rounded(share(other)),
        "started_before_seconds": case.profile.threads.get(usize::from(other.thread))
            .and_then(|thread| thread.seen)
            .map(|seen| rounded(shutdown.since.since(seen.first).seconds())),
    })
}

/// Which share of its samples a thread was in its most frequent state.
fn share(other: &Other) -> f64 {
    ratio(other.there as f64, other.samples as f64)
}

fn story(case: &Case, shutdown: &Shutdown, blamed: &[&Other]) -> Vec<String> {
    let length = seconds(shutdown.length().seconds());
    let begin = if is_seen_to_begin(case, shutdown) {
        format!("Since {} into the recording, for {length}", seconds(since(case, shutdown)))
    } else {
        format!("Since before the recording, for at least {length}")
    };
    let last = case.profile.threads.iter().filter_map(|thread| thread.seen).map(|seen| seen.last);
    let to_the_end = last.max().is_none_or(|last| last <= shutdown.last);
    let end = match case.profile.end {
        Some(ProcessEnd::Killed) if to_the_end => ", until a signal ended the process.",
        Some(_) if to_the_end => ", until the process ended.",
        None if to_the_end => ", and still at the recording's end.",
        _ => ".",
    };
    let sentence = |other: &&Other| {
        let name = case.thread_name(other.thread).unwrap_or_default();
        let at = innermost_user(case.tables(), other.state.stack).map(|line| {
            let site = line.site();
            let file = site.file.rsplit('/').next().unwrap_or_default();
            format!(" at {} ({file}:{})", site.function, site.line)
        });
        let (cause, at) = (other.state.cause.name(), at.unwrap_or_default());
        format!("{name}: {cause}{at}, {} of that time.", percent(share(other)))
    };
    let sentences = blamed.iter().take(MOST_SENTENCES).map(sentence);
    std::iter::once(format!("{begin}{end}")).chain(sentences).collect()
}

#[cfg(test)]
mod tests {
    use crate::catalog::Catalog;
    use crate::diagnose::findings::{Finding, Severity, find};
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::diagnose::load::Load;
    use crate::model::{Cause, Nanos, ThreadId};

    const NOTHING: Nanos = Nanos(0);
    const POOL: &str = "/usr/lib/python3.13/threading.py:Thread._bootstrap:1000";
    const QUEUE: &str = "/usr/lib/python3.13/queue.py:Queue.get:180";

    /// A main thread at its end, and a thread that sleeps.
    fn ended(seconds: u64, place: &str) -> (Fixture, ThreadId, ThreadId) {
        let mut fixture = Fixture::new(seconds);
        let main = fixture.thread("MainThread");
        let stack = ["/usr/lib/python3.13/threading.py:_shutdown:1500"];
        fixture.spend(main, 100, &Doing::new(Cause::Parked, &stack).note(place));
        let stuck = fixture.thread("stuck");
        fixture.spend(stuck, 100, &Doing::new(Cause::Sleep, &[POOL, "app.py:nap:7"]));
        fixture.profile.meta.age = Nanos(60 * Nanos::SECOND.0);
        (fixture, main, stuck)
    }

    fn found(fixture: &Fixture) -> Vec<Finding> {
        let catalog = Catalog::builtin().unwrap();
        let all = find(&fixture.profile, &catalog, &Load::of(&fixture.profile));
        all.into_iter().filter(|finding| finding.id == "blocks-shutdown").collect()
    }

    fn severity(fixture: &Fixture) -> Severity {
        let [finding] = &found(fixture)[..] else { panic!() };
        finding.severity
    }

    #[test]
    fn a_thread_that_never_ends_is_named_with_its_line() {
        let (mut fixture, main, _) = ended(10, "shutdown-threads");
        let daemon = fixture.thread("daemon");
        fixture.profile.tables.threads[usize::from(daemon)].daemon = Some(true);
        fixture.spend(daemon, 100, &Doing::new(Cause::Sleep, &[POOL, "app.py:beat:9"]));
        fixture.shutdown(main, 2, NOTHING);
        let [finding] = &found(&fixture)[..] else { panic!() };
        assert_eq!((finding.severity, finding.seconds, finding.count), (Severity::Error, 8.0, 1));
        assert_eq!(finding.site.as_ref().unwrap().line, 7);
        assert_eq!(finding.thread.as_deref(), Some("stuck"));
        let story = finding.evidence["story"].to_string();
        let sentence =
            "Since 2.0 s into the recording, for 8.0 s, and still at the recording's end.";
        assert!(
            story.contains(sentence) && story.contains("stuck: sleep at nap (app.py:7), 100 %")
        );
        assert!(!story.contains("daemon"), "{story}");
    }

    #[test]
    fn the_length_grades_what_was_seen_to_begin() {
        for (length, severity_of) in
            [(1, Severity::Warning), (4, Severity::Warning), (5, Severity::Error)]
        {
            let (mut fixture, main, _) = ended(10, "shutdown-threads");
            fixture.shutdown(main, 10 - length, NOTHING);
            assert_eq!(severity(&fixture), severity_of, "{length} s");
        }
    }

    #[test]
    fn a_main_thread_that_has_left_the_work_to_others_is_a_design() {
        // Whoever looks later sees it there all along.
        let (mut fixture, main, _) = ended(10, "shutdown-threads");
        fixture.shutdown(main, 0, NOTHING);
        assert_eq!(severity(&fixture), Severity::Info);
        // Who looks from the start on sees that the threads work.
        fixture.profile.meta.age = NOTHING;
        assert_eq!(severity(&fixture), Severity::Error);
        fixture.shutdown(main, 0, Nanos::MILLISECOND);
        assert_eq!(severity(&fixture), Severity::Info);
        fixture.shutdown(main, 3, Nanos::MILLISECOND);
        assert_eq!(severity(&fixture), Severity::Error, "started long before main has ended");
    }

    #[test]
    fn consumers_without_producers_never_end() {
        let mut fixture = Fixture::new(10);
        let main = fixture.thread("MainThread");
        let stack = ["/usr/lib/python3.13/threading.py:_shutdown:1500"];
        fixture.spend(main, 100, &Doing::new(Cause::Parked, &stack).note("shutdown-threads"));
        let consumer = fixture.thread("consumer");
        let stack = [POOL, "app.py:consume:4", QUEUE];
        fixture.spend(consumer, 100, &Doing::new(Cause::Parked, &stack).note("queue-consumer"));
        fixture.profile.meta.age = Nanos(60 * Nanos::SECOND.0);
        fixture.shutdown(main, 0, NOTHING);
        assert_eq!(severity(&fixture), Severity::Warning);
        let producer = fixture.thread("producer");
        fixture.spend(producer, 100, &Doing::new(Cause::Network, &[POOL, "app.py:fetch:5"]));
        fixture.shutdown(main, 0, NOTHING);
        assert_eq!(severity(&fixture), Severity::Info);
    }

    #[test]
    fn what_other_processes_do_is_no_error_and_a_loop_waits_by_nobodys_design() {
        let (mut fixture, main, _) = ended(10, "shutdown-children");
        fixture.shutdown(main, 2, NOTHING);
        assert_eq!(severity(&fixture), Severity::Warning);
        let (mut fixture, main, _) = ended(10, "shutdown-event-loop");
        fixture.shutdown(main, 0, NOTHING);
        assert_eq!(severity(&fixture), Severity::Error);
    }

    #[test]
    fn helpers_and_short_waits_are_not_told() {
        let (mut fixture, main, stuck) = ended(10, "shutdown-default-executor");
        fixture.shutdown(main, 2, NOTHING);
        fixture.shutdown(stuck, 2, NOTHING);
        assert_eq!(found(&fixture).len(), 1, "two threads, and one end");
        let (mut fixture, main, _) = ended(10, "shutdown-threads");
        fixture.shutdown(main, 10, NOTHING);
        assert_eq!(found(&fixture), []);
    }
}
