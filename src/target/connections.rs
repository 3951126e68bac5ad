//! The TCP connections that a process has opened to others.

use rustix::fs::{Dir, Mode, OFlags};

use crate::model::{DescriptorKind, SocketRole};

use super::descriptors::{Descriptors, socket_inode};

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
                Some(Connection { peer, half_closed })
            }
            _ => None,
        };
        inodes.into_iter().filter_map(connection).collect()
    }
}
