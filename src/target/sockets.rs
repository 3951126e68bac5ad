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
    /// Before this time the tables are not read again.
    not_before: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Internet {
    local: SocketAddr,
    peer: SocketAddr,
    listens: bool,
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

/// Reading the tables, which a busy host makes long, may take one part in this many of our time.
const SHARE: u32 = 20;

/// The state `LISTEN` of a TCP socket (`TCP_LISTEN` of `net/tcp_states.h`).
const LISTEN: u8 = 10;

/// The flag of a listening unix socket (`__SO_ACCEPTCON` of `linux/net.h`).
const ACCEPTS: u32 = 1 << 16;

impl Sockets {
    /// What the socket `inode` of `process` is; `None` when no table has it, or has it yet.
    pub fn kind(&mut self, process: &Process, inode: u64) -> Option<DescriptorKind> {
        if self.find(inode).is_none() && self.not_before.is_none_or(|time| time <= Instant::now()) {
            self.refresh(process);
        }
        self.find(inode)
    }

    fn find(&self, inode: u64) -> Option<DescriptorKind> {
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
        if socket.listens {
            return SocketRole::Listener;
        }
        let passing = |port: u16| {
            port == 0 || self.passing.as_ref().is_some_and(|range| range.contains(&port))
        };
        let (local, peer) = (socket.local.port(), socket.peer.port());
        let serves = self.listening.contains(&local) || (!passing(local) && passing(peer));
        if serves { SocketRole::Server } else { SocketRole::Client }
    }

    /// Reads all tables of the process's network namespace again.
    fn refresh(&mut self, process: &Process) {
        let began = Instant::now();
        self.passing.get_or_insert_with(passing_ports);
        self.internet.clear();
        self.unix.clear();
        for name in ["net/tcp", "net/tcp6", "net/udp", "net/udp6"] {
            let Ok(table) = process.file(name) else { continue };
            let stream = name.contains("tcp");
            self.internet.extend(rows(table, |line| parse_internet(line, stream)));
        }
        let listeners = self.internet.values().filter(|socket| socket.listens);
        self.listening.extend(listeners.map(|socket| socket.local.port()));
        if let Ok(table) = process.file("net/unix") {
            self.unix.extend(rows(table, parse_unix));
        }
        self.not_before = Some(Instant::now() + began.elapsed() * SHARE);
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
    Some((inode, Internet { local, peer, listens: stream && state == LISTEN }))
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
