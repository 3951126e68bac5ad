//! Waits for locks and their owners, in words.

use crate::model::{FrameId, Lock, LockKind, LockOwner, LockWait, Pid, Tables, ThreadId};

use super::site::Site;

/// `Lock self.lock`.
pub(crate) fn lock_words(lock: &Lock) -> String {
    let kind = lock.kind.name();
    // Where no name leads to it, its type's stands there, which says no more.
    let named = !lock.name.is_empty() && !lock.name.starts_with("_thread.");
    if named { format!("{kind} {}", lock.name) } else { kind.to_owned() }
}

/// `waits for Lock self.lock at transfer (bank.py:8)`.
pub(crate) fn wait_words(tables: &Tables, wait: &LockWait) -> String {
    let lock = lock_words(&wait.lock());
    let at = wait.site.and_then(|site| line_words(tables, site));
    let at = at.map(|at| format!(" at {at}")).unwrap_or_default();
    let timed = if wait.timed { ", for a limited time" } else { "" };
    format!("waits for {lock}{at}{timed}")
}

/// `held by worker-2 since transfer (bank.py:6)`. `forked_from` is the process that this one was
/// forked from.
pub(crate) fn owner_words(
    tables: &Tables,
    wait: &LockWait,
    owner: &LockOwner,
    forked_from: Option<Pid>,
) -> String {
    let (verb, since) = match wait.kind {
        LockKind::ThreadJoin => ("which is", "at"),
        LockKind::Future => ("left to", "at"),
        LockKind::Import => ("imported by", "at"),
        _ => ("held by", "since"),
    };
    let likely = if owner.certain { "" } else { "likely " };
    let Some(thread) = owner.thread else {
        let stayed = forked_from.map(|parent| {
            format!(" or did not come along when this process was forked from {parent}")
        });
        return format!("{likely}{verb} a thread that has ended{}", stayed.unwrap_or_default());
    };
    let at = owner.site.and_then(|site| line_words(tables, site));
    let at = at.map(|at| format!(" {since} {at}")).unwrap_or_default();
    format!("{likely}{verb} {}{at}", name_of(tables, thread))
}

/// What a thread is called.
pub(crate) fn name_of(tables: &Tables, thread: ThreadId) -> &str {
    tables.thread(thread).map_or("?", |info| &*info.name)
}

/// A line of the target's code.
pub(crate) fn site_of(tables: &Tables, frame: FrameId) -> Option<Site> {
    let frame = tables.frames.get(frame)?;
    let function = tables.functions.get(frame.function)?;
    Some(Site {
        file: function.file.to_string(),
        line: frame.line,
        function: function.name.to_string(),
    })
}

fn line_words(tables: &Tables, frame: FrameId) -> Option<String> {
    let site = site_of(tables, frame)?;
    let file = site.file.rsplit('/').next().unwrap_or_default();
    Some(format!("{} ({file}:{})", site.function, site.line))
}
