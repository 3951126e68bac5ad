//! `database-locked`: C code sleeps until its next attempt to lock a database.

use crate::diagnose::totals::{is_native_sleep, waits_for_database};
use crate::diagnose::verdict::{Workload, holds};
use crate::diagnose::words::rounded;

use super::{Case, Finding, Row, Severity, evidence, heaviest, total};

const ID: &str = "database-locked";

/// From which share of the process's samples on it is told.
const NOTICEABLE: f64 = 0.05;

pub(super) fn find(case: &Case) -> Vec<Finding> {
    if !waits_for_database(case.profile) {
        return Vec::new();
    }
    let sleeps = |row: &Row| !row.blocking && is_native_sleep(case.profile, row.state);
    let groups = case.by_site(sleeps);
    let count: u64 = groups.iter().map(|(_, rows)| total(rows)).sum();
    if case.share(count) < NOTICEABLE {
        return Vec::new();
    }
    let threads = groups.iter().flat_map(|(_, rows)| rows).map(|row| (row.thread, row.samples));
    let threads = heaviest(threads);
    let bound = holds(Workload::LockBound, case.load);
    vec![Finding {
        id: ID,
        name: "threads wait for a database that another connection has locked".to_owned(),
        severity: if bound { Severity::Error } else { Severity::Warning },
        share: rounded(case.share(count).min(1.0)),
        seconds: rounded(case.seconds(count)),
        count,
        site: groups.iter().find_map(|(site, _)| site.clone()),
        source: None,
        thread: threads.first().and_then(|&(thread, _)| case.thread_name(thread)),
        task: None,
        evidence: evidence([
            ("share_of", "samples of the process".into()),
            ("count_of", "thread samples asleep in C code between two attempts".into()),
            ("threads", threads.len().into()),
            ("mean_waiting", rounded(case.share(count)).into()),
        ]),
        advice: "SQLite lets one connection write at a time, and the others sleep and try again. Let one \
                 thread write for all (a queue), put many rows into one transaction, keep \
                 transactions short, and use the WAL mode (PRAGMA journal_mode=WAL), in which readers \
                 do not wait for the writer."
            .to_owned(),
    }]
}

#[cfg(test)]
mod tests {
    use crate::catalog::Catalog;
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::diagnose::{Model, Workload, diagnose};
    use crate::model::{Cause, SourceLine, note};

    fn writers(source: &str) -> (Workload, Model, bool) {
        let mut fixture = Fixture::new(5);
        for index in 0..4 {
            let thread = fixture.thread(&format!("writer-{index}"));
            let stack = ["app.py:save:7"];
            fixture.spend(thread, 75, &Doing::new(Cause::Sleep, &stack).note(note::NATIVE_SLEEP));
            fixture.spend(thread, 10, &Doing::new(Cause::Native, &stack));
            fixture.spend(thread, 15, &Doing::new(Cause::Disk, &stack));
        }
        fixture.cpus(0.4, 0.0);
        let line = SourceLine { file: "app.py".into(), line: 7, text: source.into() };
        fixture.profile.surroundings.sources.push(line);
        let found = diagnose(&fixture.profile, &Catalog::default());
        let told = found.findings.iter().any(|finding| finding.id == super::ID);
        (found.verdict.workload, found.recommendation.model, told)
    }

    #[test]
    fn writers_of_a_locked_database_are_no_sleepers() {
        let (workload, model, told) = writers("db.execute(\"insert into t values (1)\")");
        assert_eq!((workload, model, told), (Workload::LockBound, Model::ReduceLockScope, true));
        let (workload, _, told) = writers("clock.tick(60)");
        assert_ne!(workload, Workload::LockBound);
        assert!(!told);
    }
}
