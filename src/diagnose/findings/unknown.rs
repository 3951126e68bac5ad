//! `unknown-causes`: samples of which it is not known what the thread did.

use crate::diagnose::words::{ratio, rounded};
use crate::model::Cause;

use super::{Case, Finding, Severity, evidence, heaviest, total};

const ID: &str = "unknown-causes";

/// How many reasons are named.
const NAMED: usize = 5;

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let count = case.samples_of(Cause::Unknown);
    let share = ratio(count as f64, total(&case.rows) as f64);
    if share < 0.01 {
        return Vec::new();
    }
    let rows = case.rows(|row| row.state.cause == Cause::Unknown);
    let reasons =
        rows.map(|row| (case.tables().note(row.state).unwrap_or("no reason"), row.samples));
    vec![Finding {
        id: ID,
        name: "what some threads did could not be told".to_owned(),
        severity: Severity::Info,
        share: rounded(share),
        seconds: rounded(case.seconds(count)),
        count,
        site: None,
        source: None,
        thread: None,
        task: None,
        evidence: evidence([
            ("share_of", "samples of Python threads".into()),
            ("count_of", "thread samples with an unknown cause".into()),
            ("reasons_samples", heaviest(reasons).into_iter().take(NAMED).collect()),
        ]),
        advice: "`pyconc doctor` says which evidence the machine withholds and how to get it."
            .to_owned(),
    }]
}
