//! Better or worse, and the sentence that says so.

use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnose::{Severity, percent, seconds};

use super::change::{Change, Unit};
use super::measures::{HELD_BACK, LOOP_DELAY};
use super::{Comparison, FoundOnce};

/// What became of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is held back less, or a trouble is gone; nothing is worse.
    Improved,
    /// It is held back more, or has a new trouble; nothing is better.
    Regressed,
    /// Some of it is better, some worse.
    BetterAndWorse,
    /// It does something else, which is neither better nor worse by itself.
    Changed,
    /// No difference is more than chance.
    Unchanged,
}

impl Outcome {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Improved => "improved",
            Self::Regressed => "regressed",
            Self::BetterAndWorse => "better-and-worse",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// The ratio of running times from which on a program is called faster or slower: a few runs tell
/// little about chance.
const FASTER: f64 = 1.25;

/// Why it is better, and why it is worse.
pub(super) fn reasons(comparison: &Comparison) -> (Vec<String>, Vec<String>) {
    let (mut better, mut worse) = (Vec::new(), Vec::new());
    if let Some((one, other)) = comparison.before.ran.zip(comparison.after.ran) {
        let text = format!(
            "runs {} instead of {}, if it did the same work (chance unknown)",
            seconds(other),
            seconds(one)
        );
        if one > FASTER * other {
            better.push(text);
        } else if other > FASTER * one {
            worse.push(text);
        }
    }
    for id in [HELD_BACK, LOOP_DELAY] {
        let Some(change) = comparison.changes.iter().find(|it| it.id == id) else { continue };
        let by = change.worse_by();
        if by < 0.0 {
            better.push(phrase(change));
        } else if by > 0.0 {
            worse.push(phrase(change));
        }
    }
    if let Some(advice) = comparison.advice.as_ref().filter(|advice| advice.settled) {
        better.push(format!("{} is advised no longer, nor anything else", advice.model.name()));
    }
    let told = |it: &FoundOnce, what: &str| format!("{} ({}) is {what}", it.id, it.severity.name());
    let (gone, new) = (&comparison.findings.gone, &comparison.findings.new);
    better.extend(gone.iter().filter(|it| it.certain).map(|it| told(it, "gone")));
    let errors = new.iter().filter(|it| it.certain && it.severity == Severity::Error);
    worse.extend(errors.map(|it| told(it, "new")));
    (better, worse)
}

/// What became of the program.
pub(super) fn outcome(comparison: &Comparison) -> Outcome {
    match (comparison.better.is_empty(), comparison.worse.is_empty()) {
        (false, true) => Outcome::Improved,
        (true, false) => Outcome::Regressed,
        (false, false) => Outcome::BetterAndWorse,
        (true, true) if comparison.changes.iter().any(|it| it.significant) => Outcome::Changed,
        (true, true) => Outcome::Unchanged,
    }
}

/// What the sentence tells first, and how it calls it.
const BY_NAME: [(&str, &str); 4] = [
    ("tag-event-loop-blocking", "event loop blocked"),
    ("cause-gil", "GIL wait"),
    ("lock-entry", "lock wait"),
    (LOOP_DELAY, "loop delay"),
];

/// The most changes that the sentence has.
const MOST_IN_SENTENCE: usize = 2;

/// The sentence that says it all.
pub(super) fn sentence(comparison: &Comparison) -> String {
    let changed = |id: &str| comparison.changes.iter().find(|it| it.id == id && it.significant);
    let mut parts: Vec<String> = BY_NAME
        .iter()
        .filter_map(|&(id, name)| Some(phrase_as(name, changed(id)?)))
        .take(MOST_IN_SENTENCE)
        .collect();
    if parts.is_empty() {
        let mut others: Vec<&Change> = comparison
            .changes
            .iter()
            .filter(|it| it.significant && it.unit == Unit::Share)
            .collect();
        others.sort_by(|a, b| b.difference.abs().total_cmp(&a.difference.abs()));
        parts.extend(others.first().map(|change| phrase(change)));
    }
    if let Some((one, other)) = comparison.before.ran.zip(comparison.after.ran) {
        parts.insert(0, format!("run {} → {}", seconds(one), seconds(other)));
    }
    if let Some(steps) = &comparison.steps
        && steps.significant
    {
        parts.push(format!(
            "loop p99 {} → {}",
            seconds(steps.before.p99),
            seconds(steps.after.p99)
        ));
    }
    let (one, other) = (comparison.before.verdict, comparison.after.verdict);
    parts.push(match one == other {
        true => format!("verdict {} as before", other.name()),
        false => format!("verdict {} → {}", one.name(), other.name()),
    });
    parts.join("; ")
}

/// A change in words: `gil 31 % → 4 % (−27 points, 95 % CI −29…−25)`.
pub(super) fn phrase(change: &Change) -> String {
    phrase_as(&change.name, change)
}

/// The same under another name.
fn phrase_as(name: &str, change: &Change) -> String {
    let (one, other) = (value(change.unit, change.before), value(change.unit, change.after));
    let chance = change.low.zip(change.high).map_or_else(
        || ", chance unknown".to_owned(),
        |(low, high)| {
            format!(", 95 % CI {}…{}", signed(change.unit, low), signed(change.unit, high))
        },
    );
    let word = match change.unit {
        Unit::Share => " points",
        Unit::Threads | Unit::Cpus | Unit::Seconds => "",
    };
    format!("{name} {one} → {other} ({}{word}{chance})", signed(change.unit, change.difference))
}

/// A number in its unit.
pub(crate) fn value(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Share => percent(value),
        Unit::Threads | Unit::Cpus => format!("{value:.2}"),
        Unit::Seconds => seconds(value),
    }
}

/// A difference in its unit, with its sign.
pub(crate) fn signed(unit: Unit, value: f64) -> String {
    let size = value.abs();
    let text = match unit {
        Unit::Share if size < 0.0995 => format!("{:.1}", 100.0 * size),
        Unit::Share => format!("{:.0}", 100.0 * size),
        Unit::Threads | Unit::Cpus => format!("{size:.2}"),
        Unit::Seconds => seconds(size),
    };
    let none = text.chars().filter(char::is_ascii_digit).all(|digit| digit == '0');
    match (none, value < 0.0) {
        (true, _) => text,
        (false, true) => format!("−{text}"),
        (false, false) => format!("+{text}"),
    }
}
