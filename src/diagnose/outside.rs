//! Who keeps a program waiting that is no part of it: a peer, a child process, a file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{Cause, DescriptorKind, Pid};
use crate::profile::{Profile, TaskWait};

use super::load::Load;
use super::words::{percent, ratio, rounded};

/// From which share of the waits on one is worth a name.
const WORTH: f64 = 0.2;

/// What usually listens at a port.
const SERVICES: [(u16, &str); 16] = [
    (25, "SMTP"),
    (53, "DNS"),
    (80, "HTTP"),
    (443, "HTTPS"),
    (1433, "SQL Server"),
    (1521, "Oracle"),
    (2181, "ZooKeeper"),
    (3306, "MySQL"),
    (5432, "PostgreSQL"),
    (5672, "AMQP"),
    (6379, "Redis"),
    (8086, "InfluxDB"),
    (9042, "Cassandra"),
    (9092, "Kafka"),
    (9200, "Elasticsearch"),
    (27017, "MongoDB"),
];

/// Kinds of things outside a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutsideKind {
    /// The other end of a connection.
    Peer,
    /// A child process.
    Child,
    /// A file, or the device below it.
    File,
    /// The other end of a pipe or local socket.
    Pipe,
}

/// What a program waits for that is no part of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Outside {
    /// What it is.
    pub kind: OutsideKind,
    /// Its address, command or path.
    pub name: String,
    /// What usually answers at such an address.
    pub service: Option<&'static str>,
    /// Its process, where it is one of this machine.
    pub pid: Option<Pid>,
    /// The command line of that.
    pub command: Option<String>,
    /// Mean number of threads, or loops, that wait for it.
    pub waiting: f64,
    /// The share of all waits for what is outside.
    pub share: f64,
    /// What it is a share of.
    pub share_of: &'static str,
}

impl Outside {
    /// What most waits are for; `None` where there is nothing, or nothing that stands out.
    pub(super) fn of(profile: &Profile, load: &Load) -> Option<Self> {
        let mut waits: BTreeMap<(OutsideKind, String), f64> = BTreeMap::new();
        threads(profile, &mut waits);
        tasks(profile, load, &mut waits);
        children(profile, load, &mut waits);
        let all: f64 = waits.values().sum();
        let (key, waiting) = waits.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let (kind, name) = key;
        let share = ratio(waiting, all);
        if share < WORTH || name.is_empty() {
            return None;
        }
        let peer = profile.surroundings.peer(&name);
        let child = profile.surroundings.children.iter().find(|child| *child.command == *name);
        let process = peer
            .map(|peer| (peer.pid, peer.command.to_string()))
            .or_else(|| child.map(|child| (child.pid, child.command.to_string())));
        Some(Self {
            kind,
            service: (kind == OutsideKind::Peer).then(|| service(&name)).flatten(),
            name,
            pid: process.as_ref().map(|(pid, _)| *pid),
            command: process.map(|(_, command)| command),
            waiting: rounded(waiting),
            share: rounded(share),
            share_of: "waits for what is outside the process",
        })
    }

    /// A sentence of it.
    pub(super) fn sentence(&self) -> String {
        let what = match self.kind {
            OutsideKind::Peer => "the peer ",
            OutsideKind::Child => "the child process ",
            OutsideKind::File => "the file ",
            OutsideKind::Pipe => "the other end of ",
        };
        let service = self.service.map(|name| format!(" (usually {name})")).unwrap_or_default();
        let process = match (&self.pid, &self.command) {
            (Some(pid), _) if self.kind == OutsideKind::Child => format!(" (process {pid})"),
            (Some(pid), Some(command)) => format!(", which is process {pid}: {}", short(command)),
            _ => String::new(),
        };
        format!(
            "The bottleneck is outside this process: {} of its waits are for {what}{}{service}{process}.",
            percent(self.share),
            short(&self.name)
        )
    }
}

/// The first words of a command line.
fn short(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST - 1).chain(['…']).collect()
}

