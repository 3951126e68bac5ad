//! Which model a workload wants: what is to be chosen from, and in which order.

use crate::diagnose::findings::{Finding, Severity};
use crate::diagnose::load::Load;
use crate::diagnose::loops::LoopMeasures;
use crate::diagnose::verdict::Workload;
use crate::profile::Profile;

use super::Rejected;
use super::gain::Gain;
use super::model::Model;
use super::{computing, trouble, waiting};

/// What the choice is made from.
pub(super) struct Situation<'a> {
    pub(super) profile: &'a Profile,
    pub(super) load: &'a Load,
    pub(super) findings: &'a [Finding],
    pub(super) loops: &'a [LoopMeasures],
}

impl<'a> Situation<'a> {
    /// The gravest finding of a kind.
    pub(super) fn finding(&self, id: &str) -> Option<&'a Finding> {
        self.findings.iter().find(|finding| finding.id == id)
    }

    /// The same, if it is more than good to know.
    pub(super) fn serious(&self, id: &str) -> Option<&'a Finding> {
        self.finding(id).filter(|finding| finding.severity < Severity::Info)
    }
}

/// A model, and the case for it.
pub(super) struct Choice {
    pub(super) model: Model,
    pub(super) gain: Option<Gain>,
    pub(super) why: Vec<String>,
    pub(super) rejected: Vec<Rejected>,
    /// The finding that the change is about, where it is about one.
    pub(super) about: Option<&'static str>,
}

impl Choice {
    pub(super) fn new(model: Model, gain: Option<Gain>, why: impl Into<String>) -> Self {
        Self { model, gain, why: vec![why.into()], rejected: Vec::new(), about: None }
    }

    pub(super) fn keep(why: impl Into<String>) -> Self {
        Self::new(Model::Keep, None, why)
    }

    pub(super) fn and(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    pub(super) fn not(mut self, model: Model, why: impl Into<String>) -> Self {
        self.rejected.push(Rejected { model, why: why.into() });
        self
    }

    pub(super) fn about(self, finding: &'static str) -> Self {
        Self { about: Some(finding), ..self }
    }
}

/// What a workload wants; troubles that no model mends come in where nothing else is to be changed,
/// and where they make the workload what it is.
pub(super) fn choose(workload: Workload, situation: &Situation) -> Choice {
    // These have causes that no amount of computing power mends.
    let computes = matches!(
        workload,
        Workload::GilBound | Workload::CpuBound | Workload::CpuStarved | Workload::Mixed
    );
    if computes && let Some(choice) = trouble::crumbs(situation) {
        return choice;
    }
    let choice = match workload {
        Workload::EventLoopBlocked => waiting::blocked_loop(situation),
        Workload::GilBound => computing::gil_bound(situation),
        Workload::CpuBound => {
            trouble::fan_out(situation).unwrap_or_else(|| computing::cpu_bound(situation))
        }
        Workload::IoBound => waiting::io_bound(situation),
        Workload::NativeParallel => computing::native_parallel(situation.load),
        Workload::LockBound => trouble::lock_bound(situation),
        Workload::CpuStarved => computing::cpu_starved(situation.load),
        Workload::Mixed => waiting::mixed(situation),
        Workload::Idle => {
            Choice::keep("It has hardly anything to do; no model would make it faster.")
                .and("If this is not its usual load, record while it works.")
        }
        Workload::Deadlocked => trouble::deadlocked(situation.load),
        Workload::InsufficientData => {
            return Choice::keep(
                "Too little is known to recommend anything; the verdict says why.",
            );
        }
    };
    if choice.model != Model::Keep {
        return choice;
    }
    trouble::instead_of_keeping(situation).unwrap_or(choice)
}
