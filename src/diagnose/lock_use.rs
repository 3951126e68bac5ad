//! How much threads waited for each lock, where, and who had it meanwhile.
//!
//! Looks at the locks tell which lock a line waits for, and how often it is which; the samples tell
//! how long threads waited at that line. Neither alone would do: there are few looks, and a sample
//! does not know the lock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use super::locks::site_of;
use super::site::Site;
use super::words::{ratio, rounded};
use crate::model::{
    Cause, FrameId, Holder, Lock, LockKind, LockSight, StackId, StateId, Tables, ThreadId, Tid,
};
use crate::profile::Profile;

/// How many locks, and of each how many lines and holders, are told.
const MOST_LOCKS: usize = 50;
const MOST_OF_ONE: usize = 10;

/// The waits for one lock.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LockMeasures {
    /// What its users call it: `Lock`, `Queue.get`, `Thread.join`, …
    pub kind: &'static str,
    /// The name by which a line that waits reaches it.
    pub name: String,
    /// Its address in the target, by which `dump` names it too; none when it was not found.
    pub object: Option<String>,
    /// How many waits were told apart; short ones are mostly not.
    pub waits: u32,
    /// How long threads waited for it, in seconds; several threads' add up.
    pub wait_seconds: f64,
    /// How many threads waited for it on average.
    pub mean_waiters: f64,
    /// The longest wait that was seen.
    pub longest_seconds: f64,
    /// The lines that waited, those that waited longest first.
    pub sites: Vec<WaitingSite>,
    /// Who had it meanwhile.
    pub holders: Vec<LockHolder>,
}

/// A line that waits for a lock.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WaitingSite {
    /// The line.
    #[serde(rename = "where")]
    pub site: Site,
    /// Its share of the time that was waited for the lock.
    pub share: f64,
    /// What it is a share of.
    pub share_of: &'static str,
}

/// Who had a lock while others waited for it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LockHolder {
    /// The thread's native id.
    pub tid: Option<Tid>,
    /// Its name.
    pub thread: String,
    /// The line that took the lock.
    #[serde(rename = "where")]
    pub site: Option<Site>,
    /// Of the waits whose holder is known, the share that it was.
    pub share: f64,
    /// What it is a share of, and of which looks `meanwhile` are.
    pub share_of: &'static str,
    /// Whether that it had it is a fact, and not merely likely.
    pub certain: bool,
    /// What it did meanwhile: shares by cause.
    pub meanwhile: BTreeMap<&'static str, f64>,
}

/// The locks that each line was seen to wait for, with how often.
pub(super) struct LocksBySite<'a> {
    sites: HashMap<FrameId, Vec<(&'a Lock, u64)>>,
}

impl<'a> LocksBySite<'a> {
    pub(super) fn of(profile: &'a Profile) -> Self {
        let mut sites: HashMap<FrameId, Vec<(&Lock, u64)>> = HashMap::new();
        for (LockSight { lock, site, .. }, count) in &profile.locks.sights {
            let Some(site) = site else { continue };
            let locks = sites.entry(*site).or_default();
            match locks.iter_mut().find(|(known, _)| known.is_same(lock)) {
                Some((_, sum)) => *sum += u64::from(*count),
                None => locks.push((lock, u64::from(*count))),
            }
        }
        Self { sites }
    }

