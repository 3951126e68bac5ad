//! One moment of a process, as text and as JSON (`pyconc.dump/1`).

use std::io::{self, Write};

use serde_json::{Value, json};

use super::escape;
use super::locks::{deadlock_json, draw, wait_json};
use super::page::wrapped;
use super::tasks::{add_tasks, task_deadlocks};
use super::waits::{details_json, details_words};
use crate::diagnose::locks::{owner_words, wait_words};
use crate::diagnose::words::{counted, seconds};
use crate::model::{Descriptor, DescriptorKind, SocketRole, State, Tag, ThreadInfo};
use crate::profile::{Snapshot, ThreadSnapshot};

/// The widest text of the target that is shown.
const WIDEST: usize = 400;

/// The width of what is put into several lines, and what is before all but the first.
const WIDTH: usize = 80;
const CONTINUED: &str = "     ";

/// Writes a snapshot for people: a line per thread with what it does and why, then its stack.
///
/// # Errors
/// When `out` fails.
pub fn dump_text(out: &mut dyn Write, snapshot: &Snapshot, full_filenames: bool) -> io::Result<()> {
    let meta = &snapshot.meta;
    writeln!(out, "Process {}: {}", meta.pid, sanitise(&meta.command.join(" ")))?;
    let tasks = snapshot.tasks.as_ref().map_or(0, |tasks| tasks.tasks.len() as u64);
    let tasks = match tasks {
        0 => String::new(),
        tasks => format!(", {} of asyncio (dump --tasks)", counted(tasks, "task")),
    };
    let threads = counted(snapshot.threads.len() as u64, "thread");
    writeln!(out, "Python {}, {threads}{tasks}", meta.python)?;
    task_deadlocks(out, snapshot)?;
    for deadlock in &snapshot.deadlocks {
        writeln!(out)?;
        draw(out, snapshot, deadlock)?;
    }
    for thread in &snapshot.threads {
        let Some((info, state)) = resolve(snapshot, thread) else { continue };
        let head = summary(snapshot, thread, state);
        writeln!(out)?;
        write_wrapped(out, "", &format!("Thread {} {}: {head}", info.tid, name_of(info)))?;
        if let Some(wait) = snapshot.wait_of(thread.thread) {
            let others = match snapshot.waiters_for(wait) {
                0 | 1 => String::new(),
                all => format!(", with {}", counted(all as u64 - 1, "other")),
            };
            let words = wait_words(&snapshot.tables, wait);
            writeln!(out, "  {}{others}", sanitise(&words))?;
            for owner in &wait.owners {
                let text = owner_words(&snapshot.tables, wait, owner, meta.forked_from);
                writeln!(out, "  {}", sanitise(&text))?;
            }
        }
        write_details(out, snapshot, thread)?;
        for (function, line) in snapshot.tables.lines_of(state.stack) {
            let file = if full_filenames { &*function.file } else { base_name(&function.file) };
            writeln!(out, "    {} ({}:{line})", sanitise(&function.name), sanitise(file))?;
        }
    }
    for thread in &snapshot.missed {
        if let Some(info) = snapshot.tables.thread(*thread) {
            writeln!(
                out,
                "\nThread {} {}: moved at every attempt to read it",
                info.tid,
                name_of(info)
            )?;
        }
    }
    Ok(())
}

/// Writes what more there is to say of a thread's wait, if there is.
fn write_details(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    thread: &ThreadSnapshot,
) -> io::Result<()> {
    // How long one waits for the GIL before one asks for it again is nobody's concern.
    let details = match snapshot.tag(thread) {
        Some(Tag::GilContended) => None,
        _ => snapshot.details.get(&thread.thread),
    };
    match details.and_then(|it| details_words(&snapshot.tables, snapshot.meta.pid, it)) {
        Some(words) => write_wrapped(out, "  ", &sanitise(&words)),
        None => Ok(()),
    }
}

/// Writes a clean text over as many lines as it takes, the first after `indent`.
fn write_wrapped(out: &mut dyn Write, indent: &str, text: &str) -> io::Result<()> {
    for (index, line) in wrapped(text, WIDTH - CONTINUED.len()).iter().enumerate() {
        writeln!(out, "{}{line}", if index == 0 { indent } else { CONTINUED })?;
    }
    Ok(())
}

