//! What a process's file descriptors lead to.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags};
use rustix::path::DecInt;

use crate::model::{Descriptor, DescriptorId, DescriptorKind, Pid, SocketRole, Tables};

use super::fdinfo::{self, Access, FileId};
use super::process::Process;
use super::sockets::Sockets;
use super::waits::only;

/// Resolves descriptors, and remembers what they led to for as long as they lead there: the
/// kernel's link text (`socket:[INODE]`, a path) changes when a number is used again.
///
/// One resolver goes with one [`Tables`], whose ids it remembers.
#[derive(Debug)]
pub struct Descriptors {
    process: Process,
    folder: Option<OwnedFd>,
    known: FxHashMap<i32, Known>,
    epolls: FxHashMap<i32, Watched>,
    sockets: Sockets,
}

#[derive(Debug)]
struct Known {
    link: Box<[u8]>,
    id: DescriptorId,
    /// Whether there is nothing more to find out.
    settled: bool,
}

/// What an epoll instance watched when it was last asked.
#[derive(Debug)]
struct Watched {
    asked: Instant,
    only: Option<i32>,
}

/// The most descriptors that are remembered, far above any limit that processes run with.
const MOST_KNOWN: usize = 1 << 16;

/// From how many descriptors in the tables on a socket's passing port numbers are left out: a
/// server sees a new peer with each connection, and the tables never forget.
const MANY: usize = 1 << 14;

/// How long the descriptors of an epoll instance are believed to be the same. The kernel lists
/// all of them, however many, for each question.
const EPOLL_BELIEVED: Duration = Duration::from_millis(100);

