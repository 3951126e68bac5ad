//! The processes that are shown: one, or with `--subprocesses` its children, too, as they come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use super::feed::{Analyst, Feed, Look, Orders, Told, sample};
use crate::catalog::Catalog;
use crate::cli::attach::{Attached, Subject};
use crate::model::Pid;
use crate::profile::History;
use crate::python::Runtime;
use crate::session::{Ending, Options};
use crate::target::Process;
use crate::tui::Source;

/// How often children are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// The most processes that are shown.
const MOST: usize = 256;

/// A process that is sampled.
struct Member {
    feed: Sender<Feed>,
    orders: Arc<Orders>,
}

/// How all of them are sampled and kept.
#[derive(Clone, Copy)]
pub(super) struct Plan<'c> {
    pub(super) catalog: &'c Catalog,
    pub(super) options: Options,
    /// Blocks that are kept of each.
    pub(super) most: usize,
    pub(super) window: Duration,
}

/// The processes that are sampled, by their numbers.
pub(super) struct Family<'c> {
    plan: Plan<'c>,
    tell: Sender<Told>,
    members: Mutex<BTreeMap<Pid, Member>>,
    ended: AtomicBool,
}

/// What a sampling thread gives back at its end.
pub(super) type Sampled<'scope, 'c> = ScopedJoinHandle<'scope, (Attached<'c>, Ending)>;

impl<'c> Family<'c> {
    pub(super) fn new(plan: Plan<'c>, tell: Sender<Told>) -> Self {
        Self { plan, tell, members: Mutex::default(), ended: AtomicBool::new(false) }
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<Pid, Member>> {
        // A thread that failed with it has left whole entries.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Samples a process from now on.
    pub(super) fn add<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        attached: Attached<'c>,
    ) -> Sampled<'scope, 'c>
    where
        'c: 'scope,
    {
        let meta = attached.session.profile().meta.clone();
        let (pid, plan) = (meta.pid, self.plan);
        let (feed, fed) = channel();
        let orders = Arc::new(Orders::default());
        let analyst = Analyst {
            pid,
            history: History::new(meta, plan.most),
            catalog: plan.catalog,
            look: Look { window: plan.window, end: None },
            source: Source::Live,
            floor: 0,
        };
        let (tell, blocks) = (self.tell.clone(), feed.clone());
        scope.spawn(move || analyst.run(&fed, &tell));
        let member = Member { feed, orders: Arc::clone(&orders) };
        self.members().insert(pid, member);
        scope.spawn(move || {
            let mut attached = attached;
            let ending = sample(&mut attached, &orders, &blocks);
            (attached, ending)
        })
    }

    /// Adds the children of a process as they come, until [`Self::end`].
    pub(super) fn follow<'scope>(&self, scope: &'scope Scope<'scope, '_>, root: Pid)
    where
        'c: 'scope,
    {
        // What is no Python, or cannot be read, is not asked again and again.
        let mut tried: BTreeMap<Pid, u32> = BTreeMap::new();
        let never = AtomicBool::new(false);
        while !self.ended.load(Ordering::Relaxed) {
            let children = Process::open(root).map(|root| root.children()).unwrap_or_default();
            let known: BTreeSet<Pid> = self.members().keys().copied().collect();
            for pid in children.into_iter().filter(|pid| !known.contains(pid)) {
                let attempts = tried.entry(pid).or_default();
                if *attempts >= ATTEMPTS || known.len() >= MOST {
                    continue;
                }
                *attempts += 1;
                let python = Process::open(pid).is_ok_and(|it| Runtime::find(&it).is_ok());
                let attach = || {
                    Attached::new(&Subject::Pid(pid), self.plan.catalog, self.plan.options, &never)
                };
                if let Some(Ok(attached)) = python.then(attach) {
                    drop(self.add(scope, attached));
                }
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Tells one of them something; that it does not listen any more shows elsewhere.
    pub(super) fn send(&self, pid: Pid, feed: Feed) {
        if let Some(member) = self.members().get(&pid) {
            let _ = member.feed.send(feed);
        }
    }

    /// Has all of them show another length of time.
    pub(super) fn look(&self, look: Look) {
        for member in self.members().values() {
            let _ = member.feed.send(Feed::Look(look));
        }
    }

    /// Has all of them be sampled so often.
    pub(super) fn change_rate(&self, rate: f64) {
        for member in self.members().values() {
            member.orders.change_rate(rate);
            let _ = member.feed.send(Feed::Rate(rate));
        }
    }

    /// Has all threads end.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        for member in self.members().values() {
            member.orders.end();
            let _ = member.feed.send(Feed::Leave);
        }
    }
}

/// How often a child is asked whether it is a Python that can be read: it may just be starting.
const ATTEMPTS: u32 = 4;
