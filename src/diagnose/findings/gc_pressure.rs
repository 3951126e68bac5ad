//! `gc-pressure`: the garbage collector takes a noticeable part of the time.

use serde_json::{Value, json};

use crate::diagnose::words::{ratio, rounded};
use crate::model::{Cause, note};

use super::{Case, Finding, Severity, evidence, heaviest, total};

const ID: &str = "gc-pressure";

/// How many lines are named.
const NAMED: usize = 5;
/// From which share of the time on it is told, and from which it is more than good to know.
const NOTICEABLE: f64 = 0.02;
const COSTLY: f64 = 0.1;
/// Fewer samples may be one collection that was met by chance.
const FEWEST: u64 = 5;

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let collects = |row: &super::Row| case.tables().note(row.state) == Some(note::COLLECTING);
    let groups = case.by_site(collects);
    let count: u64 = groups.iter().map(|(_, rows)| total(rows)).sum();
    let share = case.share(count);
    // Of which work: a process that hardly runs may well collect in most of that.
    if count < FEWEST || share < NOTICEABLE {
        return Vec::new();
    }
    let python = case.samples_of(Cause::Python);
    let lines = groups
        .iter()
        .take(NAMED)
        .filter_map(|(site, rows)| Some(json!({"where": site.as_ref()?, "samples": total(rows)})));
    let lines: Value = lines.collect();
    let threads = groups.iter().flat_map(|(_, rows)| rows).map(|row| (row.thread, row.samples));
    vec![Finding {
        id: ID,
        name: "the garbage collector takes its time".to_owned(),
        severity: if share >= COSTLY { Severity::Warning } else { Severity::Info },
        share: rounded(share),
        seconds: rounded(case.seconds(count)),
        count,
        site: groups.iter().find_map(|(site, _)| site.clone()),
        source: None,
        thread: heaviest(threads).first().and_then(|&(thread, _)| case.thread_name(thread)),
        task: None,
        evidence: evidence([
            ("share_of", "samples of the process".into()),
            ("count_of", "thread samples collecting garbage".into()),
            ("share_of_python", rounded(ratio(count as f64, python as f64)).into()),
            ("lines_that_set_it_off", lines),
        ]),
        advice: "Each collection visits container objects that are alive, and no thread runs \
                 Python meanwhile. Call gc.freeze() once what lives forever has been made; make \
                 fewer and flatter objects (tuples of numbers, arrays, __slots__); raise the \
                 thresholds (gc.set_threshold) where memory allows. If the line calls \
                 gc.collect(), drop the call."
            .to_owned(),
    }]
}

#[cfg(test)]
mod tests {
    use crate::catalog::Catalog;
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::diagnose::{Severity, diagnose};
    use crate::model::{Cause, note};

    fn found(percent: u64) -> Vec<Severity> {
        let mut fixture = Fixture::new(10);
        let thread = fixture.thread("MainThread");
        let stack = ["app.py:build:7"];
        fixture.spend(thread, percent, &Doing::new(Cause::Python, &stack).note(note::COLLECTING));
        fixture.spend(thread, 100 - percent, &Doing::new(Cause::Python, &stack));
        let findings = diagnose(&fixture.profile, &Catalog::default()).findings;
        let found = findings.iter().filter(|finding| finding.id == super::ID);
        found.map(|finding| finding.severity).collect()
    }

    #[test]
    fn a_collection_now_and_then_is_no_news() {
        assert_eq!(found(1), []);
        assert_eq!(found(4), [Severity::Info]);
        assert_eq!(found(40), [Severity::Warning]);
    }
}
