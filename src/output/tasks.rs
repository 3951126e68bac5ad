//! The tasks of a process, as text and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::escape::{columns, cut, sanitise};
use super::task_tree::{Mark, Node, trees};
use crate::diagnose::words::counted;
use crate::model::{
    Awaited, EventLoopInfo, Job, LoopKind, Nanos, Origin, Plight, Task, TaskState, Tasks,
    UNTOLD_DEADLINE,
};
use crate::profile::Snapshot;

/// The columns of a line.
const WIDTH: usize = 80;
/// The widest name of a task that is shown.
const WIDEST: usize = 40;
/// The deepest indentation.
const DEEPEST: usize = 24;

/// Writes the tasks of a snapshot for people: per loop a tree by who awaits whom.
///
/// # Errors
/// When `out` fails.
pub fn tasks_text(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    tasks: &Tasks,
    full_filenames: bool,
) -> io::Result<()> {
    let meta = &snapshot.meta;
    let command = sanitise(&meta.command.join(" "), WIDTH - 20);
    writeln!(out, "Process {}: {command}", meta.pid)?;
    writeln!(
        out,
        "Python {}, {}, {}",
        meta.python,
        counted(tasks.loops.len() as u64, "event loop"),
        counted(tasks.tasks.len() as u64, "task")
    )?;
    let deadlocks = &snapshot.task_deadlocks;
    let members = deadlocks.iter().flat_map(|deadlock| &deadlock.members);
    let mut stuck: Vec<u32> = members.map(|(index, _)| *index).collect();
    stuck.sort_unstable();
    task_deadlocks(out, snapshot)?;
    let page = Page { snapshot, tasks, stuck: &stuck, full_filenames };
    for (index, roots) in trees(tasks, &stuck).into_iter().enumerate() {
        match tasks.loops.get(index) {
            Some(info) => writeln!(out, "\n{}", page.title(index, info))?,
            None if roots.is_empty() => continue,
            None => writeln!(out, "\nTasks whose loop could not be read:")?,
        }
        for root in &roots {
            page.write(out, root, 2)?;
        }
    }
    if tasks.missed > 0 {
        writeln!(out, "\n{} tasks ended or changed while they were read", tasks.missed)?;
    }
    if tasks.truncated {
        writeln!(out, "\nThere are more tasks than are read")?;
    }
    Ok(())
}

