//! `blocking-while-holding-gil`: C code waits in the kernel and keeps the GIL meanwhile.

use crate::diagnose::site::lines;
use crate::diagnose::words::rounded;
use crate::model::Cause;
use crate::model::note::HOLDS_GIL;

use super::{Case, Finding, Row, Severity, evidence, heaviest, total};

const ID: &str = "blocking-while-holding-gil";

pub(super) fn find(case: &Case) -> Vec<Finding> {
    if !case.load.facts.gil {
        return Vec::new();
    }
    let waiters = case.load.mean(Cause::Gil);
    // A module that is imported reads files with the GIL held: that is how it is, and once only.
    let imports = |row: &Row| {
        lines(case.tables(), row.state.stack)
            .any(|line| line.function.module.starts_with("importlib._bootstrap"))
    };
    let holds = |row: &Row| case.tables().note(row.state) == Some(HOLDS_GIL) && !imports(row);
    let groups = case.by_site(holds);
    let groups = groups.into_iter().map(|(site, rows)| (site, total(&rows), rows));
    let material = groups.filter(|&(_, count, _)| count >= 3 && case.share(count) >= 0.01);
    let findings = material.map(|(site, count, rows)| {
        let causes = heaviest(rows.iter().map(|row| (row.state.cause.name(), row.samples)));
        let threads = heaviest(rows.iter().map(|row| (row.thread, row.samples)));
        Finding {
            id: ID,
            name: "a call waits and keeps the GIL meanwhile".to_owned(),
            severity: if waiters >= 0.2 { Severity::Error } else { Severity::Warning },
            share: rounded(case.share(count)),
            seconds: rounded(case.seconds(count)),
            count,
            site,
            source: None,
            thread: threads.first().and_then(|&(thread, _)| case.thread_name(thread)),
            task: None,
            evidence: evidence([
                ("share_of", "samples of the process".into()),
                ("count_of", "thread samples that wait in the kernel with the GIL held".into()),
                ("causes_samples", causes.into_iter().collect()),
                ("mean_gil_waiters", rounded(waiters).into()),
            ]),
            advice: "No other thread can run Python while this call waits. The extension that is \
                     called here has to release the GIL (Py_BEGIN_ALLOW_THREADS); until it does, \
                     call it in a process of its own."
                .to_owned(),
        }
    });
    findings.collect()
}
