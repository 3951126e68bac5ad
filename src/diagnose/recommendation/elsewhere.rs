//! A call of the program's own, written so that it runs elsewhere.

use serde_json::Value;

use crate::diagnose::findings::Finding;
use crate::diagnose::site::{Site, lines};
use crate::model::Cause;

use super::choice::Situation;
use super::model::Model;
use super::rewrite;
use super::service::with_workers;
use super::steps::{Step, cpus, to_thread};

/// The call that a finding is about, made elsewhere as `model` wants it.
pub(super) fn call_elsewhere(situation: &Situation, model: Model, finding: &Finding) -> Vec<Step> {
    match (model, finding.id) {
        (Model::Asyncio | Model::OffloadToExecutor, "blocked-event-loop") => {
            off_the_loop(situation, finding).into_iter().collect()
        }
        (Model::Processes, "gil-contention") => in_processes(situation, finding),
        _ => Vec::new(),
    }
}

/// For a blocked loop: the handler's line, with the call made elsewhere.
fn off_the_loop(situation: &Situation, finding: &Finding) -> Option<Step> {
    let cause = finding.evidence.get("cause").and_then(Value::as_str);
    let computes = cause == Some(Cause::Python.name());
    let to_thread = to_thread(situation);
    let wrap = |callee: &str, arguments: &str| {
        let comma = if arguments.is_empty() { "" } else { ", " };
        if callee == "time.sleep" || callee == "sleep" {
            format!("await asyncio.sleep({arguments})")
        } else if computes {
            format!("await loop.run_in_executor(pool, {callee}{comma}{arguments})")
        } else {
            format!("await {to_thread}{callee}{comma}{arguments})")
        }
    };
    // The outermost call that is not awaited is the first one that a coroutine makes of plain code.
    let calls = finding.evidence.get("calls")?.as_array()?;
    let mut rewritten = calls.iter().filter_map(|call| {
        let site: Site = serde_json::from_value(call.get("where")?.clone()).ok()?;
        let source = situation.profile.surroundings.source(&site.file, site.line)?;
        let callee = call.get("callee").and_then(Value::as_str).map(str::to_owned);
        // A function written in C has no frame: of the statement the first call is it.
        let name = callee.or_else(|| outer_call(source))?;
        let after = rewrite::call(source, &name, &wrap)?;
        Some((site, source.to_owned(), after))
    });
    let (site, source, after) = rewritten.next()?;
    let what = if computes {
        "Make this call in a process of a pool that the program keeps (pool = ProcessPoolExecutor(), loop = \
         asyncio.get_running_loop())."
    } else if cause == Some(Cause::Sleep.name()) {
        "Wait without the loop."
    } else {
        "Make this call in a thread; better, await the asynchronous form of it."
    };
    Some(Step { what: what.to_owned(), site: Some(site), before: Some(source), after: Some(after) })
}

/// For threads that queue for the GIL: more processes of the server, where there is one, and the call of
/// the busiest function made in a pool. The threads stay: each waits for its own result.
fn in_processes(situation: &Situation, finding: &Finding) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(command) = with_workers(situation.profile, cpus(situation)) {
        steps.push(Step {
            what: "Start the server with a process for each CPU: requests are divided among them, and \
                   the code stays as it is. What requests share in memory has to move elsewhere."
                .to_owned(),
            site: None,
            before: None,
            after: Some(command),
        });
    }
    let Some((site, before, after)) = call_in_pool(situation, finding) else { return steps };
    let first = steps.is_empty();
    let what = "ake this call in a process of a pool that is made once, when the program starts (pool = \
                ProcessPoolExecutor(mp_context=get_context(\"spawn\"))), and not for each call. What it \
                takes and returns has to be picklable.";
    let what = if first { format!("M{what}") } else { format!("Or m{what}") };
    steps.push(Step { what, site: Some(site), before: Some(before), after: Some(after) });
    steps
}

/// A line that leads to the function that computes most, and the same with its call in a pool: the
/// outermost one that calls a function of the program's own, since the larger the piece, the less its
/// message costs.
fn call_in_pool(situation: &Situation, finding: &Finding) -> Option<(Site, String, String)> {
    let busiest = finding.site.as_ref()?;
    let tables = &situation.profile.tables;
    let mut rows: Vec<_> = situation.profile.rows().collect();
    rows.sort_by_key(|row| (std::cmp::Reverse(row.samples), row.thread, row.id));
    rows.into_iter().find_map(|row| {
        let own = lines(tables, row.state.stack).filter(|line| line.is_user());
        let mut own: Vec<Site> = own.map(|line| line.site()).collect();
        let innermost = own.first()?;
        if (&innermost.function, &innermost.file) != (&busiest.function, &busiest.file) {
            return None;
        }
        own.reverse();
        own.windows(2).find_map(|calls| {
            let [caller, callee] = calls else { return None };
            let name = callee.function.rsplit('.').next()?;
            let before = situation.profile.surroundings.source(&caller.file, caller.line)?;
            let after = rewrite::call(before, name, &|callee, arguments| {
                let comma = if arguments.is_empty() { "" } else { ", " };
                format!("pool.submit({callee}{comma}{arguments}).result()")
            })?;
            Some((caller.clone(), before.to_owned(), after))
        })
    })
}

/// The name of the first call of a statement.
fn outer_call(statement: &str) -> Option<String> {
    let open = statement.find('(')?;
    let head = statement.get(..open)?;
    let name = head.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::outer_call;

    #[test]
    fn a_statements_first_call_is_named() {
        assert_eq!(
            outer_call("x = urllib.request.urlopen(url).read()").as_deref(),
            Some("urlopen")
        );
        assert_eq!(outer_call("time.sleep(1)").as_deref(), Some("sleep"));
        assert_eq!(outer_call("x = 1"), None);
    }
}
