//! Which processes have the other end of a pipe or a connection.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use indexmap::IndexSet;
use rustc_hash::FxHashMap;
use rustix::fs::{CWD, Dir, Mode, OFlags};
use rustix::path::DecInt;

use crate::model::Pid;

use super::fdinfo::{self, Access, FileId};
use super::process::all_pids;

/// An end that somebody may have: an open file, as the links in `/proc/PID/fd` name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct End {
    /// The text of the link.
    pub link: Box<[u8]>,
    /// Which file it is, where the text does not tell for sure.
    pub file: Option<FileId>,
    /// What it must be open for.
    pub access: Option<Access>,
}

impl End {
    /// That of a socket.
    pub fn socket(inode: u64) -> Self {
        let link = format!("socket:[{inode}]").into_bytes().into();
        Self { link, file: None, access: None }
    }
}

/// How long it is searched: on a host with very many open files the rest stays untold.
const LONGEST_SEARCH: Duration = Duration::from_millis(200);

/// How many processes that have one end are told.
const MOST_HOLDERS: usize = 16;

/// Who has each of some ends, `first`, which is looked at first, among them. All processes that may
/// be looked at are looked at once.
pub(super) fn holders(first: Pid, ends: &IndexSet<End>) -> Vec<Vec<Pid>> {
    let mut search = Search {
        ends,
        by_link: FxHashMap::default(),
        found: vec![Vec::new(); ends.len()],
        until: Instant::now() + LONGEST_SEARCH,
    };
    if ends.is_empty() {
        return search.found;
    }
    for (index, end) in ends.iter().enumerate() {
        search.by_link.entry(&end.link).or_default().push(index);
    }
    let others = all_pids().unwrap_or_default().into_iter().filter(|pid| *pid != first);
    for pid in std::iter::once(first).chain(others) {
        if search.look_at(pid).is_none() && Instant::now() >= search.until {
            break;
        }
    }
    search.found
}

struct Search<'a> {
    ends: &'a IndexSet<End>,
    by_link: FxHashMap<&'a [u8], Vec<usize>>,
    found: Vec<Vec<Pid>>,
    until: Instant,
}

impl Search<'_> {
    /// Looks at what a process has open; `None` when that was not possible, or not in time.
    fn look_at(&mut self, pid: Pid) -> Option<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder =
            rustix::fs::openat(CWD, format!("/proc/{pid}/fd"), flags, Mode::empty()).ok()?;
        let mut buffer = [0; libc::PATH_MAX as usize];
        for entry in Dir::read_from(&folder).ok()? {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str().ok().and_then(|name| name.parse().ok());
            let Some(number) = number else { continue };
            let len = rustix::fs::readlinkat_raw(&folder, DecInt::new(number), &mut buffer[..]);
            let link = len.ok().and_then(|len| buffer.get(..len)).unwrap_or_default();
            for index in self.by_link.get(link).into_iter().flatten() {
                let (Some(end), Some(found)) =
                    (self.ends.get_index(*index), self.found.get_mut(*index))
                else {
                    continue;
                };
                let known = found.len() >= MOST_HOLDERS || found.last() == Some(&pid);
                if !known && is(end, &folder, pid, number) {
                    found.push(pid);
                }
            }
            if Instant::now() >= self.until {
                return None;
            }
        }
        Some(())
    }
}

/// Whether a descriptor whose link has the text of an end is that end.
fn is(end: &End, folder: &OwnedFd, pid: Pid, number: i32) -> bool {
    let allows = |access| {
        let account = File::open(format!("/proc/{pid}/fdinfo/{number}"));
        let account = fdinfo::text(account, fdinfo::SHORT);
        Access::of(&account).is_some_and(|its| its.allows(access))
    };
    end.file.is_none_or(|file| FileId::of(folder, number) == Some(file))
        && end.access.is_none_or(allows)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use indexmap::IndexSet;

    use super::{End, holders};
    use crate::target::fdinfo::Access;
    use crate::target::testing::Program;

    #[test]
    fn both_ends_of_an_inherited_pipe_are_told_apart() {
        // The program's standard input is the read end of a pipe whose other end is ours.
        let program = Program::python("print('ready'); input()");
        let link = std::fs::read_link(format!("/proc/{}/fd/0", program.pid())).unwrap();
        let link: Box<[u8]> = link.to_str().unwrap().as_bytes().into();
        let end = |access| End { link: link.clone(), file: None, access: Some(access) };
        let ends: IndexSet<End> = [end(Access::Write), end(Access::Read)].into_iter().collect();
        let ours = std::process::id() as i32;
        // Other tests fork at the same time, and their children have our files for a moment.
        let found = holders(program.pid(), &ends);
        assert!(found[0].contains(&ours) && !found[0].contains(&program.pid()), "{found:?}");
        assert!(found[1].contains(&program.pid()) && !found[1].contains(&ours), "{found:?}");
    }

    #[test]
    fn nobody_has_what_is_not_open() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let link = link.to_str().unwrap().as_bytes().into();
        let own = End { link, file: None, access: None };
        let ends: IndexSet<End> = [End::socket(u64::MAX), own].into_iter().collect();
        let found = holders(std::process::id() as i32, &ends);
        assert_eq!(found[0], [] as [i32; 0]);
        assert!(found[1].contains(&(std::process::id() as i32)));
    }
}
