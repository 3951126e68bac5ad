//! `async-deadlock`: tasks that wait for each other, or for locks that they hold, in a circle.

use serde_json::json;

use crate::diagnose::site::innermost_user;
use crate::diagnose::words::{ratio, rounded};
use crate::model::TaskDeadlock;

use super::task_trouble::chain;
use super::{Case, Finding, Severity, evidence};

const ID: &str = "async-deadlock";

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let tasks = &case.profile.tasks;
    let mut found: Vec<_> = tasks
        .lasting_deadlocks()
        .map(|(deadlock, lasts, looks)| finding(case, deadlock, looks, lasts))
        .collect();
    found.sort_by(|a, b| a.task.cmp(&b.task));
    found
}

fn finding(case: &Case, deadlock: &TaskDeadlock, looks: u64, lasts: bool) -> Finding {
    let tasks = &case.profile.tasks;
    let others = deadlock.members.iter().cycle().skip(1);
    let story = deadlock.members.iter().zip(others).map(|(member, next)| {
        let what = if member.for_lock { "a lock that is held by " } else { "" };
        format!("{} waits for {what}{}", member.name, next.name)
    });
    let members = deadlock.members.iter().map(|member| {
        json!({ "task": member.name, "for_lock": member.for_lock, "chain": chain(case, member.chain) })
    });
    let first = deadlock.members.first();
    let site = first.and_then(|member| innermost_user(case.tables(), member.chain));
    Finding {
        id: ID,
        name: match deadlock.members.len() {
            1 => "a task of asyncio waits for itself".to_owned(),
            members => format!("{members} tasks of asyncio wait for each other"),
        },
        severity: if deadlock.expires || !lasts { Severity::Warning } else { Severity::Error },
        share: rounded(ratio(looks as f64, tasks.looks as f64)),
        seconds: rounded(tasks.seconds() * ratio(looks as f64, tasks.looks as f64)),
        count: looks,
        site: site.map(|line| line.site()),
        source: None,
        thread: None,
        task: first.map(|member| member.name.to_string()),
        evidence: evidence([
            ("share_of", "looks at the tasks".into()),
            ("count_of", "looks that saw it".into()),
            ("expires", deadlock.expires.into()),
            ("lasts", lasts.into()),
            ("members", members.collect()),
            ("story", story.collect()),
        ]),
        advice: ADVICE.to_owned(),
    }
}

const ADVICE: &str = "Take the locks in one order everywhere, or one lock for both; do not await a \
    task while holding what it needs. Until then a time limit (asyncio.timeout) around the inner \
    acquire at least ends it.";
