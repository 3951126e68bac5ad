//! Whether the advice that BEFORE got was taken, and whether it brought what was promised.

use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnose::{Gain, Metric, Model, ratio, rounded};

use super::run::Summed;

/// What became of the advice that BEFORE got.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AdviceTaken {
    /// The advice.
    pub model: Model,
    /// Whether AFTER no longer gets it; none when it may have been taken and not be seen from outside.
    pub followed: Option<bool>,
    /// Whether each half of each recording before gets it, and each half of each after is to be left
    /// as it is.
    pub settled: bool,
    /// From what that is told.
    pub evidence: String,
    /// What it was to gain.
    pub predicted: Option<Gain>,
    /// What it did gain, in the unit of the prediction; none when no recording can tell.
    pub measured: Option<f64>,
    /// How it was measured, or why it cannot be.
    pub arithmetic: String,
    /// Whether that is within what was predicted.
    pub as_predicted: Option<bool>,
}

impl AdviceTaken {
    /// `None` when BEFORE was to be left as it is, or AFTER saw too little.
    pub(super) fn of(before: &[Summed<'_>], after: &[Summed<'_>]) -> Option<Self> {
        let advice = &before.first()?.run.diagnosis.recommendation;
        let model = advice.model;
        if model == Model::Keep {
            return None;
        }
        let given = |run: &Summed<'_>| run.run.diagnosis.recommendation.model == model;
        let again = after.iter().filter(|run| given(run)).count();
        // What two halves of a recording do not agree on is near a border.
        let sure = |run: &Summed<'_>, is: fn(Model, Model) -> bool| {
            let halves = run.run.halves.iter().map(|half| half.recommendation.model);
            halves.chain([run.run.diagnosis.recommendation.model]).all(|other| is(other, model))
        };
        let settled = before.iter().all(|run| sure(run, |other, model| other == model))
            && after.iter().all(|run| sure(run, |other, _| other == Model::Keep));
        let (followed, evidence) = if again == 0 {
            let now =
                after.first().map_or(Model::Keep, |run| run.run.diagnosis.recommendation.model);
            (Some(true), format!("AFTER gets it no longer, but: {}", now.name()))
        } else if again == after.len() {
            (Some(false), "AFTER gets the same advice".to_owned())
        } else {
            (None, format!("{again} of {} recordings after get the same advice", after.len()))
        };
        let predicted = advice.gain.clone();
        let (measured, arithmetic) = match &predicted {
            None => (None, "no gain was predicted".to_owned()),
            Some(gain) => measured(gain.metric, before, after),
        };
        let within = |gain: &Gain, value: f64| gain.low <= value && value <= gain.high;
        let as_predicted =
            predicted.as_ref().zip(measured).map(|(gain, value)| within(gain, value));
        Some(Self {
            model,
            followed,
            settled,
            evidence,
            predicted,
            measured,
            arithmetic,
            as_predicted,
        })
    }
}

/// The gain by a metric, and how it was measured or why not.
fn measured(metric: Metric, before: &[Summed<'_>], after: &[Summed<'_>]) -> (Option<f64>, String) {
    match metric {
        Metric::Throughput => match ran(before).zip(ran(after)) {
            Some((one, other)) if other > 0.0 => (
                Some(rounded(one / other)),
                format!("the program took {one:.1} s before and {other:.1} s after"),
            ),
            _ => (
                None,
                "the recordings do not have the program from start to end: compare its own count of \
                 what it did"
                    .to_owned(),
            ),
        },
        Metric::Delay => {
            let (one, other) = (delay(before), delay(after));
            let text = format!("mean delay of the loop: {one:.4} s before, {other:.4} s after");
            (Some(rounded(one - other)), text)
        }
        Metric::InFlight | Metric::Shutdown | Metric::Working => {
            (None, "no two recordings tell it by themselves: see the program's own output".to_owned())
        }
    }
}

/// How long the program ran, on average, when all recordings have all of it.
pub(super) fn ran(side: &[Summed<'_>]) -> Option<f64> {
    let times: Option<Vec<f64>> = side.iter().map(Summed::ran).collect();
    times.map(|times| ratio(times.iter().sum(), times.len() as f64))
}

fn delay(side: &[Summed<'_>]) -> f64 {
    let sums = side.iter().flat_map(|run| &run.sums);
    let (squares, elapsed) =
        sums.fold((0.0, 0.0), |sum, it| (sum.0 + it.squares, sum.1 + it.elapsed));
    ratio(squares / 2.0, elapsed)
}