/// Writes the tasks that wait for each other: who for whom, and at which line.
///
/// # Errors
/// When `out` fails.
pub(super) fn task_deadlocks(out: &mut dyn Write, snapshot: &Snapshot) -> io::Result<()> {
    let task = |index: u32| snapshot.tasks.as_ref().and_then(|tasks| tasks.get(index));
    let name = |index| task(index).map_or_else(String::new, |task| sanitise(&task.name, 24));
    let place = |index| {
        let mut lines = snapshot.tables.lines_of(task(index)?.chain);
        let (function, line) = lines.find(|(function, _)| Origin::of(function) == Origin::User)?;
        let file = function.file.rsplit('/').next().unwrap_or_default();
        Some(sanitise(&format!("at {file}:{line}"), 40))
    };
    for deadlock in &snapshot.task_deadlocks {
        let end = if deadlock.expires { "until a time limit ends it" } else { "nothing ends it" };
        let tasks = counted(deadlock.members.len() as u64, "task");
        writeln!(out, "\nDEADLOCK of {tasks}, {end}:")?;
        let others = deadlock.members.iter().cycle().skip(1);
        for ((index, lock), (other, _)) in deadlock.members.iter().zip(others) {
            let other = name(*other);
            let waits = match lock {
                Some(_) => format!("waits for a lock that {other} holds"),
                None => format!("waits for {other}"),
            };
            let parts: Vec<_> = std::iter::once(waits).chain(place(*index)).collect();
            let mut line = format!("  {}", name(*index));
            fill(&mut line, &parts, ", ", 6);
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// What a page is written from.
struct Page<'a> {
    snapshot: &'a Snapshot,
    tasks: &'a Tasks,
    /// The tasks that are in a deadlock, sorted.
    stuck: &'a [u32],
    full_filenames: bool,
}

impl Page<'_> {
    /// `Loop of asyncio in thread 4242 MainThread: 12 tasks, 1 running, 3 callbacks ready, 2 timers`.
    fn title(&self, index: usize, info: &EventLoopInfo) -> String {
        let kind = match info.kind {
            LoopKind::Other => &*info.type_name,
            kind => kind.name(),
        };
        let thread = info.tid.map_or("not running".to_owned(), |tid| {
            let mut threads = self.snapshot.tables.threads.iter();
            let name = threads.find(|thread| thread.tid == tid).map_or("", |thread| &thread.name);
            format!("in thread {tid} {name}").trim_end().to_owned()
        });
        let own = || self.tasks.tasks.iter().filter(|task| task.event_loop == Some(index as u32));
        let mut parts = vec![counted(own().count() as u64, "task")];
        for state in [
            TaskState::Running,
            TaskState::Ready,
            TaskState::Waiting,
            TaskState::Cancelling,
            TaskState::Done,
        ] {
            match own().filter(|task| task.state == state).count() {
                0 => {}
                count => parts.push(format!("{count} {}", state.name())),
            }
        }
        parts.extend(info.ready.map(|count| format!("{count} callbacks ready")));
        parts.extend(info.timers.map(|count| format!("{count} timers")));
        parts.extend(info.debug.then(|| "debug mode".to_owned()));
        let head = sanitise(&format!("Loop {kind} {thread}"), WIDTH);
        let mut text = format!("{head}:");
        fill(&mut text, &parts, ", ", 4);
        text
    }

    fn write(&self, out: &mut dyn Write, node: &Node, indent: usize) -> io::Result<()> {
        let Some(task) = self.tasks.get(node.task) else { return Ok(()) };
        let indent = indent.min(DEEPEST);
        let pad = " ".repeat(indent);
        let mut line = format!("{pad}{}", sanitise(&task.name, WIDEST));
        match node.mark {
            Mark::Cycle => return writeln!(out, "{line} (CYCLE: it waits for itself)"),
            Mark::Elsewhere => return writeln!(out, "{line} (shown elsewhere)"),
            Mark::Task if node.count > 1 => line.push_str(&format!(" ... × {}", node.count)),
            Mark::Task => {}
        }
        line.push(':');
        fill(&mut line, &self.facts(node, task), ", ", indent + 4);
        writeln!(out, "{line}")?;
        let mut frames: Vec<String> = self
            .snapshot
            .tables
            .lines_of(task.chain)
            .map(|(function, line)| {
                let file = if self.full_filenames {
                    &*function.file
                } else {
                    function.file.rsplit('/').next().unwrap_or_default()
                };
                format!("{} ({file}:{line})", function.name)
            })
            .collect();
        frames.reverse();
        if !frames.is_empty() {
            let mut chain = " ".repeat(indent + 3);
            fill(&mut chain, &frames, " > ", indent + 6);
            writeln!(out, "{chain}")?;
        }
        node.children.iter().try_for_each(|child| self.write(out, child, indent + 2))
    }

    /// What is worth saying of a task, in a few words each.
    fn facts(&self, node: &Node, task: &Task) -> Vec<String> {
        let mut facts = vec![match (&task.awaits, task.state) {
            (Some(awaits), TaskState::Waiting) => format!("waits for {}", describe(awaits)),
            (Some(awaits), state) => format!("{}, waits for {}", state.name(), describe(awaits)),
            (None, state) => state.name().to_owned(),
        }];
        if self.stuck.binary_search(&node.task).is_ok() {
            facts.push("IN A DEADLOCK".to_owned());
        }
        if let Some(until) = task.awaits.as_ref().and_then(|awaits| awaits.until)
            && node.count == 1
        {
            facts.push(format!("{:.1} s left", self.left(until)));
        }
        facts.extend(task.awaits.as_ref().and_then(|awaits| self.whereabouts(awaits, node.count)));
        facts.extend(node.relation.map(|relation| format!("by {}", relation.name())));
        if task.cancel_requests > 0 {
            let times = counted(u64::from(task.cancel_requests), "time");
            facts.push(format!("asked {times} to cancel"));
        }
        facts.extend(task.plight.as_ref().map(|plight| match plight {
            Plight::Orphan => "ORPHAN: only what will wake it refers to it".to_owned(),
            Plight::LeftByGather => "LEFT RUNNING by a gather that raised".to_owned(),
            Plight::Unretrieved { exception, .. } => {
                format!("FAILED with {exception}, which nobody asked for")
            }
        }));
        if let Some(deadline) = task.deadline
            && node.count == 1
        {
            facts.push(match deadline {
                UNTOLD_DEADLINE => "has a time limit".to_owned(),
                deadline => format!("times out in {:.1} s", self.left(deadline)),
            });
        }
        facts
    }

    /// Where what a task waits for is: a job's thread, a socket's other end.
    fn whereabouts(&self, awaits: &Awaited, count: usize) -> Option<String> {
        let tables = &self.snapshot.tables;
        if let Some(job) = awaits.job {
            return Some(match job {
                Job::Queued => "queued: no worker has taken it yet".to_owned(),
                Job::Elsewhere => "in another process".to_owned(),
                Job::InThread(_) if count > 1 => "in threads".to_owned(),
                Job::InThread(tid) => {
                    let thread = tables.threads.iter().find(|thread| thread.tid == tid);
                    let name = thread.map_or("", |thread| &thread.name);
                    format!("in thread {tid} {name}").trim_end().to_owned()
                }
            });
        }
        let descriptor = tables.descriptors.get(awaits.descriptor.filter(|_| count == 1)?)?;
        Some(format!("peer {}", descriptor.target()?))
    }

    /// Seconds from the snapshot to a reading of the loop's clock.
    fn left(&self, time: Nanos) -> f64 {
        time.seconds() - self.snapshot.time.seconds()
    }
}

/// `queue (PriorityQueue)`, `task`.
fn describe(awaits: &Awaited) -> String {
    let kind = awaits.kind.name();
    let plain = awaits.type_name.is_empty()
        || awaits.type_name.eq_ignore_ascii_case(kind)
        || awaits.type_name.contains("Future")
        || awaits.type_name.starts_with("_asyncio.");
    if plain { kind.to_owned() } else { format!("{kind} ({})", awaits.type_name) }
}

/// Adds parts to a text, and begins a new line where one would be too long.
fn fill(text: &mut String, parts: &[String], separator: &str, indent: usize) {
    let mut used = columns(text);
    for (index, part) in parts.iter().enumerate() {
        let part = sanitise(part, WIDTH - indent - separator.len());
        let last = index + 1 == parts.len();
        let tail = if last { "" } else { separator.trim_end() };
        let needed = columns(&part) + tail.len();
        if used + 1 + needed > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            used = indent;
        } else {
            text.push(' ');
            used += 1;
        }
        text.push_str(&cut(&part, WIDTH));
        text.push_str(tail);
        used += needed;
    }
}

