//! Functions, lines and stacks, by name: ids mean nothing in another recording.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnose::{Site, ratio, rounded};
use crate::model::{Cause, Function, Origin, StateId, Tables};

use super::change::{Aim, Change, Parts, Question, Unit, answer};
use super::run::{Summed, WHOLE};

/// A function or line is looked at when either side spends this share in it.
const LEAST: f64 = 0.01;
/// The most that are looked at.
const MOST: usize = 200;
/// A stack is told as new or gone from this share on.
const LEAST_STACK: f64 = 0.02;
/// The most stacks that are told.
const MOST_STACKS: usize = 10;

/// By what a function is known in both recordings: its module and name.
type Name = (String, String);

/// A key, where it is in the code, and a count for each stretch of each run.
struct Counted {
    site: Site,
    counts: Vec<Vec<f64>>,
}

/// A stack that only one side has.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct OneSided {
    /// Its functions, outermost first.
    pub functions: Vec<String>,
    /// Its share of the whole, as of functions.
    pub share: f64,
}

/// What is compared of functions, lines and stacks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct CodeChanges {
    /// Time in functions and what they call.
    pub functions: Vec<Change>,
    /// Time at lines of the program's own, and in what they call: of each stack the innermost one.
    pub lines: Vec<Change>,
    /// Stacks that AFTER no longer has, largest first.
    pub gone: Vec<OneSided>,
    /// Stacks that BEFORE did not have, largest first.
    pub new: Vec<OneSided>,
}

/// Compares the code of two sides.
pub(super) fn changes(before: &[Summed<'_>], after: &[Summed<'_>]) -> CodeChanges {
    let (gone, new) = stacks(before, after);
    CodeChanges {
        functions: compare(before, after, functions_of),
        lines: compare(before, after, line_of),
        gone,
        new,
    }
}

/// What of a state's stack is counted: name, line (0 for a function) and where it is.
type Keys = fn(&Tables, StateId) -> BTreeMap<(Name, u32), Site>;

fn name_of(function: &Function) -> Name {
    (function.module.to_string(), function.name.to_string())
}

fn functions_of(tables: &Tables, state: StateId) -> BTreeMap<(Name, u32), Site> {
    let Some(state) = tables.states.get(state) else { return BTreeMap::new() };
    let lines = tables.lines_of(state.stack);
    lines
        .map(|(function, _)| ((name_of(function), 0), site(function, function.first_line)))
        .collect()
}

fn line_of(tables: &Tables, state: StateId) -> BTreeMap<(Name, u32), Site> {
    let Some(state) = tables.states.get(state) else { return BTreeMap::new() };
    let mut lines = tables.lines_of(state.stack);
    let own = lines.find(|(function, _)| Origin::of(function) == Origin::User);
    own.map(|(function, line)| ((name_of(function), line), site(function, line)))
        .into_iter()
        .collect()
}

fn site(function: &Function, line: u32) -> Site {
    Site { file: function.file.to_string(), line, function: function.name.to_string() }
}

fn compare(before: &[Summed<'_>], after: &[Summed<'_>], keys: Keys) -> Vec<Change> {
    let (one, other) = (count(before, keys), count(after, keys));
    let (all_before, all_after) = (whole(before), whole(after));
    let share = |side: &BTreeMap<_, Counted>, all: f64, key: &(Name, u32)| {
        let counted: Option<&Counted> = side.get(key);
        ratio(counted.map_or(0.0, |it| it.counts.iter().flatten().sum()), all)
    };
    let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let mut chosen: Vec<_> = names
        .into_iter()
        .map(|key| (share(&one, all_before, key).max(share(&other, all_after, key)), key))
        .filter(|(share, _)| *share >= LEAST)
        .collect();
    chosen.sort_by(|a, b| b.0.total_cmp(&a.0));
    chosen.truncate(MOST);
    let questions = chosen.into_iter().filter_map(|(_, key)| {
        let ((_, function), line) = key;
        let site = other.get(key).or_else(|| one.get(key)).map(|it| it.site.clone())?;
        let id = match line {
            0 => function.clone(),
            line => format!("{function}:{line}"),
        };
        let question = Question {
            name: id.clone(),
            id,
            of: WHOLE,
            unit: Unit::Share,
            aim: Aim::None,
            site: Some(site),
            counted: true,
        };
        Some((question, parts(before, one.get(key)), parts(after, other.get(key))))
    });
    let mut changes = answer(questions.collect());
    changes.sort_by(|a, b| {
        let order = b.significant.cmp(&a.significant);
        order.then(b.difference.abs().total_cmp(&a.difference.abs()))
    });
    changes
}