impl Descriptors {
    /// The descriptors of a process.
    #[must_use]
    pub fn new(process: &Process) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self {
            folder: rustix::fs::openat(process.folder(), "fd", flags, Mode::empty()).ok(),
            process: process.clone(),
            known: FxHashMap::default(),
            epolls: FxHashMap::default(),
            sockets: Sockets::default(),
        }
    }

    /// What descriptor `number` leads to at this moment, in `tables`.
    pub fn resolve(&mut self, number: i32, tables: &mut Tables) -> DescriptorId {
        let mut buffer = [0; libc::PATH_MAX as usize];
        let link = match self.link(number, &mut buffer) {
            Ok(link) => link,
            Err(reason) => {
                let kind = DescriptorKind::Unknown(reason.into());
                return tables.descriptors.intern(Descriptor { number, kind });
            }
        };
        if let Some(known) = self.known.get(&number)
            && known.settled
            && *known.link == *link
        {
            return known.id;
        }
        let (kind, settled) = self.kind(number, link);
        let kind = if tables.descriptors.len() < MANY { kind } else { without_ports(kind) };
        let id = tables.descriptors.intern(Descriptor { number, kind });
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        self.known.insert(number, Known { link: link.into(), id, settled });
        id
    }

    /// The descriptor that an epoll instance watches, when it watches exactly one.
    pub(super) fn watched_by_epoll(&mut self, epoll: i32) -> Option<i32> {
        if let Some(watched) = self.epolls.get(&epoll)
            && watched.asked.elapsed() < EPOLL_BELIEVED
        {
            return watched.only;
        }
        // Two lines of `tfd:` are all that matters; each has less than 100 bytes.
        let only = only(self.listed_by_epoll(epoll, 1024).into_iter());
        if self.epolls.len() >= MOST_KNOWN {
            self.epolls.clear();
        }
        self.epolls.insert(epoll, Watched { asked: Instant::now(), only });
        only
    }

    /// The descriptors that the first bytes of an epoll instance's account list.
    pub(super) fn listed_by_epoll(&self, epoll: i32, bytes: u64) -> Vec<i32> {
        let text = self.account(epoll, bytes);
        fdinfo::values(&text, "tfd:").filter_map(|number| number.parse().ok()).collect()
    }

    /// The descriptors whose news an epoll instance is to tell now; those that it told of once, and not
    /// again until it is asked to, are left out.
    pub(super) fn awaited_by_epoll(&self, epoll: i32) -> Vec<i32> {
        /// Room for a thousand of them.
        const BYTES: u64 = 1 << 17;
        let wanted = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLPRI) as u32;
        let text = self.account(epoll, BYTES);
        let awaited = text.lines().filter_map(|line| {
            let mut words = line.strip_prefix("tfd:")?.split_ascii_whitespace();
            let number = words.next()?.parse().ok()?;
            let events = words.find(|word| *word != "events:")?;
            (u32::from_str_radix(events, 16).ok()? & wanted != 0).then_some(number)
        });
        awaited.collect()
    }

    /// The process that a descriptor of `pidfd_open` leads to.
    pub(super) fn pid_of(&self, number: i32) -> Option<Pid> {
        let text = self.account(number, fdinfo::SHORT);
        let pid = fdinfo::values(&text, "Pid:").next()?.parse().ok()?;
        // Neither of another namespace, which is 0, nor ended and waited for, which is -1.
        (pid > 0).then_some(pid)
    }

    /// What a descriptor is open for.
    pub(super) fn access(&self, number: i32) -> Option<Access> {
        Access::of(&self.account(number, fdinfo::SHORT))
    }

    /// The text of a descriptor's link, and of a named file, which the text may not tell apart from
    /// others, its identity.
    pub(super) fn identity(&self, number: i32) -> Option<(Box<[u8]>, Option<FileId>)> {
        let mut buffer = [0; libc::PATH_MAX as usize];
        let link = self.link(number, &mut buffer).ok()?;
        let named = link.starts_with(b"/");
        Some((link.into(), named.then(|| self.file(number)).flatten()))
    }

    /// Which file a descriptor leads to.
    pub(super) fn file(&self, number: i32) -> Option<FileId> {
        FileId::of(self.folder.as_ref()?, number)
    }

    /// The process whose descriptors they are.
    pub(super) const fn process(&self) -> &Process {
        &self.process
    }

    /// The sockets of the process's network namespace.
    pub(super) fn sockets(&mut self) -> &mut Sockets {
        &mut self.sockets
    }

    /// The first bytes of the kernel's account of a descriptor.
    fn account(&self, number: i32, bytes: u64) -> String {
        fdinfo::text(self.process.file(&format!("fdinfo/{number}")), bytes)
    }

    /// The text of a descriptor's link.
    pub(super) fn link<'a>(
        &self,
        number: i32,
        buffer: &'a mut [u8],
    ) -> Result<&'a [u8], &'static str> {
        let folder = self.folder.as_ref().ok_or("the kernel hides /proc/PID/fd")?;
        let len = rustix::fs::readlinkat_raw(folder, DecInt::new(number), &mut *buffer)
            .map_err(|_| "it was closed meanwhile")?;
        Ok(buffer.get(..len).unwrap_or_default())
    }

    /// What a socket is that no table has, or has yet: its protocol is always known.
    fn kind_of_unlisted(&self, number: i32) -> DescriptorKind {
        let mut name = [0; 32];
        let len = self.process.live_pid().map_or(0, |pid| {
            let path = format!("/proc/{pid}/fd/{number}");
            rustix::fs::getxattr(path, "system.sockprotoname", &mut name).unwrap_or(0)
        });
        match name.get(..len).unwrap_or_default() {
            name if name.starts_with(b"UNIX") => {
                DescriptorKind::UnixSocket { path: "".into(), listener: false }
            }
            name if name.starts_with(b"TCP") || name.starts_with(b"UDP") => {
                DescriptorKind::Socket {
                    role: SocketRole::Unlisted,
                    local: "".into(),
                    peer: "".into(),
                }
            }
            _ => DescriptorKind::Unknown("a socket that no table lists".into()),
        }
    }

    /// The kind, and whether it is the last word.
    fn kind(&mut self, number: i32, link: &[u8]) -> (DescriptorKind, bool) {
        let text = String::from_utf8_lossy(link);
        let (family, name) = text.split_once(':').unwrap_or(("", &text));
        let kind = match (family, name) {
            ("socket", _) => {
                let inode = socket_inode(link).unwrap_or(0);
                return match self.sockets.kind(&self.process, inode) {
                    Some(kind) => (kind, true),
                    None => (self.kind_of_unlisted(number), false),
                };
            }
            ("pipe", _) => DescriptorKind::Pipe,
            // pidfs, from Linux 6.9 on.
            ("pidfd", _) | ("anon_inode", "[pidfd]") => DescriptorKind::Process,
            ("anon_inode", "[eventfd]") => DescriptorKind::Event,
            ("anon_inode", "[eventpoll]") => DescriptorKind::Epoll,
            ("anon_inode", "[timerfd]") => DescriptorKind::Timer,
            ("anon_inode", "[signalfd]") => DescriptorKind::Signal,
            _ if text.starts_with('/') => self.kind_of_file(number, &text),
            _ => unknown(&text, "of a kind that is not told apart"),
        };
        (kind, true)
    }

    fn kind_of_file(&self, number: i32, path: &str) -> DescriptorKind {
        // Without a sync: a file server that hangs the target must not hang us.
        let flags = AtFlags::STATX_DONT_SYNC;
        let stat = self.folder.as_ref().and_then(|folder| {
            rustix::fs::statx(folder, DecInt::new(number), flags, StatxFlags::TYPE).ok()
        });
        let Some(stat) = stat else { return DescriptorKind::File(path.into()) };
        match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::Fifo => DescriptorKind::Pipe,
            FileType::CharacterDevice if is_terminal(stat.stx_rdev_major) => {
                DescriptorKind::Terminal
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                DescriptorKind::Device(path.into())
            }
            _ => DescriptorKind::File(path.into()),
        }
    }
}

/// The inode of a socket by the text of its link.
pub(super) fn socket_inode(link: &[u8]) -> Option<u64> {
    let inode = std::str::from_utf8(link).ok()?.strip_prefix("socket:")?;
    inode.trim_matches(['[', ']']).parse().ok()
}

