//! The table of threads of a report.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;

use crate::diagnose::words::percent;
use crate::diagnose::{Diagnosis, ThreadGroup, ThreadMeasures, thread_kind};
use crate::model::Tag;

use super::page::{Look, Page};

/// How many rows there are.
const ROWS: usize = 8;

/// A thread, or threads of one kind.
struct Row<'a> {
    name: String,
    threads: usize,
    samples: u64,
    tags: &'a BTreeMap<&'static str, u64>,
    tag_shares: &'a BTreeMap<&'static str, f64>,
    cause_shares: &'a BTreeMap<&'static str, f64>,
}

impl<'a> Row<'a> {
    fn of_thread(thread: &'a ThreadMeasures) -> Self {
        let ThreadMeasures { name, samples, tags, tag_shares, cause_shares, .. } = thread;
        Self { name: name.clone(), threads: 1, samples: *samples, tags, tag_shares, cause_shares }
    }

    fn of_group(group: &'a ThreadGroup) -> Self {
        let ThreadGroup { name, threads, samples, tags, tag_shares, cause_shares, .. } = group;
        let name = format!("{threads}x {name}");
        Self { name, threads: *threads, samples: *samples, tags, tag_shares, cause_shares }
    }

    /// At how many samples it did something else than to wait.
    fn busy(&self) -> u64 {
        let waiting = self.tags.get(Tag::IdleWaiting.name()).copied().unwrap_or_default();
        self.samples.saturating_sub(waiting)
    }
}

/// The threads that did most, with the shares of their own samples.
pub(super) fn threads(page: &mut Page, diagnosis: &Diagnosis) -> io::Result<()> {
    let row = |page: &Page, cells: [&str; 7]| {
        let [name, samples, running, gil, waiting, blocking, top] = cells;
        let numbers =
            [samples, running, gil, waiting, blocking].map(|text| page.cell(text, 9, true));
        format!("  {}{}  {top}", page.cell(name, 16, false), numbers.concat())
    };
    page.line(&[("each thread, of its own samples", Look::Strong)])?;
    let head =
        row(page, ["thread", "samples", "running", "for GIL", "waiting", "blocking", "mostly"]);
    page.line(&[(head.trim_start(), Look::Strong)])?;
    let groups = &diagnosis.thread_groups;
    let is_grouped = |thread: &&ThreadMeasures| {
        let kind = thread_kind(&thread.name);
        groups.iter().any(|group| group.name == kind)
    };
    let single = diagnosis.threads.iter().filter(|thread| !is_grouped(thread)).map(Row::of_thread);
    let mut rows: Vec<_> = single.chain(groups.iter().map(Row::of_group)).collect();
    rows.sort_by_key(|row| Reverse(row.busy()));
    for it in rows.iter().take(ROWS) {
        let share = |tag: Tag| match it.tag_shares.get(tag.name()) {
            Some(&share) => percent(share),
            None => "-".to_owned(),
        };
        let most = it.cause_shares.iter().max_by(|a, b| a.1.total_cmp(b.1));
        let most =
            most.map_or_else(String::new, |(cause, &share)| format!("{cause} {}", percent(share)));
        let tags = Tag::ALL.map(share);
        let [blocking, gil, waiting, running] = tags.each_ref();
        let samples = it.samples.to_string();
        let line = row(page, [&it.name, &samples, running, gil, waiting, blocking, &most]);
        page.line(&[(&line, Look::Plain)])?;
    }
    let left: usize = rows.iter().skip(ROWS).map(|row| row.threads).sum();
    if left > 0 {
        let more = format!("  and {left} more threads that did less");
        page.line(&[(&more, Look::Faint)])?;
    }
    Ok(())
}
