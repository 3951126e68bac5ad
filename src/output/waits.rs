//! What more there is to say of a wait than its cause, in words and as JSON.

use serde_json::{Value, json};

use super::dump::describe;
use super::escape::sanitise;
use crate::diagnose::words::seconds;
use crate::model::{
    AwaitedChild, AwaitedDescriptor, DescriptorKind, EndRole, Nanos, Pid, ProcessName, Tables,
    TimeLimit, WaitDetails,
};

/// The widest command of another process.
const WIDEST_COMMAND: usize = 40;

/// How many descriptors, and how many processes at the other end of one, are put into words.
const MOST_TOLD: usize = 3;

/// `in poll, for at most 30 s, on socket 127.0.0.1:4242 to 127.0.0.1:80 (ESTABLISHED), to pid 812
/// (python3 server.py)`; `None` when there is nothing to add to a wait for a lock.
pub(super) fn details_words(tables: &Tables, target: Pid, details: &WaitDetails) -> Option<String> {
    let syscall = details.syscall?;
    let mut parts = vec![format!("in {syscall}")];
    parts.extend(details.limit.map(limit_words));
    parts.extend(details.child.as_ref().map(|child| child_words(target, child)));
    parts.extend(descriptors_words(tables, target, details));
    (parts.len() > 1 || syscall != "futex").then(|| parts.join(", "))
}

fn limit_words(limit: TimeLimit) -> String {
    let words = |length: f64| seconds(length).replace(".0 ", " ");
    match limit {
        TimeLimit::Timeout(length) => format!("for at most {}", words(length.seconds())),
        TimeLimit::Left(length) => format!("for {} more", words(length.seconds())),
    }
}

fn child_words(target: Pid, child: &AwaitedChild) -> String {
    match child {
        AwaitedChild::One(process) => format!("for {}", process_words(target, process)),
        AwaitedChild::AnyOf(count) => format!("for any of {count} children"),
    }
}

fn descriptors_words(tables: &Tables, target: Pid, details: &WaitDetails) -> Option<String> {
    let words = |it: &AwaitedDescriptor| descriptor_words(tables, target, it);
    match &details.descriptors[..] {
        [] => None,
        // The child that it stands for is told already.
        [_] if details.child.is_some() => None,
        [one] => {
            let preposition = match one.role {
                Some(EndRole::Writes) if !details.selects => "from",
                Some(EndRole::Reads) if !details.selects => "to",
                _ => "on",
            };
            Some(format!("{preposition} {}", words(one)?))
        }
        all => {
            let mut told: Vec<String> = all.iter().filter_map(words).take(MOST_TOLD).collect();
            if all.len() > told.len() {
                told.push(format!("{} more", all.len() - told.len()));
            }
            Some(format!("on {} descriptors: {}", all.len(), told.join("; ")))
        }
    }
}

/// `a pipe that pid 99 (producer.py) can write`.
fn descriptor_words(tables: &Tables, target: Pid, awaited: &AwaitedDescriptor) -> Option<String> {
    let descriptor = tables.descriptors.get(awaited.descriptor)?;
    let mut text = match &descriptor.kind {
        DescriptorKind::Socket { local, peer, .. } if !peer.is_empty() => {
            format!("socket {local} to {peer}")
        }
        DescriptorKind::Pipe => match &awaited.path {
            Some(path) => format!("fifo {path}"),
            None => "a pipe".to_owned(),
        },
        DescriptorKind::UnixSocket { path, .. } if path.is_empty() => "a unix socket".to_owned(),
        _ => describe(descriptor),
    };
    if let Some(state) = awaited.tcp_state {
        text.push_str(&format!(" ({state})"));
    }
    let others = processes_words(target, &awaited.other_end);
    if let (Some(role), Some(others)) = (awaited.role, others) {
        text.push_str(&match role {
            EndRole::Writes => format!(" that {others} can write"),
            EndRole::Reads => format!(" that {others} can read"),
            EndRole::Connected => format!(", to {others}"),
            EndRole::Locks => format!(", locked by {others}"),
            EndRole::Listens => format!(", not accepted yet by {others}"),
        });
    }
    Some(text)
}