/// Adds the loops and tasks of a snapshot to a document; tasks are named by their address.
pub(super) fn add_tasks(document: &mut Value, snapshot: &Snapshot, tasks: &Tasks) {
    let id = |index: u32| tasks.get(index).map(|task| format!("{:#x}", task.address.0));
    let loops = tasks.loops.iter().map(|info| {
        json!({
            "id": format!("{:#x}", info.address.0),
            "tid": info.tid,
            "kind": info.kind,
            "type": info.type_name,
            "current": info.current.and_then(id),
            "debug": info.debug,
            "ready": info.ready,
            "timers": info.timers,
        })
    });
    let time = snapshot.time.seconds();
    let left = |until: Nanos| until.seconds() - time;
    let one = |(index, task): (u32, &Task)| {
        let frames: Vec<Value> = snapshot
            .tables
            .lines_of(task.chain)
            .map(|(function, line)| {
                json!({ "function": function.name, "file": function.file, "line": line })
            })
            .collect();
        let awaits = task.awaits.as_ref().map(|awaits| {
            json!({
                "kind": awaits.kind,
                "object": format!("{:#x}", awaits.object.0),
                "type": awaits.type_name,
                "seconds_left": awaits.until.map(left),
                "job": awaits.job.map(Job::name),
                "job_tid": match awaits.job {
                    Some(Job::InThread(tid)) => Some(tid),
                    _ => None,
                },
                "peer": awaits
                    .descriptor
                    .and_then(|id| snapshot.tables.descriptors.get(id)?.target()),
            })
        });
        let awaited_by: Vec<Value> = task
            .awaited_by
            .iter()
            .map(|awaiter| json!({ "task": id(awaiter.task), "relation": awaiter.relation }))
            .collect();
        json!({
            "id": format!("{:#x}", task.address.0),
            "name": task.name,
            "state": task.state,
            "loop": task.event_loop,
            "frames": frames,
            "awaits": awaits,
            "awaited_by": awaited_by,
            "cancel_requests": task.cancel_requests,
            "has_deadline": tasks.deadline(index).is_some(),
            "deadline_seconds":
                tasks.deadline(index).filter(|it| *it != UNTOLD_DEADLINE).map(left),
            "plight": task.plight.as_ref().map(Plight::name),
            "holds": task.holds.iter().map(|lock| format!("{:#x}", lock.0)).collect::<Vec<_>>(),
        })
    };
    let deadlocks = snapshot.task_deadlocks.iter().map(|deadlock| {
        let members = deadlock.members.iter().map(|(index, lock)| {
            json!({ "task": id(*index), "lock": lock.map(|lock| format!("{:#x}", lock.0)) })
        });
        json!({ "tasks": members.collect::<Vec<_>>(), "expires": deadlock.expires })
    });
    document["loops"] = loops.collect();
    document["tasks"] = (0..).zip(&tasks.tasks).map(one).collect();
    document["task_deadlocks"] = deadlocks.collect();
    document["tasks_missed"] = tasks.missed.into();
    document["tasks_truncated"] = tasks.truncated.into();
}