fn threads(profile: &Profile, waits: &mut BTreeMap<(OutsideKind, String), f64>) {
    let samples = profile.quality.samples as f64;
    for row in profile.rows() {
        let kind = match row.state.cause {
            Cause::Network => OutsideKind::Peer,
            Cause::Child => OutsideKind::Child,
            Cause::Disk => OutsideKind::File,
            Cause::Pipe => OutsideKind::Pipe,
            _ => continue,
        };
        let descriptor = row.state.descriptor.and_then(|id| profile.tables.descriptors.get(id));
        let name = match (kind, descriptor.map(|descriptor| &descriptor.kind)) {
            (OutsideKind::Child, _) => child_name(profile),
            (_, Some(DescriptorKind::Socket { peer, .. })) => peer.to_string(),
            (_, Some(_)) => {
                descriptor.and_then(|descriptor| descriptor.target()).unwrap_or("a pipe").to_owned()
            }
            (OutsideKind::File, None) => String::new(),
            (_, None) => "what could not be told".to_owned(),
        };
        *waits.entry((kind, name)).or_default() += ratio(row.samples as f64, samples);
    }
}

/// What tasks wait for stands for their loop's time in the selector.
fn tasks(profile: &Profile, load: &Load, waits: &mut BTreeMap<(OutsideKind, String), f64>) {
    let looked = &profile.tasks.waits;
    let all = looked.tasks(TaskWait::Answer) + looked.tasks(TaskWait::Child);
    let selecting = load.loop_waits();
    for (peer, tasks) in looked.peers() {
        let waiting = selecting * ratio(tasks, all);
        *waits.entry((OutsideKind::Peer, peer.to_owned())).or_default() += waiting;
    }
    let child = selecting * ratio(looked.tasks(TaskWait::Child), all);
    if child > 0.0 {
        *waits.entry((OutsideKind::Child, child_name(profile))).or_default() += child;
    }
}

fn children(profile: &Profile, load: &Load, waits: &mut BTreeMap<(OutsideKind, String), f64>) {
    let waiting = load.awaiting_children();
    if waiting > 0.0 {
        *waits.entry((OutsideKind::Child, child_name(profile))).or_default() += waiting;
    }
}

/// The child that used most CPU time.
fn child_name(profile: &Profile) -> String {
    let first = profile.surroundings.children.first();
    first.map_or_else(|| "that has ended since".to_owned(), |child| child.command.to_string())
}

/// What usually answers at an address.
fn service(address: &str) -> Option<&'static str> {
    let (_, port) = address.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    SERVICES.iter().find(|(known, _)| *known == port).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::{Outside, OutsideKind};
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::diagnose::load::Load;
    use crate::model::{Cause, PeerProcess};

    fn outside(fixture: &Fixture) -> Option<Outside> {
        Outside::of(&fixture.profile, &Load::of(&fixture.profile))
    }

    #[test]
    fn the_peer_that_most_waits_are_for_is_named_with_its_process() {
        let mut fixture = Fixture::new(5);
        let thread = fixture.thread("main");
        let stack = ["app.py:load:3"];
        let waits = |peer| Doing::new(Cause::Network, &stack).peer(peer);
        fixture.spend(thread, 60, &waits("127.0.0.1:5432"));
        fixture.spend(thread, 20, &waits("10.0.0.9:443"));
        fixture.spend(thread, 20, &Doing::new(Cause::Python, &stack));
        let found = outside(&fixture).unwrap();
        assert_eq!((found.kind, &*found.name), (OutsideKind::Peer, "127.0.0.1:5432"));
        assert_eq!((found.share, found.service), (0.75, Some("PostgreSQL")));
        assert_eq!(found.pid, None);
        fixture.profile.surroundings.peers.push(PeerProcess {
            address: "127.0.0.1:5432".into(),
            pid: 77,
            command: "postgres: shop".into(),
        });
        let found = outside(&fixture).unwrap();
        assert_eq!(found.pid, Some(77));
        assert!(found.sentence().contains("process 77: postgres: shop"), "{}", found.sentence());
    }

    #[test]
    fn who_waits_for_nothing_outside_has_no_bottleneck_there() {
        let mut fixture = Fixture::new(5);
        let thread = fixture.thread("main");
        fixture.spend(thread, 100, &Doing::new(Cause::Python, &["app.py:work:3"]));
        assert_eq!(outside(&fixture), None);
    }
}
