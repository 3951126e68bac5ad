//! Threads of one kind as one: a thread for each request has a thousand of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::measures::ThreadMeasures;
use super::words::{ratio, rounded};

/// Of fewer threads each is told by itself.
const FEWEST_THREADS: usize = 9;
/// How many threads make a kind.
const FEWEST: usize = 4;

/// Threads whose names differ in their numbers only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct ThreadGroup {
    /// Their names, with `*` in place of each number.
    pub name: String,
    /// How many threads.
    pub threads: usize,
    /// Samples of these threads.
    pub samples: u64,
    /// At how many of them they had each tag; a tag that never came is absent.
    pub tags: BTreeMap<&'static str, u64>,
    /// At how many of them they had each cause; a cause that never came is absent.
    pub causes: BTreeMap<&'static str, u64>,
    /// The same as shares.
    pub tag_shares: BTreeMap<&'static str, f64>,
    /// The same as shares.
    pub cause_shares: BTreeMap<&'static str, f64>,
    /// What these are shares of.
    pub share_of: &'static str,
}

/// The kinds of threads, where there are many threads; those with most samples first.
pub(super) fn groups(threads: &[ThreadMeasures]) -> Vec<ThreadGroup> {
    if threads.len() < FEWEST_THREADS {
        return Vec::new();
    }
    let mut groups: BTreeMap<String, ThreadGroup> = BTreeMap::new();
    for thread in threads {
        let group = groups.entry(kind(&thread.name)).or_default();
        group.threads += 1;
        group.samples += thread.samples;
        for (sums, counts) in [(&mut group.tags, &thread.tags), (&mut group.causes, &thread.causes)]
        {
            for (name, samples) in counts {
                *sums.entry(name).or_default() += samples;
            }
        }
    }
    let mut groups: Vec<_> = groups
        .into_iter()
        .filter(|(_, group)| group.threads >= FEWEST)
        .map(|(name, group)| ThreadGroup {
            tag_shares: shares(&group.tags, group.samples),
            cause_shares: shares(&group.causes, group.samples),
            share_of: "samples of these threads",
            name,
            ..group
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.samples));
    groups
}

fn shares(counts: &BTreeMap<&'static str, u64>, of: u64) -> BTreeMap<&'static str, f64> {
    counts.iter().map(|(name, count)| (*name, rounded(ratio(*count as f64, of as f64)))).collect()
}

/// A thread's name with `*` in place of each number.
#[must_use]
pub fn kind(name: &str) -> String {
    let mut kind = String::with_capacity(name.len());
    let mut number = false;
    for c in name.chars() {
        let digit = c.is_ascii_digit();
        if !digit {
            kind.push(c);
        } else if !number {
            kind.push('*');
        }
        number = digit;
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::{groups, kind};
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::diagnose::measures::threads;
    use crate::model::Cause;

    #[test]
    fn numbers_do_not_make_a_kind() {
        assert_eq!(kind("Thread-12 (serve)"), "Thread-* (serve)");
        assert_eq!(kind("ThreadPoolExecutor-0_1"), "ThreadPoolExecutor-*_*");
        assert_eq!(kind("main"), "main");
    }

    #[test]
    fn many_threads_of_a_kind_are_told_as_one_and_few_are_not() {
        for (count, expected) in [(7, 0), (10, 1)] {
            let mut fixture = Fixture::new(2);
            fixture.thread("main");
            for index in 0..count {
                let thread = fixture.thread(&format!("Thread-{index} (serve)"));
                fixture.spend(thread, 40, &Doing::new(Cause::Python, &["app.py:work:1"]));
                fixture.spend(thread, 60, &Doing::new(Cause::Gil, &["app.py:work:1"]));
            }
            let groups = groups(&threads(&fixture.profile));
            assert_eq!(groups.len(), expected);
            for group in groups {
                assert_eq!((group.threads, group.samples), (count, 200 * count as u64));
                assert_eq!(group.cause_shares["gil"], 0.6);
            }
        }
    }
}