fn processes_words(target: Pid, processes: &[ProcessName]) -> Option<String> {
    let mut words: Vec<String> =
        processes.iter().map(|it| process_words(target, it)).take(MOST_TOLD).collect();
    if processes.len() > words.len() {
        words.push(format!("{} more", processes.len() - words.len()));
    }
    let last = words.pop()?;
    Some(if words.is_empty() { last } else { format!("{} and {last}", words.join(", ")) })
}

fn process_words(target: Pid, process: &ProcessName) -> String {
    if process.pid == target {
        return "this process itself".to_owned();
    }
    format!("pid {} ({})", process.pid, sanitise(&command_words(&process.command), WIDEST_COMMAND))
}

/// A command line whose program and first argument, often an interpreter's program, are without
/// their folders.
fn command_words(command: &str) -> String {
    let base_name = |(index, word): (usize, &str)| match word.rsplit_once('/') {
        Some((_, name)) if index < 2 && word.starts_with('/') && !name.is_empty() => {
            name.to_owned()
        }
        _ => word.to_owned(),
    };
    command.split(' ').enumerate().map(base_name).collect::<Vec<_>>().join(" ")
}

/// The details of a wait for scripts.
pub(super) fn details_json<'a>(tables: &Tables, target: Pid, details: &'a WaitDetails) -> Value {
    let (timeout, left) = match details.limit {
        Some(TimeLimit::Timeout(length)) => (Some(length.seconds()), None),
        Some(TimeLimit::Left(length)) => (None, Some(length.seconds())),
        None => (None, None),
    };
    let process = |it: &ProcessName| json!({ "pid": it.pid, "command": it.command });
    let (child, children) = match &details.child {
        Some(AwaitedChild::One(child)) => (Some(process(child)), Some(1)),
        Some(AwaitedChild::AnyOf(count)) => (None, Some(*count)),
        None => (None, None),
    };
    let awaited = || {
        let known = |it: &'a AwaitedDescriptor| Some((it, tables.descriptors.get(it.descriptor)?));
        details.descriptors.iter().filter_map(known)
    };
    let watched = awaited().filter(|_| details.selects);
    let (state, path) = match &details.descriptors[..] {
        [only] => (only.tcp_state, only.path.as_deref()),
        _ => (None, None),
    };
    let other_ends = awaited().flat_map(|(awaited, descriptor)| {
        awaited.other_end.iter().map(|it| {
            json!({
                "pid": it.pid,
                "command": it.command,
                "itself": it.pid == target,
                "fd": descriptor.number,
                "role": awaited.role.map(role_name),
            })
        })
    });
    json!({
        "syscall": details.syscall,
        "asleep_seconds": details.asleep.map(Nanos::seconds),
        "timeout_seconds": timeout,
        "seconds_left": left,
        "child": child,
        "children": children,
        "watches": watched.map(|(_, descriptor)| describe(descriptor)).collect::<Vec<_>>(),
        "state": state,
        "fifo": path,
        "other_end": other_ends.collect::<Vec<_>>(),
    })
}

const fn role_name(role: EndRole) -> &'static str {
    match role {
        EndRole::Writes => "writes",
        EndRole::Reads => "reads",
        EndRole::Connected => "connected",
        EndRole::Locks => "locks",
        EndRole::Listens => "listens",
    }
}

#[cfg(test)]
mod tests {
    use super::{details_json, details_words};
    use crate::model::{
        AwaitedChild, AwaitedDescriptor, Descriptor, DescriptorKind, EndRole, Nanos, ProcessName,
        SocketRole, Tables, TimeLimit, WaitDetails,
    };

    const TARGET: i32 = 7;

    fn process(pid: i32, command: &str) -> ProcessName {
        ProcessName { pid, command: command.into() }
    }

    fn awaited(
        tables: &mut Tables,
        kind: DescriptorKind,
        role: EndRole,
        other_end: Vec<ProcessName>,
    ) -> AwaitedDescriptor {
        let number = tables.descriptors.len() as i32;
        let descriptor = tables.descriptors.intern(Descriptor { number, kind });
        let (tcp_state, path) = (None, None);
        AwaitedDescriptor { descriptor, tcp_state, path, role: Some(role), other_end }
    }

