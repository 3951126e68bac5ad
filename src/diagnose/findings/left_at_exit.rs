//! `left-at-exit`: daemon threads that the interpreter's end cut off in the middle of something.
//!
//! Asyncio's tasks that were left pending belong here too, once a recording has them.

use std::collections::BTreeMap;

use crate::diagnose::site::{Site, lines};
use crate::diagnose::words::rounded;
use crate::model::{Cause, Nanos, ProcessEnd, State, ThreadId, note};
use crate::profile::{Seen, StateKind};

use super::{Case, Finding, Severity, evidence};

const ID: &str = "left-at-exit";

/// How long a thread must have been in a wait that is taken to have lasted to the end.
const LASTS: Nanos = Nanos(50 * Nanos::MILLISECOND.0);
/// The places in which daemons are waited for: the workers of an executor are some before 3.9.
const FOR_DAEMONS: [&str; 2] = ["shutdown-executor", "shutdown-process-pool"];

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let Some(main) = main(case).filter(|main| is_ended_by_itself(case, main)) else {
        return Vec::new();
    };
    let mut left: BTreeMap<Site, Vec<(ThreadId, Cause)>> = BTreeMap::new();
    for (index, thread) in case.profile.threads.iter().enumerate() {
        let Some(seen) = thread.seen.filter(|seen| is_left(case, &main, seen)) else { continue };
        let thread = ThreadId::from(index);
        if let Some((site, cause)) = interrupted(case, thread, seen) {
            left.entry(site).or_default().push((thread, cause));
        }
    }
    left.into_iter().map(|(site, threads)| finding(case, site, &threads, main.last)).collect()
}

/// Whether a thread was there when the main thread was at its end. Who was only seen up to the main
/// thread's last sample may have been told to end, and joined, since then; unless it was in a wait
/// that the main thread has no part in, or the main thread waited for others.
fn is_left(case: &Case, main: &Seen, seen: &Seen) -> bool {
    const OUTSIDE: [Cause; 5] =
        [Cause::Sleep, Cause::Network, Cause::Disk, Cause::Pipe, Cause::Child];
    let state = |seen: &Seen| case.tables().states.get(seen.state);
    let note = state(main).and_then(|state| case.tables().note(state));
    let at_end = note.is_some_and(|note| note.starts_with(note::SHUTDOWN));
    let outside = state(seen).is_some_and(|state| OUTSIDE.contains(&state.cause));
    let lasts = outside && seen.last.since(seen.since) >= LASTS;
    seen.last > main.last || (seen.last == main.last && (at_end || lasts))
}

/// When the main thread was seen in Python.
fn main(case: &Case) -> Option<Seen> {
    let infos = case.tables().threads.iter().zip(&case.profile.threads);
    infos.filter(|(info, _)| info.main).find_map(|(_, thread)| thread.seen)
}

/// Whether the interpreter came to its end, and what was seen last of the others is what they did
/// then: a process that was killed was to be cut off, and of one whose end nobody saw it is told
/// only when its main thread waited for the end.
fn is_ended_by_itself(case: &Case, main: &Seen) -> bool {
    let Some(state) = case.tables().states.get(main.state) else { return false };
    match case.tables().note(state).filter(|note| note.starts_with(note::SHUTDOWN)) {
        Some(place) => {
            !FOR_DAEMONS.contains(&place)
                && !matches!(case.profile.end, None | Some(ProcessEnd::Killed))
        }
        None => case.profile.end == Some(ProcessEnd::Exited) && !awaits_others(case, state),
    }
}

/// Whether a thread waits for what others do: as it went on, they have done it since then. A loop
/// in its selector is told by a timer or a signal.
fn awaits_others(case: &Case, state: &State) -> bool {
    is_idle(case, state) && case.tables().note(state) != Some(note::EVENT_LOOP_SELECTOR)
}

/// The line at which a daemon was when it was seen last, if it did something there.
fn interrupted(case: &Case, thread: ThreadId, seen: Seen) -> Option<(Site, Cause)> {
    let info = case.tables().thread(thread)?;
    let state = case.tables().states.get(seen.state)?;
    if info.daemon != Some(true) || info.main || is_idle(case, state) {
        return None;
    }
    let line = lines(case.tables(), state.stack).find(|line| line.is_user())?;
    Some((line.site(), state.cause))
}

/// Whether a thread in that state leaves nothing half done: it is idle by design, or waits to be
/// told to do something.
fn is_idle(case: &Case, state: &State) -> bool {
    let awaits = state.cause == Cause::Lock && !StateKind::of(case.tables(), state).enters;
    state.cause == Cause::Parked || awaits
}