/// Writes a snapshot for scripts.
///
/// # Errors
/// When `out` fails.
pub fn dump_json(out: &mut dyn Write, snapshot: &Snapshot) -> io::Result<()> {
    let meta = &snapshot.meta;
    let threads: Vec<Value> = snapshot
        .threads
        .iter()
        .filter_map(|thread| {
            let (info, state) = resolve(snapshot, thread)?;
            Some(thread_json(snapshot, thread, info, state))
        })
        .collect();
    let missed = snapshot.missed.iter().filter_map(|thread| snapshot.tables.thread(*thread));
    let deadlocks = snapshot.deadlocks.iter().map(|it| deadlock_json(&snapshot.tables, it));
    let mut document = json!({
        "schema": "pyconc.dump/1",
        "target": { "pid": meta.pid, "python": meta.python, "cmdline": meta.command, "gil": meta.gil,
            "forked_from": meta.forked_from },
        "deadlocks": deadlocks.collect::<Vec<_>>(),
        "threads": threads,
        "missed": missed.map(|info| info.tid).collect::<Vec<_>>(),
    });
    if let Some(tasks) = &snapshot.tasks {
        add_tasks(&mut document, snapshot, tasks);
    }
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn thread_json(
    snapshot: &Snapshot,
    thread: &ThreadSnapshot,
    info: &ThreadInfo,
    state: &State,
) -> Value {
    let tables = &snapshot.tables;
    let frames: Vec<Value> = tables
        .lines_of(state.stack)
        .map(|(function, line)| json!({ "function": function.name, "file": function.file, "line": line }))
        .collect();
    let details = snapshot.details.get(&thread.thread);
    let lock = snapshot.wait_of(thread.thread).map(|wait| {
        let mut lock = wait_json(tables, wait);
        if let Some(fields) = lock.as_object_mut() {
            fields.insert("waiters".to_owned(), snapshot.waiters_for(wait).into());
        }
        lock
    });
    json!({
        "tid": info.tid,
        "name": info.name,
        "python": info.python,
        "tag": snapshot.tag(thread),
        "cause": state.cause,
        "note": tables.note(state),
        "descriptor": state.descriptor.and_then(|id| tables.descriptors.get(id)).map(describe),
        "holds_gil": thread.holds_gil,
        "step_seconds": snapshot.step_length(thread).map(|length| length.seconds()),
        "lock": lock,
        "wait": details.map(|it| details_json(tables, snapshot.meta.pid, it)),
        "frames": frames,
    })
}

fn resolve<'a>(
    snapshot: &'a Snapshot,
    thread: &ThreadSnapshot,
) -> Option<(&'a ThreadInfo, &'a State)> {
    Some((snapshot.tables.thread(thread.thread)?, snapshot.tables.states.get(thread.state)?))
}

fn name_of(info: &ThreadInfo) -> String {
    sanitise(&info.name)
}

/// `idle-waiting, network (10.0.0.1:5432)`, and what else is worth a word.
fn summary(snapshot: &Snapshot, thread: &ThreadSnapshot, state: &State) -> String {
    let tables = &snapshot.tables;
    let tag = snapshot.tag(thread).map_or("", |tag| tag.name());
    let mut text = format!("{tag}, {}", state.cause.name());
    let detail = [
        state.descriptor.and_then(|id| tables.descriptors.get(id)).map(describe),
        tables.note(state).map(str::to_owned),
    ];
    let detail: Vec<String> = detail.into_iter().flatten().collect();
    if !detail.is_empty() {
        text.push_str(&format!(" ({})", sanitise(&detail.join(", "))));
    }
    let asleep = snapshot.details.get(&thread.thread).and_then(|details| details.asleep);
    if let Some(length) = asleep.filter(|_| snapshot.tag(thread) != Some(Tag::GilContended)) {
        text.push_str(&format!(", for {}", seconds(length.seconds())));
    }
    if let Some(length) = snapshot.step_length(thread) {
        text.push_str(&format!(", in one callback for {}", seconds(length.seconds())));
    }
    if thread.holds_gil && snapshot.meta.gil {
        text.push_str(", has the GIL");
    }
    text
}

fn base_name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// A descriptor in a few words: `tcp to 10.0.0.1:5432`, `pipe`, a path.
pub(super) fn describe(descriptor: &Descriptor) -> String {
    match &descriptor.kind {
        DescriptorKind::Socket { role: SocketRole::Unlisted, .. } => "socket".to_owned(),
        DescriptorKind::Socket { peer, local, .. } if peer.is_empty() => {
            format!("socket at {local}")
        }
        DescriptorKind::Socket { peer, .. } => format!("socket to {peer}"),
        DescriptorKind::UnixSocket { path, .. } if path.is_empty() => "unix socket".to_owned(),
        DescriptorKind::UnixSocket { path, .. } => format!("unix socket {path}"),
        DescriptorKind::Pipe => "pipe".to_owned(),
        DescriptorKind::Event => "eventfd".to_owned(),
        DescriptorKind::Epoll => "epoll".to_owned(),
        DescriptorKind::Timer => "timerfd".to_owned(),
        DescriptorKind::Signal => "signalfd".to_owned(),
        DescriptorKind::Process => "process".to_owned(),
        DescriptorKind::Terminal => "terminal".to_owned(),
        DescriptorKind::File(path) | DescriptorKind::Device(path) => path.to_string(),
        DescriptorKind::Unknown(reason) => format!("descriptor {} ({reason})", descriptor.number),
    }
}

pub(super) fn sanitise(text: &str) -> String {
    escape::sanitise(text, WIDEST)
}