fn whole(side: &[Summed<'_>]) -> f64 {
    side.iter().flat_map(|run| &run.sums).map(super::run::Sums::whole).sum()
}

/// The counts of a key with what they are parts of; none are zeros.
fn parts(side: &[Summed<'_>], counted: Option<&Counted>) -> Parts {
    let of_run = |(place, run): (usize, &Summed<'_>)| {
        let counts = counted.and_then(|it| it.counts.get(place));
        let count = |stretch: usize| counts.and_then(|it| it.get(stretch)).copied().unwrap_or(0.0);
        run.sums.iter().enumerate().map(|(stretch, sums)| (count(stretch), sums.whole())).collect()
    };
    side.iter().enumerate().map(of_run).collect()
}

fn count(side: &[Summed<'_>], keys: Keys) -> BTreeMap<(Name, u32), Counted> {
    let mut all: BTreeMap<(Name, u32), Counted> = BTreeMap::new();
    let empty: Vec<Vec<f64>> = side.iter().map(|run| vec![0.0; run.sums.len()]).collect();
    for (place, judged) in side.iter().enumerate() {
        let tables = &judged.run.profile.tables;
        let mut known: BTreeMap<StateId, BTreeMap<(Name, u32), Site>> = BTreeMap::new();
        for (stretch, held) in judged.run.stretches.list().iter().enumerate() {
            for (&(state, _), &samples) in &held.states {
                if tables.states.get(state).is_none_or(|it| it.cause == Cause::Parked) {
                    continue;
                }
                for (key, site) in known.entry(state).or_insert_with(|| keys(tables, state)) {
                    if !all.contains_key(key) {
                        let counts = empty.clone();
                        all.insert(key.clone(), Counted { site: site.clone(), counts });
                    }
                    let counted = all.get_mut(key).and_then(|it| it.counts.get_mut(place));
                    if let Some(sum) = counted.and_then(|counts| counts.get_mut(stretch)) {
                        *sum += samples as f64;
                    }
                }
            }
        }
    }
    all
}

/// The stacks, by the names of their functions, that only the first and only the second side has.
fn stacks(before: &[Summed<'_>], after: &[Summed<'_>]) -> (Vec<OneSided>, Vec<OneSided>) {
    let shares = |side: &[Summed<'_>]| {
        let all = whole(side);
        let mut shares: BTreeMap<Vec<Name>, f64> = BTreeMap::new();
        for run in side {
            let profile = &run.run.profile;
            for row in profile.rows().filter(|row| row.state.cause != Cause::Parked) {
                let lines = profile.tables.lines_of(row.state.stack);
                let mut names: Vec<_> = lines.map(|(function, _)| name_of(function)).collect();
                names.reverse();
                *shares.entry(names).or_default() += ratio(row.samples as f64, all);
            }
        }
        shares
    };
    let (one, other) = (shares(before), shares(after));
    let only = |these: &BTreeMap<Vec<Name>, f64>, those: &BTreeMap<Vec<Name>, f64>| {
        let alone = these.iter().filter(|(names, share)| {
            **share >= LEAST_STACK && !names.is_empty() && !those.contains_key(*names)
        });
        let mut list: Vec<_> = alone
            .map(|(names, &share)| OneSided {
                functions: names.iter().map(|(_, name)| name.clone()).collect(),
                share: rounded(share),
            })
            .collect();
        list.sort_by(|a, b| b.share.total_cmp(&a.share));
        list.truncate(MOST_STACKS);
        list
    };
    (only(&one, &other), only(&other, &one))
}
