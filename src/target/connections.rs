//! The TCP connections that a process has opened to others.

use std::collections::BTreeMap;

use indexmap::IndexSet;
use rustc_hash::FxHashMap;
use rustix::fs::{Dir, Mode, OFlags};

use crate::model::{DescriptorKind, PeerProcess, SocketRole, Tables};

use super::descriptors::{Descriptors, socket_inode};
use super::ends::{End, holders};
use super::facts::named;
use super::sockets::Partner;

/// The most descriptors that are looked at.
const MOST: usize = 1 << 16;

/// A TCP connection that the process opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The address of the other end.
    pub peer: Box<str>,
    /// Whether the other end has closed it, and this one has not.
    pub half_closed: bool,
}

impl Descriptors {
    /// The connections that the process has open as a client, in no order; those that the kernel has
    /// not listed yet are missing.
    pub fn client_connections(&mut self) -> Vec<Connection> {
        self.client_sockets().into_iter().map(|(_, connection)| connection).collect()
    }

    /// The same, each with the number of its socket.
    fn client_sockets(&mut self) -> Vec<(u64, Connection)> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(self.process().folder(), "fd", flags, Mode::empty());
        let Some(entries) = folder.ok().and_then(|folder| Dir::read_from(folder).ok()) else {
            return Vec::new();
        };
        let numbers = entries.flatten().filter_map(|it| it.file_name().to_str().ok()?.parse().ok());
        let mut buffer = [0; libc::PATH_MAX as usize];
        let mut inodes = Vec::new();
        for number in numbers.take(MOST) {
            inodes.extend(self.link(number, &mut buffer).ok().and_then(socket_inode));
        }
        if inodes.is_empty() {
            return Vec::new();
        }
        let process = self.process().clone();
        let sockets = self.sockets();
        sockets.refresh_internet(&process);
        let connection = |inode| match sockets.find(inode)? {
            DescriptorKind::Socket { role: SocketRole::Client, peer, .. } if !peer.is_empty() => {
                let half_closed = match sockets.tcp_state(inode)? {
                    "ESTABLISHED" => false,
                    "CLOSE_WAIT" => true,
                    _ => return None,
                };
                Some((inode, Connection { peer, half_closed }))
            }
            _ => None,
        };
        inodes.into_iter().filter_map(connection).collect()
    }
}

impl Descriptors {
    /// The servers, by their addresses, whose answers these epoll instances are to tell of, each with the
    /// number of connections.
    pub fn awaited_servers(&mut self, epolls: &[i32], tables: &mut Tables) -> Vec<(Box<str>, u32)> {
        /// More of them say no more.
        const MOST_AWAITED: usize = 256;
        let awaited: Vec<i32> = epolls.iter().flat_map(|it| self.awaited_by_epoll(*it)).collect();
        let mut servers: BTreeMap<Box<str>, u32> = BTreeMap::new();
        for number in awaited.into_iter().take(MOST_AWAITED) {
            let id = self.resolve(number, tables);
            if let Some(DescriptorKind::Socket { role: SocketRole::Client, peer, .. }) =
                tables.descriptors.get(id).map(|descriptor| &descriptor.kind)
            {
                *servers.entry(peer.clone()).or_default() += 1;
            }
        }
        servers.into_iter().collect()
    }

    /// The processes of this machine that the process is connected to as a client, by the address;
    /// may go through the open files of all processes.
    pub fn local_peers(&mut self) -> Vec<PeerProcess> {
        let process = self.process().clone();
        let Some(pid) = process.live_pid() else { return Vec::new() };
        let mut by_peer: FxHashMap<Box<str>, u64> = FxHashMap::default();
        for (inode, connection) in self.client_sockets() {
            by_peer.entry(connection.peer).or_insert(inode);
        }
        let inodes: Vec<u64> = by_peer.values().copied().collect();
        let partners = self.sockets().partners(&inodes);
        let mut ends = IndexSet::new();
        let mut addresses = Vec::new();
        for (address, inode) in by_peer {
            let other = match partners.get(&inode) {
                Some(Partner::Connected(other) | Partner::Listener(other)) => *other,
                None => continue,
            };
            if ends.insert(End::socket(other)) {
                addresses.push(address);
            }
        }
        let found = holders(pid, &ends);
        let peers = addresses.into_iter().zip(found).filter_map(|(address, pids)| {
            let name = named(*pids.first()?)?;
            Some(PeerProcess { address, pid: name.pid, command: name.command })
        });
        let mut peers: Vec<_> = peers.collect();
        peers.sort_by(|a, b| a.address.cmp(&b.address));
        peers
    }
}
