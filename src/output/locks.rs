//! Waits for locks and deadlocks, in words, as a drawing and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::dump::sanitise;
use super::page::wrapped;
use crate::diagnose::locks::{name_of, owner_words, site_of, wait_words};
use crate::model::{Deadlock, LockOwner, LockWait, Tables};
use crate::profile::Snapshot;

/// The width of the drawing.
const WIDTH: usize = 80;

/// Draws a deadlock: each of its threads above the one that it waits for.
///
/// # Errors
/// When `out` fails.
pub(super) fn draw(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    deadlock: &Deadlock,
) -> io::Result<()> {
    let tables = &snapshot.tables;
    let name = |wait: &LockWait| name_of(tables, wait.thread);
    let count = deadlock.ring.len();
    let what = match (&deadlock.ring[..], count) {
        ([one], _) if one.owners.iter().all(|owner| owner.thread.is_none()) => {
            "a thread waits for ever for one that has ended".to_owned()
        }
        (_, 1) => "a thread waits for itself".to_owned(),
        _ => format!("{count} threads wait for each other for ever"),
    };
    let title = if deadlock.certain { "Deadlock" } else { "Likely deadlock" };
    writeln!(out, "{title}: {what}")?;
    for (index, wait) in deadlock.ring.iter().enumerate() {
        let next = deadlock.ring.get((index + 1) % count).map(|next| next.thread);
        writeln!(out, "{}", cut(&format!("  {}", name(wait))))?;
        beside_arrow(out, &wait_words(tables, wait))?;
        let owner = wait.owners.iter().find(|owner| owner.thread == next);
        if let Some(owner) = owner.or_else(|| wait.owners.first()) {
            let text = owner_words(tables, wait, owner, snapshot.meta.forked_from);
            beside_arrow(out, &text)?;
        }
        writeln!(out, "  v")?;
    }
    let first =
        deadlock.ring.first().filter(|first| first.owners.iter().any(|it| it.thread.is_some()));
    let end = first.map_or("(ended)", name);
    writeln!(out, "{}", cut(&format!("  {end}")))?;
    for victim in &deadlock.victims {
        let text = format!("  and so {} {}", name(victim), wait_words(tables, victim));
        writeln!(out, "{}", cut(&text))?;
    }
    Ok(())
}

/// A sentence beside the arrow, on as many lines as it takes.
fn beside_arrow(out: &mut dyn Write, text: &str) -> io::Result<()> {
    const INDENT: &str = "  |   ";
    for line in wrapped(&sanitise(text), WIDTH - INDENT.len()) {
        writeln!(out, "{INDENT}{line}")?;
    }
    Ok(())
}

/// A line that fits.
fn cut(line: &str) -> String {
    let line = sanitise(line);
    if line.chars().count() <= WIDTH {
        return line;
    }
    let mut line: String = line.chars().take(WIDTH - 3).collect();
    line.push_str("...");
    line
}

/// A wait for scripts.
pub(super) fn wait_json(tables: &Tables, wait: &LockWait) -> Value {
    let owner = |owner: &LockOwner| {
        let info = owner.thread.and_then(|thread| tables.thread(thread));
        json!({
            "tid": info.map(|info| info.tid),
            "thread": info.map(|info| &info.name),
            "ended": owner.thread.is_none(),
            "certain": owner.certain,
            "where": owner.site.and_then(|site| site_of(tables, site)),
        })
    };
    let info = tables.thread(wait.thread);
    json!({
        "tid": info.map(|info| info.tid),
        "thread": info.map(|info| &info.name),
        "kind": wait.kind.name(),
        "object": (wait.object != 0).then(|| format!("{:#x}", wait.object)),
        "name": wait.name,
        "where": wait.site.and_then(|site| site_of(tables, site)),
        "timed": wait.timed,
        "settled": wait.settled,
        "owners": wait.owners.iter().map(owner).collect::<Vec<_>>(),
    })
}

/// A deadlock for scripts.
pub(super) fn deadlock_json(tables: &Tables, deadlock: &Deadlock) -> Value {
    let waits = |waits: &[LockWait]| -> Vec<Value> {
        waits.iter().map(|wait| wait_json(tables, wait)).collect()
    };
    json!({
        "ring": waits(&deadlock.ring),
        "victims": waits(&deadlock.victims),
        "certain": deadlock.certain,
    })
}
