//! Waits for locks and deadlocks, in words, as a drawing and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::dump::{base_name, sanitise};
use crate::model::{Deadlock, FrameId, LockKind, LockOwner, LockWait, Tables};

/// The width of the drawing.
const WIDTH: usize = 80;

/// `waits for Lock self.lock at transfer (bank.py:8)`.
pub(super) fn wait_words(tables: &Tables, wait: &LockWait) -> String {
    let kind = wait.kind.name();
    let name = if wait.name.is_empty() { String::new() } else { format!(" {}", wait.name) };
    let at = wait.site.and_then(|site| line_words(tables, site));
    let at = at.map(|at| format!(" at {at}")).unwrap_or_default();
    let timed = if wait.timed { ", for a limited time" } else { "" };
    sanitise(&format!("waits for {kind}{name}{at}{timed}"))
}

/// `held by worker-2 since transfer (bank.py:6)`.
pub(super) fn owner_words(tables: &Tables, wait: &LockWait, owner: &LockOwner) -> String {
    let verb = match wait.kind {
        LockKind::ThreadJoin => "which is",
        LockKind::Future => "left to",
        LockKind::Import => "imported by",
        _ => "held by",
    };
    let likely = if owner.certain { "" } else { "likely " };
    let Some(thread) = owner.thread else {
        return format!("{likely}{verb} a thread that has ended");
    };
    let name = tables.thread(thread).map_or("?", |info| &*info.name);
    let since = match wait.kind {
        LockKind::Future => "in",
        _ => "since",
    };
    let at = owner.site.and_then(|site| line_words(tables, site));
    let at = at.map(|at| format!(" {since} {at}")).unwrap_or_default();
    sanitise(&format!("{likely}{verb} {name}{at}"))
}

fn line_words(tables: &Tables, site: FrameId) -> Option<String> {
    let frame = tables.frames.get(site)?;
    let function = tables.functions.get(frame.function)?;
    Some(format!("{} ({}:{})", function.name, base_name(&function.file), frame.line))
}

/// Draws a deadlock: each of its threads above the one that it waits for.
///
/// # Errors
/// When `out` fails.
pub(super) fn draw(out: &mut dyn Write, tables: &Tables, deadlock: &Deadlock) -> io::Result<()> {
    let name =
        |wait: &LockWait| sanitise(tables.thread(wait.thread).map_or("?", |info| &*info.name));
    let count = deadlock.ring.len();
    match (&deadlock.ring[..], count) {
        ([one], _) if one.owners.iter().all(|owner| owner.thread.is_none()) => {
            writeln!(out, "Deadlock: a thread waits for ever for one that has ended")?;
        }
        (_, 1) => writeln!(out, "Deadlock: a thread waits for itself")?,
        _ => writeln!(out, "Deadlock: {count} threads wait for each other for ever")?,
    }
    for (index, wait) in deadlock.ring.iter().enumerate() {
        let next = deadlock.ring.get((index + 1) % count).map(|next| next.thread);
        writeln!(out, "{}", cut(&format!("  {}", name(wait))))?;
        writeln!(out, "{}", cut(&format!("  |   {}", wait_words(tables, wait))))?;
        let owner = wait.owners.iter().find(|owner| owner.thread == next);
        if let Some(owner) = owner.or_else(|| wait.owners.first()) {
            writeln!(out, "{}", cut(&format!("  |   {}", owner_words(tables, wait, owner))))?;
        }
        writeln!(out, "  v")?;
    }
    let first =
        deadlock.ring.first().filter(|first| first.owners.iter().any(|it| it.thread.is_some()));
    let end = first.map_or_else(|| "(ended)".to_owned(), name);
    writeln!(out, "{}", cut(&format!("  {end}")))?;
    for victim in &deadlock.victims {
        let text = format!("  and so {} {}", name(victim), wait_words(tables, victim));
        writeln!(out, "{}", cut(&text))?;
    }
    Ok(())
}

/// A line that fits.
fn cut(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
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
            "where": owner.site.and_then(|site| line_json(tables, site)),
        })
    };
    let info = tables.thread(wait.thread);
    json!({
        "tid": info.map(|info| info.tid),
        "thread": info.map(|info| &info.name),
        "kind": wait.kind.name(),
        "object": (wait.object != 0).then(|| format!("{:#x}", wait.object)),
        "name": wait.name,
        "where": wait.site.and_then(|site| line_json(tables, site)),
        "timed": wait.timed,
        "settled": wait.settled,
        "owners": wait.owners.iter().map(owner).collect::<Vec<_>>(),
    })
}

fn line_json(tables: &Tables, site: FrameId) -> Option<Value> {
    let frame = tables.frames.get(site)?;
    let function = tables.functions.get(frame.function)?;
    Some(json!({ "function": function.name, "file": function.file, "line": frame.line }))
}

/// A deadlock for scripts.
pub(super) fn deadlock_json(tables: &Tables, deadlock: &Deadlock) -> Value {
    let waits = |waits: &[LockWait]| -> Vec<Value> {
        waits.iter().map(|wait| wait_json(tables, wait)).collect()
    };
    json!({ "ring": waits(&deadlock.ring), "victims": waits(&deadlock.victims) })
}
