//! Whose answers tasks wait for, and with whom the process is connected.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::task_watch::{Peer, awaits_peer};
use crate::model::{
    ConnectionSight, DescriptorKind, NetworkSight, SocketRole, Tables, Task, Tasks,
};
use crate::sampler::TaskSampler;
use crate::target::Connection;

/// Tasks that are asked for their sockets at one look.
const MOST_ASKED: usize = 64;

/// Whose answers the tasks wait for: some of them stand for all where they are many.
pub(super) fn network(
    sampler: &mut TaskSampler,
    tasks: &Tasks,
    tables: &mut Tables,
) -> NetworkSight {
    let waiting: Vec<_> = tasks.tasks.iter().filter(|task| awaits_peer(task)).collect();
    let stride = waiting.len().div_ceil(MOST_ASKED).max(1);
    let mut sight = NetworkSight {
        tasks: u32::try_from(waiting.len()).unwrap_or(u32::MAX),
        ..NetworkSight::default()
    };
    let mut answers: BTreeMap<Box<str>, u32> = BTreeMap::new();
    for task in waiting.into_iter().step_by(stride) {
        sight.asked += 1;
        match peer_of(sampler, task, tables) {
            Peer::Server(peer) => *answers.entry(peer).or_default() += 1,
            Peer::Client => sight.requests += 1,
            Peer::Limited | Peer::Unknown => {}
        }
    }
    sight.answers = answers.into_iter().collect();
    sight
}

/// Whose answer a task waits for.
pub(super) fn peer_of(sampler: &mut TaskSampler, task: &Task, tables: &mut Tables) -> Peer {
    let socket = task.awaits.as_ref().and_then(|awaits| sampler.socket(awaits, tables));
    match socket.and_then(|id| Some(&tables.descriptors.get(id)?.kind)) {
        Some(DescriptorKind::Socket { role: SocketRole::Client, peer, .. }) => {
            Peer::Server(peer.clone())
        }
        Some(DescriptorKind::Socket { role: SocketRole::Unlisted, .. }) | None => Peer::Unknown,
        Some(DescriptorKind::Socket { .. }) => Peer::Client,
        Some(_) => Peer::Unknown,
    }
}

/// Counts connections by their other end, the most numerous ones first.
pub(super) fn connections(connections: &[Connection]) -> Vec<ConnectionSight> {
    /// More peers help nobody.
    const MOST: usize = 256;
    let mut sights: BTreeMap<&str, ConnectionSight> = BTreeMap::new();
    for connection in connections {
        let sight = sights.entry(&connection.peer).or_insert_with(|| ConnectionSight {
            peer: connection.peer.clone(),
            open: 0,
            half_closed: 0,
        });
        sight.open += 1;
        sight.half_closed += u32::from(connection.half_closed);
    }
    let mut sights: Vec<_> = sights.into_values().collect();
    sights.sort_by_key(|sight| Reverse(sight.open));
    sights.truncate(MOST);
    sights
}
