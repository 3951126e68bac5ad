//! When to look at the locks, and what of it is kept.

use rustc_hash::FxHashMap;

use crate::model::{
    Activity, Attachment, Cause, Deadlock, Executor, ExecutorSight, Holder, Lock, LockSight,
    LockWait, Nanos, Sample, Spells, StateId, Survey, Tables, Tag, ThreadId, ThreadSample, Wait,
    WaitKind, WaitNotes,
};

/// How often it is looked when nothing new waits.
const INTERVAL: Nanos = Nanos(Nanos::SECOND.0 / 2);
/// How many times as long as looking takes it must have been left alone: what it may cost, when
/// something new waits and otherwise.
const REST: u64 = 100;
const LEAST_REST: u64 = 20;

/// Decides when to look.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Schedule {
    /// From when on it may be looked again.
    next: Nanos,
    /// When it is looked at the latest.
    latest: Nanos,
}

impl Schedule {
    /// Whether it is time; `news` says that there is something to see.
    pub(super) fn is_due(self, now: Nanos, news: bool) -> bool {
        now >= self.next && (news || now >= self.latest)
    }

    /// Takes down that looking took from `began` to `ended`; it is looked again after `interval`
    /// at the earliest, and after `rest` times as long as it took.
    pub(super) fn looked(&mut self, began: Nanos, ended: Nanos, interval: Nanos, rest: u64) {
        let took = ended.since(began).0;
        self.latest = Nanos(ended.0.saturating_add(took.saturating_mul(rest).max(interval.0)));
        self.next = self.latest;
    }

    /// Has news be looked at when that took `rest` times as long.
    fn sooner(&mut self, began: Nanos, ended: Nanos, rest: u64) {
        let took = ended.since(began).0;
        self.next = Nanos(ended.0.saturating_add(took.saturating_mul(rest))).min(self.latest);
    }
}

/// Follows the threads' waits for locks from sample to sample, which costs next to nothing, and
/// says when to look what they wait for, which does.
#[derive(Debug, Default)]
pub(super) struct LockWatch {
    schedule: Schedule,
    /// Whether there is a wait of which it is not known what for.
    news: bool,
    waits: FxHashMap<ThreadId, Spell>,
    spells: FxHashMap<Lock, Spells>,
}

/// An unbroken wait.
#[derive(Debug)]
struct Spell {
    since: Nanos,
    last: Nanos,
    lock: Option<Lock>,
}

impl LockWatch {
    /// Takes in a sample.
    pub(super) fn see(&mut self, sample: &Sample) {
        for taken in sample.threads.iter().filter(|taken| waits_in_futex(taken)) {
            match self.waits.get_mut(&taken.thread) {
                Some(spell) if spell.since == taken.since => spell.last = sample.time,
                _ => {
                    let spell = Spell { since: taken.since, last: sample.time, lock: None };
                    let before = self.waits.insert(taken.thread, spell);
                    before.into_iter().for_each(|spell| note(&mut self.spells, &spell));
                    self.news = true;
                }
            }
        }
        let spells = &mut self.spells;
        self.waits.retain(|_, spell| {
            let lasts = spell.last == sample.time;
            if !lasts {
                note(spells, spell);
            }
            lasts
        });
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self, now: Nanos) -> bool {
        self.schedule.is_due(now, self.news)
    }

    /// Takes down what was seen, and that looking took from `began` to `ended`.
    pub(super) fn looked(&mut self, survey: &Survey, began: Nanos, ended: Nanos) {
        self.schedule.looked(began, ended, INTERVAL, LEAST_REST);
        self.schedule.sooner(began, ended, REST);
        self.news = false;
        for wait in &survey.waits {
            if let Some(spell) = self.waits.get_mut(&wait.thread)
                && spell.since == wait.since
                && spell.lock.is_none()
            {
                let lock = wait.lock();
                self.spells.entry(lock.clone()).or_default().count += 1;
                spell.lock = Some(lock);
            }
        }
    }

    /// The waits that were met since this was last asked, those that go on with their length so
    /// far.
    pub(super) fn take_spells(&mut self) -> Vec<(Lock, Spells)> {
        for spell in self.waits.values() {
            note(&mut self.spells, spell);
        }
        let mut spells: Vec<_> = self.spells.drain().collect();
        spells.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        spells
    }
}

/// Takes down the length of a wait.
fn note(spells: &mut FxHashMap<Lock, Spells>, spell: &Spell) {
    let Some(lock) = &spell.lock else { return };
    let length = spell.last.since(spell.since);
    if let Some(known) = spells.get_mut(lock) {
        known.longest = known.longest.max(length);
    } else {
        spells.insert(lock.clone(), Spells { count: 0, longest: length });
    }
}

fn waits_in_futex(taken: &ThreadSample) -> bool {
    let futex = |wait: Wait| matches!(wait.kind, WaitKind::Futex { .. });
    taken.attachment == Attachment::Detached
        && matches!(taken.activity, Activity::Blocked(wait) if futex(wait))
}

