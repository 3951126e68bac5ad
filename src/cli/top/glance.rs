//! What each process that may be chosen is at: one look at each, a round a second, in a thread of its
//! own, so that the list never waits for it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::Duration;

use crate::catalog::Catalog;
use crate::model::{Cause, Origin, Pid};
use crate::profile::Snapshot;
use crate::session::{Options, Session};
use crate::target::Process;

/// The most processes that are looked at.
const MOST: usize = 64;
/// Between two rounds, in steps of which each asks whether there is to be another.
const STEPS: u32 = 20;
const STEP: Duration = Duration::from_millis(50);

/// What is asked, and what was seen.
#[derive(Debug, Default)]
pub(super) struct Glances {
    /// Who is to be looked at.
    wanted: Mutex<Vec<Pid>>,
    /// What each is at.
    seen: Mutex<BTreeMap<Pid, String>>,
    over: AtomicBool,
}

/// Ends the looking when it goes out of scope.
pub(super) struct Looking<'a>(&'a Glances);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

impl Glances {
    /// Looks until the guard is dropped.
    pub(super) fn start<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        catalog: &'env Catalog,
    ) -> Looking<'env> {
        scope.spawn(move || self.look(catalog));
        Looking(self)
    }

    /// Who is to be looked at from now on.
    pub(super) fn want(&self, pids: impl Iterator<Item = Pid>) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        *wanted = pids.take(MOST).collect();
    }

    /// What a process is at, when that is known.
    pub(super) fn of(&self, pid: Pid) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&pid).cloned()
    }

    fn look(&self, catalog: &Catalog) {
        let mut sessions: BTreeMap<Pid, Session<'_>> = BTreeMap::new();
        while !self.over.load(Ordering::Relaxed) {
            let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone();
            sessions.retain(|pid, _| wanted.contains(pid));
            let mut seen = BTreeMap::new();
            for pid in wanted {
                if self.over.load(Ordering::Relaxed) {
                    return;
                }
                if let Some(session) = attached(&mut sessions, pid, catalog) {
                    seen.extend(told(&session.snapshot()).map(|text| (pid, text)));
                }
            }
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
            for _ in 0..STEPS {
                if !self.over.load(Ordering::Relaxed) {
                    std::thread::sleep(STEP);
                }
            }
        }
    }
}

/// The session of a process; none when it cannot be looked at, or has ended.
fn attached<'s, 'c>(
    sessions: &'s mut BTreeMap<Pid, Session<'c>>,
    pid: Pid,
    catalog: &'c Catalog,
) -> Option<&'s mut Session<'c>> {
    match sessions.entry(pid) {
        Entry::Occupied(known) => Some(known.into_mut()),
        Entry::Vacant(place) => {
            let process = Process::open(pid).ok()?;
            Some(place.insert(Session::attach(process, catalog, Options::default()).ok()?))
        }
    }
}

/// How telling a cause is: of several threads, the one at work is shown.
const fn rank(cause: Cause) -> u8 {
    match cause {
        Cause::Python | Cause::Native | Cause::CpuWait => 0,
        Cause::Gil => 1,
        Cause::Lock => 2,
        Cause::Parked => 5,
        Cause::Unknown => 4,
        _ => 3,
    }
}

/// The most telling thread's cause and own function, and how many threads are at what else.
fn told(snapshot: &Snapshot) -> Option<String> {
    let tables = &snapshot.tables;
    let states = snapshot.threads.iter().filter_map(|thread| tables.states.get(thread.state));
    let mut counts: BTreeMap<(u8, &str), usize> = BTreeMap::new();
    for state in states.clone() {
        *counts.entry((rank(state.cause), state.cause.name())).or_default() += 1;
    }
    let first = states.min_by_key(|state| rank(state.cause))?;
    let own = tables.lines_of(first.stack).find(|(it, _)| Origin::of(it) == Origin::User);
    let function = own.or_else(|| tables.lines_of(first.stack).next());
    let at =
        function.map_or_else(String::new, |(function, line)| format!(" {}:{line}", function.name));
    let count = |(&(_, cause), &count): (&(u8, &str), &usize)| match count {
        1 => cause.to_owned(),
        count => format!("{cause} x{count}"),
    };
    let causes: Vec<String> = counts.iter().map(count).collect();
    Some(format!("{}{at}", causes.join(", ")))
}