fn unknown(link: &str, reason: &str) -> DescriptorKind {
    DescriptorKind::Unknown(format!("{link}, {reason}").into())
}

/// Whether a character device's major number is a terminal's
/// (<https://www.kernel.org/doc/html/latest/admin-guide/devices.html>): consoles, serial lines,
/// pseudo-terminals old and new.
fn is_terminal(major: u32) -> bool {
    matches!(major, 2..=5 | 136..=143 | 204)
}

/// A socket without the port number that its end has only for this connection.
fn without_ports(kind: DescriptorKind) -> DescriptorKind {
    use crate::model::SocketRole;
    let any = |end: &str| match end.rsplit_once(':') {
        Some((host, _)) => format!("{host}:*").into(),
        None => end.into(),
    };
    match kind {
        DescriptorKind::Socket { role: role @ SocketRole::Client, local, peer } => {
            DescriptorKind::Socket { role, local: any(&local), peer }
        }
        DescriptorKind::Socket { role: role @ SocketRole::Server, local, peer } => {
            DescriptorKind::Socket { role, local, peer: any(&peer) }
        }
        DescriptorKind::Unknown(_) => DescriptorKind::Unknown("not told apart".into()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::{Descriptors, without_ports};
    use crate::model::{DescriptorKind, SocketRole, Tables};
    use crate::target::Process;

    fn myself() -> Descriptors {
        Descriptors::new(&Process::open(std::process::id() as i32).unwrap())
    }

    fn kind(descriptors: &mut Descriptors, tables: &mut Tables, number: i32) -> DescriptorKind {
        let id = descriptors.resolve(number, tables);
        let found = tables.descriptors.get(id).unwrap();
        assert_eq!(found.number, number);
        found.kind.clone()
    }

    #[test]
    fn a_number_that_is_used_again_is_looked_up_again() {
        let (mut descriptors, mut tables) = (myself(), Tables::default());
        let device = File::open("/dev/null").unwrap();
        let number = device.as_raw_fd();
        let null = DescriptorKind::Device("/dev/null".into());
        assert_eq!(kind(&mut descriptors, &mut tables, number), null);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a file");
        let file = File::create(&path).unwrap();
        // In place of the device, in one step: other tests open files at the same time.
        let mut number_again = std::os::fd::OwnedFd::from(device);
        nix::unistd::dup2(&file, &mut number_again).unwrap();
        let expected = DescriptorKind::File(path.to_str().unwrap().into());
        assert_eq!(kind(&mut descriptors, &mut tables, number), expected);
        assert_eq!(tables.descriptors.len(), 2);
        kind(&mut descriptors, &mut tables, number);
        assert_eq!(tables.descriptors.len(), 2);
    }

    #[test]
    fn both_ends_of_a_connection_have_their_role_and_keep_it() {
        let (mut descriptors, mut tables) = (myself(), Tables::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut client = TcpStream::connect(&address).unwrap();
        let (server, peer) = listener.accept().unwrap();
        let ends = [
            (listener.as_raw_fd(), SocketRole::Listener, address.clone(), String::new()),
            (server.as_raw_fd(), SocketRole::Server, address.clone(), peer.to_string()),
            (client.as_raw_fd(), SocketRole::Client, peer.to_string(), address),
        ];
        for _ in 0..2 {
            for (number, role, local, peer) in &ends {
                let (local, peer) = (local.as_str().into(), peer.as_str().into());
                let expected = DescriptorKind::Socket { role: *role, local, peer };
                let found = crate::target::testing::eventually(|| {
                    match kind(&mut descriptors, &mut tables, *number) {
                        found if found == expected => Ok(()),
                        other => Err(other),
                    }
                });
                assert_eq!(found, Ok(()));
            }
        }
        client.write_all(b"x").unwrap();
    }

    #[test]
    fn what_is_closed_or_unheard_of_says_so() {
        let (mut descriptors, mut tables) = (myself(), Tables::default());
        for number in [-1, i32::MAX] {
            let found = kind(&mut descriptors, &mut tables, number);
            assert!(matches!(found, DescriptorKind::Unknown(text) if text.contains("closed")));
        }
    }

    #[test]
    fn a_busy_server_fills_no_table() {
        let server = |port| DescriptorKind::Socket {
            role: SocketRole::Server,
            local: "[::1]:80".into(),
            peer: format!("[::1]:{port}").into(),
        };
        assert_eq!(without_ports(server(1)), without_ports(server(2)));
        let client = DescriptorKind::Socket {
            role: SocketRole::Client,
            local: "10.0.0.1:40000".into(),
            peer: "10.0.0.2:80".into(),
        };
        let expected = DescriptorKind::Socket {
            role: SocketRole::Client,
            local: "10.0.0.1:*".into(),
            peer: "10.0.0.2:80".into(),
        };
        assert_eq!(without_ports(client), expected);
    }
}
