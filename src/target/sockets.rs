//! The sockets of a network namespace, by their inode.

use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{DescriptorKind, SocketRole};

use super::process::Process;

/// The sockets that the kernel listed when it was last asked.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    internet: FxHashMap<u64, Internet>,
    unix: FxHashMap<u64, Unix>,
    /// The TCP ports that somebody listens on, or did since the first look: a server may close
    /// its listener and go on with its connections.
    listening: FxHashSet<u16>,
    passing: Option<RangeInclusive<u16>>,
    internet_reads: Reads,
    unix_reads: Reads,
}

/// Keeps the reading of a table, which a busy host makes long, to one part in [`SHARE`] of our time.
#[derive(Debug, Default)]
struct Reads {
    /// Before this time the table is not read again.
    not_before: Option<Instant>,
}

impl Reads {
    /// Reads a table, unless it is too early.
    fn take(&mut self, read: impl FnOnce()) {
        let began = Instant::now();
        if self.not_before.is_some_and(|time| began < time) {
            return;
        }
        read();
        self.not_before = Some(Instant::now() + began.elapsed() * SHARE);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Internet {
    local: SocketAddr,
    peer: SocketAddr,
    /// The state of a TCP socket.
    state: Option<u8>,
}

#[derive(Debug, PartialEq, Eq)]
struct Unix {
    path: Box<str>,
    listens: bool,
}

/// The most sockets that are kept of each table.
const MOST_SOCKETS: usize = 1 << 17;

/// The longest line that is read.
const LONGEST_LINE: u64 = 1024;

/// Reading a table may take one part in this many of our time.
const SHARE: u32 = 20;

/// The states of TCP sockets, from 1 on (`net/tcp_states.h`).
const TCP_STATES: [&str; 12] = [
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];

// Those that matter here.
const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const LISTEN: u8 = 10;

/// The flag of a listening unix socket (`__SO_ACCEPTCON` of `linux/net.h`).
const ACCEPTS: u32 = 1 << 16;

impl Internet {
    fn listens(&self) -> bool {
        self.state == Some(LISTEN)
    }

    /// Whether this connection may still wait for this listener, on the same host, to accept it. Once
    /// the other end is closed it has no socket either.
    fn may_await(&self, listener: &Self) -> bool {
        let (there, peer) = (listener.local.ip(), self.peer.ip());
        // Any host may have a service at that port: only the loopback is surely this one.
        let host = there == peer || (there.is_unspecified() && peer.is_loopback());
        let opens = matches!(self.state, Some(ESTABLISHED | SYN_SENT));
        opens && listener.listens() && host && listener.local.port() == self.peer.port()
    }
}

/// What is at the other end of a TCP socket on the same host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Partner {
    /// The socket that it is connected to.
    Connected(u64),
    /// A listener that has not accepted its connection yet.
    Listener(u64),
}

impl Sockets {
    /// What the socket `inode` of `process` is; `None` when no table has it, or has it yet.
    pub fn kind(&mut self, process: &Process, inode: u64) -> Option<DescriptorKind> {
        if let Some(known) = self.find(inode) {
            return Some(known);
        }
        // The unix sockets first: they are few, and there is no trace of those that were closed.
        self.refresh_unix(process);
        if let Some(known) = self.find(inode) {
            return Some(known);
        }
        self.refresh_internet(process);
        self.find(inode)
    }

    /// The state of a TCP socket, by the name that the kernel has for it, when it was last listed.
    pub fn tcp_state(&self, inode: u64) -> Option<&'static str> {
        let state = usize::from(self.internet.get(&inode)?.state?);
        TCP_STATES.get(state.checked_sub(1)?).copied()
    }

    /// The other ends of the TCP sockets among these, as far as they are in the same network
    /// namespace.
    pub fn partners(&self, inodes: &[u64]) -> FxHashMap<u64, Partner> {
        let own = |inode: &u64| {
            let socket = self.internet.get(inode)?;
            let connects = socket.state.is_some() && socket.peer.port() != 0;
            connects.then_some((*inode, socket))
        };
        let own: Vec<_> = inodes.iter().filter_map(own).collect();
        let by_pair: FxHashMap<_, _> =
            own.iter().map(|(inode, socket)| ((socket.peer, socket.local), *inode)).collect();
        let mut found = FxHashMap::default();
        let mut listeners: FxHashMap<u64, Vec<u64>> = FxHashMap::default();
        // A socket that nobody has, such as one that was not accepted yet, has the inode 0.
        for (inode, socket) in self.internet.iter().filter(|(inode, _)| **inode != 0) {
            if let Some(own) = by_pair.get(&(socket.local, socket.peer)) {
                found.insert(*own, Partner::Connected(*inode));
            }
            for (own, _) in own.iter().filter(|(_, own)| own.may_await(socket)) {
                listeners.entry(*own).or_default().push(*inode);
            }
        }
        for (own, listeners) in listeners {
            // Which of several (SO_REUSEPORT) is to accept it cannot be told.
            if let [only] = listeners[..] {
                found.entry(own).or_insert(Partner::Listener(only));
            }
        }
        found
    }