    #[test]
    fn a_polled_connection_is_told_with_its_limit_and_its_peer() {
        let mut tables = Tables::default();
        let (local, peer) = ("127.0.0.1:4242".into(), "127.0.0.1:80".into());
        let kind = DescriptorKind::Socket { role: SocketRole::Client, local, peer };
        let server = process(812, "/usr/bin/python3 /srv/server.py");
        let mut socket = awaited(&mut tables, kind, EndRole::Connected, vec![server]);
        socket.tcp_state = Some("ESTABLISHED");
        let details = WaitDetails {
            syscall: Some("poll"),
            asleep: Some(Nanos(1_500_000_000)),
            limit: Some(TimeLimit::Timeout(Nanos(30 * Nanos::SECOND.0))),
            child: None,
            selects: true,
            descriptors: vec![socket],
        };
        let words = details_words(&tables, TARGET, &details).unwrap();
        assert_eq!(
            words,
            "in poll, for at most 30 s, on socket 127.0.0.1:4242 to 127.0.0.1:80 (ESTABLISHED), \
             to pid 812 (python3 server.py)"
        );
        let json = details_json(&tables, TARGET, &details);
        assert_eq!(json["timeout_seconds"], 30.0);
        assert_eq!(json["watches"][0], "socket to 127.0.0.1:80");
        assert_eq!(json["state"], "ESTABLISHED");
        assert_eq!(json["other_end"][0]["pid"], 812);
        assert_eq!(json["other_end"][0]["itself"], false);
        assert!(json["child"].is_null() && json["seconds_left"].is_null());
    }

    #[test]
    fn pipes_are_told_with_those_who_could_end_the_wait() {
        let mut tables = Tables::default();
        let many = (1..6).map(|pid| process(pid, "a")).collect();
        let mut told = |role, other_end, selects| {
            let pipe = awaited(&mut tables, DescriptorKind::Pipe, role, other_end);
            let descriptors = vec![pipe];
            let details = WaitDetails {
                syscall: Some("read"),
                selects,
                descriptors,
                ..WaitDetails::default()
            };
            details_words(&tables, TARGET, &details).unwrap()
        };
        let writer = vec![process(99, "producer.py")];
        assert_eq!(
            told(EndRole::Writes, writer.clone(), false),
            "in read, from a pipe that pid 99 (producer.py) can write"
        );
        assert_eq!(
            told(EndRole::Reads, vec![process(TARGET, "x"), process(99, "y")], false),
            "in read, to a pipe that this process itself and pid 99 (y) can read"
        );
        assert_eq!(told(EndRole::Writes, Vec::new(), true), "in read, on a pipe");
        assert!(told(EndRole::Writes, many, false).contains("pid 3 (a) and 2 more can write"));
    }

    #[test]
    fn children_and_bare_locks() {
        let tables = Tables::default();
        let mut details = WaitDetails { syscall: Some("futex"), ..WaitDetails::default() };
        assert_eq!(details_words(&tables, TARGET, &details), None);
        details.limit = Some(TimeLimit::Left(Nanos(1_500 * Nanos::MILLISECOND.0)));
        let words = details_words(&tables, TARGET, &details);
        assert_eq!(words.as_deref(), Some("in futex, for 1.5 s more"));
        let hostile = format!("ffmpeg \u{1b}[2J {}", "x".repeat(1000));
        let details = WaitDetails {
            syscall: Some("wait4"),
            child: Some(AwaitedChild::One(process(4711, &hostile))),
            ..WaitDetails::default()
        };
        let words = details_words(&tables, TARGET, &details).unwrap();
        assert!(words.starts_with("in wait4, for pid 4711 (ffmpeg \\u{1b}[2J xxx"), "{words}");
        assert!(words.len() < 80, "{words}");
        let any = WaitDetails { child: Some(AwaitedChild::AnyOf(3)), ..details };
        let words = details_words(&tables, TARGET, &any).unwrap();
        assert_eq!(words, "in wait4, for any of 3 children");
        assert_eq!(details_json(&tables, TARGET, &any)["children"], 3);
    }
}