    /// The line of a stack at which it waits, with the locks that it was seen to wait for there.
    pub(super) fn at(
        &self,
        tables: &Tables,
        stack: StackId,
    ) -> Option<(FrameId, &[(&'a Lock, u64)])> {
        tables.frames_of(stack).find_map(|frame| Some((frame, self.sites.get(&frame)?.as_slice())))
    }

    /// The lock that a stack was mostly seen to wait for.
    pub(super) fn lock_at(&self, tables: &Tables, stack: StackId) -> Option<&'a Lock> {
        let (_, locks) = self.at(tables, stack)?;
        locks
            .iter()
            .max_by_key(|(lock, count)| (*count, Reverse(lock.object)))
            .map(|(lock, _)| *lock)
    }
}

/// All locks that threads waited for, the dearest first.
pub(super) fn measures(profile: &Profile) -> Vec<LockMeasures> {
    let by_site = LocksBySite::of(profile);
    // Thread samples by lock and line.
    let mut waited: HashMap<(LockKind, u64), HashMap<FrameId, f64>> = HashMap::new();
    for row in profile.rows().filter(|row| row.state.cause == Cause::Lock) {
        let Some((site, locks)) = by_site.at(&profile.tables, row.state.stack) else { continue };
        let all: u64 = locks.iter().map(|(_, count)| count).sum();
        for (lock, count) in locks {
            let samples = row.samples as f64 * ratio(*count as f64, all as f64);
            let lines = waited.entry((lock.kind, lock.object)).or_default();
            *lines.entry(site).or_default() += samples;
        }
    }
    let mut measures: Vec<_> =
        waited.into_iter().filter_map(|(key, lines)| measure(profile, key, &lines)).collect();
    measures.sort_by(|a: &LockMeasures, b| {
        b.wait_seconds.total_cmp(&a.wait_seconds).then_with(|| a.object.cmp(&b.object))
    });
    measures.truncate(MOST_LOCKS);
    measures
}

fn measure(
    profile: &Profile,
    key: (LockKind, u64),
    lines: &HashMap<FrameId, f64>,
) -> Option<LockMeasures> {
    let sights = || {
        let sights = profile.locks.sights.iter();
        sights.filter(|(sight, _)| (sight.lock.kind, sight.lock.object) == key)
    };
    let (lock, _) = sights().max_by_key(|(_, count)| *count)?;
    let lock = &lock.lock;
    let quality = &profile.quality;
    let samples: f64 = lines.values().sum();
    let mean = ratio(samples, quality.samples as f64);
    let spells = profile.locks.spells.iter().filter(|(known, _)| known.is_same(lock));
    let (mut waits, mut longest) = (0u32, 0.0f64);
    for (_, spell) in spells {
        waits = waits.saturating_add(spell.count);
        longest = longest.max(spell.longest.seconds());
    }
    let site = |(frame, waited): (&FrameId, &f64)| {
        let site = site_of(&profile.tables, *frame)?;
        Some(WaitingSite {
            site,
            share: rounded(ratio(*waited, samples)),
            share_of: "thread samples waiting for the lock",
        })
    };
    let mut sites: Vec<_> = lines.iter().filter_map(site).collect();
    sites.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.site.cmp(&b.site)));
    sites.truncate(MOST_OF_ONE);
    Some(LockMeasures {
        kind: lock.kind.name(),
        name: lock.name.to_string(),
        object: (lock.object != 0).then(|| format!("{:#x}", lock.object)),
        waits,
        wait_seconds: rounded(mean * quality.elapsed.seconds()),
        mean_waiters: rounded(mean),
        longest_seconds: rounded(longest),
        sites,
        holders: holders(&profile.tables, sights().map(|(sight, count)| (sight, *count))),
    })
}

/// A thread that has a lock: who, since which line, and whether that is a fact.
type Hold = (ThreadId, Option<FrameId>, bool);

/// Who had a lock at its sights.
pub(super) fn holders<'a>(
    tables: &Tables,
    sights: impl Iterator<Item = (&'a LockSight, u32)>,
) -> Vec<LockHolder> {
    // How often it was in which state, by who had it.
    let mut holds: BTreeMap<Hold, Vec<(StateId, u32)>> = BTreeMap::new();
    for (sight, count) in sights {
        let Some(Holder { thread, site, state, certain }) = sight.holder else { continue };
        holds.entry((thread, site, certain)).or_default().push((state, count));
    }
    let all = holds.values().map(|states| sum(states)).sum();
    let mut holders: Vec<_> =
        holds.into_iter().map(|(hold, states)| holder(tables, hold, &states, all)).collect();
    holders.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.tid.cmp(&b.tid)));
    holders.truncate(MOST_OF_ONE);
    holders
}

fn sum(states: &[(StateId, u32)]) -> u64 {
    states.iter().map(|(_, count)| u64::from(*count)).sum()
}

fn holder(tables: &Tables, hold: Hold, states: &[(StateId, u32)], all: u64) -> LockHolder {
    let (thread, site, certain) = hold;
    let seen = sum(states);
    let mut by_cause: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (state, count) in states {
        if let Some(state) = tables.states.get(*state) {
            *by_cause.entry(state.cause.name()).or_default() += u64::from(*count);
        }
    }
    let share = |count| rounded(ratio(count as f64, seen as f64));
    let info = tables.thread(thread);
    LockHolder {
        tid: info.map(|info| info.tid),
        thread: info.map(|info| info.name.to_string()).unwrap_or_default(),
        site: site.and_then(|site| site_of(tables, site)),
        share: rounded(ratio(seen as f64, all as f64)),
        share_of: "looks at the lock that found its holder",
        certain,
        meanwhile: by_cause.into_iter().map(|(cause, count)| (cause, share(count))).collect(),
    }
}