/// One look's notes; `states` says what each of `sample.threads` did.
pub(super) fn notes(
    survey: &Survey,
    deadlocks: Vec<Deadlock>,
    sample: &Sample,
    states: &[StateId],
    tables: &Tables,
) -> WaitNotes {
    let state_of = |thread| {
        let place = sample.threads.iter().position(|seen| seen.thread == thread)?;
        states.get(place).copied()
    };
    let sights = survey.waits.iter().map(|wait| (sight(wait, state_of), 1));
    // For something outside the process: where workers wait for each other, more would not help.
    let is_waiting = |(thread, _): &&(ThreadId, _)| {
        let state = state_of(*thread).and_then(|state| tables.states.get(state));
        state.is_some_and(|state| {
            state.tag == Tag::IdleWaiting && !matches!(state.cause, Cause::Lock | Cause::Parked)
        })
    };
    let full = |executor: &Executor| {
        let all = executor.workers.len();
        let is_full = executor.queued > 0
            && executor.busy.len() == all
            && executor.most == u64::try_from(all).ok();
        is_full.then(|| {
            let mut workers = executor.workers.clone();
            workers.sort_unstable();
            let waiting = executor.busy.iter().filter(is_waiting).count();
            let sight = ExecutorSight {
                queue: executor.queue,
                workers,
                waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
                site: executor.busy.first().and_then(|(_, site)| *site),
            };
            (sight, (1, executor.queued))
        })
    };
    WaitNotes {
        looks: 1,
        sights: sights.collect(),
        spells: Vec::new(),
        full_executors: survey.executors.iter().filter_map(full).collect(),
        deadlocks,
    }
}

fn sight(wait: &LockWait, state_of: impl Fn(ThreadId) -> Option<StateId>) -> LockSight {
    let holder = || {
        let [owner] = wait.owners[..] else { return None };
        let thread = owner.thread.filter(|thread| *thread != wait.thread)?;
        let state = state_of(thread)?;
        Some(Holder { thread, site: owner.site, state, certain: owner.certain })
    };
    LockSight { lock: wait.lock(), site: wait.site, holder: holder() }
}

#[cfg(test)]
mod tests {
    use super::{INTERVAL, LEAST_REST, LockWatch, REST, Schedule};
    use crate::model::{
        Activity, Attachment, CpuDelta, LockKind, LockWait, Nanos, Sample, StackId, Survey,
        ThreadId, ThreadSample, Wait, WaitKind,
    };

    #[test]
    fn looking_costs_little_of_the_time() {
        let mut schedule = Schedule::default();
        assert!(schedule.is_due(Nanos(20), false));
        let looked = |schedule: &mut Schedule, began, ended| {
            schedule.looked(began, ended, INTERVAL, LEAST_REST);
            schedule.sooner(began, ended, REST);
        };
        looked(&mut schedule, Nanos(20), Nanos(30));
        assert!(!schedule.is_due(Nanos(1029), true), "looking took 10 ns");
        assert!(schedule.is_due(Nanos(1030), true) && !schedule.is_due(Nanos(1030), false));
        assert!(schedule.is_due(Nanos(500_000_030), false));
        looked(&mut schedule, Nanos(0), Nanos(100_000_000));
        assert!(!schedule.is_due(Nanos(2_000_000_000), true), "looking took 100 ms");
        assert!(schedule.is_due(Nanos(2_100_000_000), false));
    }

    fn sample(time: u64, since: Option<u64>) -> Sample {
        let kind = WaitKind::Futex { address: 1, stack_pointer: 2, shared: false };
        let wait = Wait { kind, syscall: 202, timed: false, uninterruptible: false };
        let taken = |since| ThreadSample {
            thread: ThreadId(7),
            stack: StackId::EMPTY,
            activity: Activity::Blocked(wait),
            attachment: Attachment::Detached,
            collecting: false,
            cpu: CpuDelta::default(),
            event_loop: None,
            since: Nanos(since),
            awaits: None,
            gil_holder: None,
        };
        let threads = since.map(taken).into_iter().collect();
        Sample { time: Nanos(time), threads, ..Sample::default() }
    }

    fn survey(since: u64) -> Survey {
        let wait = LockWait {
            thread: ThreadId(7),
            kind: LockKind::Lock,
            object: 0x10,
            name: "lock".into(),
            site: None,
            since: Nanos(since),
            timed: false,
            settled: false,
            owners: Vec::new(),
        };
        Survey { waits: vec![wait], executors: Vec::new() }
    }

    #[test]
    fn waits_are_told_apart_and_measured() {
        let mut watch = LockWatch::default();
        watch.see(&sample(10, Some(10)));
        assert!(watch.news);
        watch.looked(&survey(10), Nanos(11), Nanos(11));
        watch.see(&sample(500, Some(10)));
        assert!(!watch.news, "it goes on");
        let told = watch.take_spells();
        assert_eq!((told.len(), told[0].1.count, told[0].1.longest), (1, 1, Nanos(490)));
        watch.see(&sample(900, Some(900)));
        watch.looked(&survey(10), Nanos(901), Nanos(901));
        assert!(watch.waits[&ThreadId(7)].lock.is_none(), "what was seen is of another wait");
        watch.looked(&survey(900), Nanos(902), Nanos(902));
        watch.see(&sample(1000, Some(900)));
        watch.see(&sample(1100, None));
        let told = watch.take_spells();
        assert_eq!((told[0].1.count, told[0].1.longest), (1, Nanos(490)), "of the first one too");
        assert!(watch.take_spells().is_empty());
    }
}