fn finding(case: &Case, site: Site, threads: &[(ThreadId, Cause)], last: Nanos) -> Finding {
    let name = |&(thread, _): &(ThreadId, Cause)| case.thread_name(thread).unwrap_or_default();
    let names: Vec<_> = threads.iter().map(name).collect();
    let rows = case.rows(|row| {
        threads.iter().any(|(thread, _)| *thread == row.thread)
            && case.site(row).as_ref() == Some(&site)
    });
    let samples = rows.map(|row| row.samples).sum();
    let causes: Vec<_> = threads.iter().map(|(_, cause)| cause.name()).collect();
    let when = last.since(case.profile.meta.origin).seconds();
    let what = match &names[..] {
        [one] => format!("daemon thread {one}"),
        all => format!("{} daemon threads", all.len()),
    };
    Finding {
        id: ID,
        name: format!("{what} cut off when the program ended"),
        severity: Severity::Info,
        share: rounded(case.share(samples).min(1.0)),
        seconds: rounded(case.seconds(samples)),
        count: threads.len() as u64,
        site: Some(site),
        source: None,
        thread: <[String; 1]>::try_from(names.clone()).ok().map(|[one]| one),
        task: None,
        evidence: evidence([
            ("share_of", "the recording, at that line".into()),
            ("count_of", "threads left".into()),
            ("threads", names.into()),
            ("causes", causes.into()),
            ("last_seen_seconds", rounded(when).into()),
        ]),
        advice: ADVICE.to_owned(),
    }
}

const ADVICE: &str = "Python stops daemon threads wherever they are, without `finally` or `with`. Tell \
    it to end before main returns (an Event that it looks at) and join it with a limit of time; let \
    it be a daemon only where nothing can be half done.";

#[cfg(test)]
mod tests {
    use crate::catalog::Catalog;
    use crate::diagnose::findings::{Finding, Severity, find};
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::diagnose::load::Load;
    use crate::model::{Cause, Nanos, ProcessEnd};

    const POOL: &str = "/usr/lib/python3.13/threading.py:Thread._bootstrap:1000";

    /// Two daemons write, one waits to be told to, and a thread that is none does the same.
    fn ended(end: Option<ProcessEnd>, place: Option<&str>) -> Vec<Finding> {
        let mut fixture = Fixture::new(5);
        let main = fixture.thread("MainThread");
        let work = Doing::new(Cause::Python, &["app.py:main:3"]);
        fixture.spend(
            main,
            100,
            &place.map_or(Doing::new(Cause::Python, &["app.py:main:3"]), |it| work.note(it)),
        );
        let wait = "/usr/lib/python3.13/threading.py:Event.wait:650";
        let idle = [POOL, "app.py:beat:9", wait];
        for (name, daemon, doing) in [
            ("one", true, Doing::new(Cause::Disk, &[POOL, "app.py:save:5"])),
            ("two", true, Doing::new(Cause::Disk, &[POOL, "app.py:save:5"])),
            ("told", true, Doing::new(Cause::Lock, &idle)),
            ("own", false, Doing::new(Cause::Disk, &[POOL, "app.py:save:5"])),
        ] {
            let thread = fixture.thread(name);
            fixture.spend(thread, 100, &doing);
            fixture.profile.tables.threads[usize::from(thread)].daemon = Some(daemon);
        }
        // Only for when they were seen.
        fixture.shutdown(main, 5, Nanos(0));
        fixture.profile.end = end;
        let all = find(&fixture.profile, &Catalog::builtin().unwrap(), &Load::of(&fixture.profile));
        all.into_iter().filter(|finding| finding.id == "left-at-exit").collect()
    }

    #[test]
    fn daemons_in_the_middle_of_something_are_told() {
        let [finding] = &ended(Some(ProcessEnd::Exited), None)[..] else { panic!() };
        assert_eq!((finding.severity, finding.count), (Severity::Info, 2));
        assert_eq!(finding.site.as_ref().unwrap().line, 5);
        assert_eq!(finding.evidence["threads"].to_string(), r#"["one","two"]"#);
    }

    #[test]
    fn an_end_that_was_not_the_interpreters_own_tells_nothing() {
        assert_eq!(ended(None, None), []);
        assert_eq!(ended(Some(ProcessEnd::Killed), None), []);
        assert_eq!(ended(Some(ProcessEnd::Unknown), None), []);
        assert_eq!(ended(Some(ProcessEnd::Unknown), Some("shutdown-threads")).len(), 1);
        assert_eq!(ended(Some(ProcessEnd::Exited), Some("shutdown-executor")), []);
    }
}