    /// What a socket is, when it was last listed.
    pub fn find(&self, inode: u64) -> Option<DescriptorKind> {
        if let Some(unix) = self.unix.get(&inode) {
            return Some(DescriptorKind::UnixSocket {
                path: unix.path.clone(),
                listener: unix.listens,
            });
        }
        let socket = self.internet.get(&inode)?;
        let peer = if socket.peer.port() == 0 { String::new() } else { socket.peer.to_string() };
        Some(DescriptorKind::Socket {
            role: self.role(socket),
            local: socket.local.to_string().into(),
            peer: peer.into(),
        })
    }

    fn role(&self, socket: &Internet) -> SocketRole {
        if socket.listens() {
            return SocketRole::Listener;
        }
        let passing = |port: u16| {
            port == 0 || self.passing.as_ref().is_some_and(|range| range.contains(&port))
        };
        let (local, peer) = (socket.local.port(), socket.peer.port());
        let serves = self.listening.contains(&local) || (!passing(local) && passing(peer));
        if serves { SocketRole::Server } else { SocketRole::Client }
    }

    /// Reads the internet sockets of the process's network namespace again.
    pub fn refresh_internet(&mut self, process: &Process) {
        self.internet_reads.take(|| {
            self.passing.get_or_insert_with(passing_ports);
            self.internet.clear();
            for name in ["net/tcp", "net/tcp6", "net/udp", "net/udp6"] {
                let Ok(table) = process.file(name) else { continue };
                let stream = name.contains("tcp");
                self.internet.extend(rows(table, |line| parse_internet(line, stream)));
            }
            let listeners = self.internet.values().filter(|socket| socket.listens());
            self.listening.extend(listeners.map(|socket| socket.local.port()));
        });
    }

    /// Reads its unix sockets again.
    fn refresh_unix(&mut self, process: &Process) {
        self.unix_reads.take(|| {
            self.unix.clear();
            if let Ok(table) = process.file("net/unix") {
                self.unix.extend(rows(table, parse_unix));
            }
        });
    }
}

/// The rows of a table that can be understood, at most [`MOST_SOCKETS`].
///
/// Not `procfs`' readers: they give up a whole table for one line that they do not understand,
/// such as the name of an abstract socket, which may hold any bytes.
fn rows<T>(table: impl Read, parse: impl Fn(&str) -> Option<T>) -> impl Iterator<Item = T> {
    let mut reader = BufReader::with_capacity(1 << 16, table);
    let mut line = Vec::new();
    let lines = std::iter::from_fn(move || {
        line.clear();
        match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(parse(&String::from_utf8_lossy(line.trim_ascii_end()))),
        }
    });
    lines.take(MOST_SOCKETS).flatten()
}

/// A line of `net/tcp` or `net/udp`: number, local and remote address, state, queues, timer,
/// retransmits, user, timeout, inode.
fn parse_internet(line: &str, stream: bool) -> Option<(u64, Internet)> {
    let mut fields = line.split_ascii_whitespace();
    let local = address(fields.nth(1)?)?;
    let peer = address(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let inode = fields.nth(5)?.parse().ok()?;
    Some((inode, Internet { local, peer, state: stream.then_some(state) }))
}

/// `ADDRESS:PORT` in hexadecimal; the address in words of 32 bits in this machine's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = host.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let host = match host.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.as_chunks_mut().0.iter_mut().enumerate() {
                *chunk = word(at)?;
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(host, port))
}

/// A line of `net/unix`: address, references, protocol, flags, type, state, inode, path.
fn parse_unix(line: &str) -> Option<(u64, Unix)> {
    let mut fields = line.split_ascii_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let inode = fields.nth(2)?;
    let path = line.split_once(&format!(" {inode} ")).map_or("", |(_, path)| path.trim_start());
    Some((inode.parse().ok()?, Unix { path: path.into(), listens: flags & ACCEPTS != 0 }))
}

/// The ports that the kernel gives to a socket that asks for none. It shows only those of our own
/// network namespace; another one nearly always has the same.
fn passing_ports() -> RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let numbers = text.ok().and_then(|text| {
        let (first, last) = text.trim().split_once(char::is_whitespace)?;
        Some(first.parse().ok()?..=last.trim().parse().ok()?)
    });
    numbers.unwrap_or(32_768..=60_999)
}

#[cfg(test)]
mod tests {
    use super::{Internet, Partner, Sockets, parse_internet, parse_unix, rows};
    use crate::model::{DescriptorKind, SocketRole};

