//! Findings that went and came. A finding rests on thresholds, and near one of them it comes and
//! goes by chance: it counts as gone, or new, when both halves of a side agree.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnose::{Diagnosis, Finding, Severity, Site};

use super::run::Summed;

/// A finding that only one side has.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FoundOnce {
    /// The stable id of its kind.
    pub id: &'static str,
    /// What was found.
    pub name: String,
    /// How grave it is.
    pub severity: Severity,
    /// How much of the time it concerned.
    pub share: f64,
    /// Where.
    #[serde(rename = "where")]
    pub site: Option<Site>,
    /// Whether the other side has no finding of its kind in either half, and this side in both (an
    /// error: in one of them at least, since it may show at the end only).
    pub certain: bool,
}

/// What became of the findings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct FindingChanges {
    /// Those that BEFORE had, and AFTER none of their kind.
    pub gone: Vec<FoundOnce>,
    /// Those that AFTER has, and BEFORE had none of their kind.
    pub new: Vec<FoundOnce>,
    /// Kinds that both have.
    pub stayed: BTreeSet<&'static str>,
}

impl FindingChanges {
    pub(super) fn of(before: &[Summed<'_>], after: &[Summed<'_>]) -> Self {
        let kinds = |side: &[Summed<'_>]| -> BTreeSet<&'static str> {
            grave(side).map(|finding| finding.id).collect()
        };
        let (one, other) = (kinds(before), kinds(after));
        Self {
            gone: only(before, after, &other),
            new: only(after, before, &one),
            stayed: one.intersection(&other).copied().collect(),
        }
    }

    /// Says that a finding that went or came says nothing about the program.
    pub(super) fn doubt(&mut self, id: &str) {
        let both = self.gone.iter_mut().chain(&mut self.new);
        both.filter(|it| it.id == id).for_each(|it| it.certain = false);
    }
}

/// The finding that depends on how much CPU others leave.
pub(super) const LEFT_BY_OTHERS: &str = "cpu-starved";

/// The findings that cost something.
fn grave<'a>(side: &'a [Summed<'_>]) -> impl Iterator<Item = &'a Finding> {
    side.iter()
        .flat_map(|run| &run.run.diagnosis.findings)
        .filter(|finding| finding.severity != Severity::Info)
}

fn has(diagnosis: &Diagnosis, id: &str) -> bool {
    diagnosis.findings.iter().any(|finding| finding.id == id)
}

/// The gravest finding of each kind that only the first side has.
fn only(
    these: &[Summed<'_>],
    those: &[Summed<'_>],
    of_those: &BTreeSet<&'static str>,
) -> Vec<FoundOnce> {
    let mut met = BTreeSet::new();
    grave(these)
        .filter(|finding| !of_those.contains(finding.id) && met.insert(finding.id))
        .map(|finding| {
            // What is grave may begin late, or show at the end: then one half is enough.
            let agree = |run: &Summed<'_>| {
                let halves = run.run.halves.iter().filter(|half| has(half, finding.id)).count();
                halves == 2 || (halves == 1 && finding.severity == Severity::Error)
            };
            let here = these.iter().all(agree);
            let there = those.iter().any(|run| {
                has(&run.run.diagnosis, finding.id)
                    || run.run.halves.iter().any(|it| has(it, finding.id))
            });
            FoundOnce {
                id: finding.id,
                name: finding.name.clone(),
                severity: finding.severity,
                share: finding.share,
                site: finding.site.clone(),
                certain: here && !there,
            }
        })
        .collect()
}