    #[cfg(target_endian = "little")]
    #[test]
    fn reads_the_tables_of_the_kernel() {
        let text = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
               0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0\n\
               1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:D431 01 0:0 0:0 0 0 0 112 1\n\
               2: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 113 1\n\
             broken line\n\
               3: 0100007F:1F90 zz:0000 01 0:0 0:0 0 0 0 114 1";
        let found: Vec<_> = rows(&text[..], |line| parse_internet(line, true)).collect();
        let text = |index: usize| {
            let (inode, socket) = found[index];
            (inode, socket.local.to_string(), socket.peer.to_string(), socket.listens())
        };
        assert_eq!(found.len(), 3);
        assert_eq!(text(0), (111, "127.0.0.1:8080".into(), "0.0.0.0:0".into(), true));
        assert_eq!(text(1), (112, "127.0.0.1:8080".into(), "127.0.0.1:54321".into(), false));
        assert_eq!(text(2), (113, "[::1]:53".into(), "[::]:0".into(), true));
        let datagram = parse_internet("0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 9", false);
        assert!(datagram.is_some_and(|(_, socket)| !socket.listens()));
    }

    #[test]
    fn reads_unix_sockets_with_and_without_a_name() {
        let text = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            ffff8881: 00000002 00000000 00010000 0001 01 21 /run/a socket\n\
            ffff8882: 00000003 00000000 00000000 0001 03 22\n\
            ffff8883: 00000003 00000000 00000000 0001 03 23 @\xff\n";
        let found: Vec<_> = rows(&text[..], parse_unix).collect();
        assert_eq!(found.len(), 3);
        assert_eq!(
            (found[0].0, &*found[0].1.path, found[0].1.listens),
            (21, "/run/a socket", true)
        );
        assert_eq!((found[1].0, &*found[1].1.path, found[1].1.listens), (22, "", false));
        assert_eq!(&*found[2].1.path, "@\u{fffd}");
    }

    fn role(sockets: &Sockets, local: &str, peer: &str) -> SocketRole {
        let (local, peer) = (local.parse().unwrap(), peer.parse().unwrap());
        sockets.role(&Internet { local, peer, state: None })
    }

    #[test]
    fn the_end_with_the_known_port_serves() {
        let mut sockets = Sockets { passing: Some(32_768..=60_999), ..Sockets::default() };
        let (web, passing) = ("10.0.0.1:443", "10.0.0.2:40000");
        assert_eq!(role(&sockets, web, passing), SocketRole::Server);
        assert_eq!(role(&sockets, passing, web), SocketRole::Client);
        // A service on a port of the passing range is told by its listener alone.
        assert_eq!(role(&sockets, "10.0.0.1:50051", passing), SocketRole::Client);
        sockets.listening.insert(50_051);
        assert_eq!(role(&sockets, "10.0.0.1:50051", passing), SocketRole::Server);
        assert_eq!(role(&sockets, passing, "10.0.0.1:50051"), SocketRole::Client);
    }

    #[test]
    fn an_unconnected_socket_has_no_peer() {
        let mut sockets = Sockets { passing: Some(32_768..=60_999), ..Sockets::default() };
        let (local, peer) = ("0.0.0.0:53".parse().unwrap(), "0.0.0.0:0".parse().unwrap());
        sockets.internet.insert(7, Internet { local, peer, state: None });
        let expected = DescriptorKind::Socket {
            role: SocketRole::Server,
            local: "0.0.0.0:53".into(),
            peer: "".into(),
        };
        assert_eq!(sockets.find(7), Some(expected));
        assert_eq!(sockets.find(8), None);
    }

    #[test]
    fn the_other_end_of_a_connection_is_found_by_its_addresses() {
        let mut sockets = Sockets::default();
        let mut add = |inode, local: &str, peer: &str, state| {
            let (local, peer) = (local.parse().unwrap(), peer.parse().unwrap());
            sockets.internet.insert(inode, Internet { local, peer, state });
        };
        add(1, "127.0.0.1:40000", "127.0.0.1:80", Some(1));
        add(2, "127.0.0.1:80", "127.0.0.1:40000", Some(8));
        add(3, "0.0.0.0:80", "0.0.0.0:0", Some(10));
        add(4, "127.0.0.1:40001", "127.0.0.1:80", Some(2));
        add(5, "10.0.0.1:40002", "10.0.0.2:80", Some(1));
        add(6, "127.0.0.1:40003", "127.0.0.1:80", None);
        add(7, "127.0.0.1:40004", "127.0.0.1:80", Some(8));
        add(8, "127.0.0.1:40005", "127.0.0.1:81", Some(1));
        add(9, "127.0.0.1:81", "0.0.0.0:0", Some(10));
        add(10, "127.0.0.1:81", "0.0.0.0:0", Some(10));
        add(0, "127.0.0.1:80", "127.0.0.1:40001", Some(1));
        let partners = sockets.partners(&[1, 2, 3, 4, 5, 6, 7, 8, 99]);
        assert_eq!(partners.get(&1), Some(&Partner::Connected(2)));
        assert_eq!(partners.get(&2), Some(&Partner::Connected(1)));
        assert_eq!(partners.get(&4), Some(&Partner::Listener(3)));
        assert_eq!(partners.len(), 3);
        let states = [1, 2, 3, 4, 6].map(|inode| sockets.tcp_state(inode));
        let names =
            [Some("ESTABLISHED"), Some("CLOSE_WAIT"), Some("LISTEN"), Some("SYN_SENT"), None];
        assert_eq!(states, names);
    }
}
