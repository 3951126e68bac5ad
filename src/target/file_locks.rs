//! Who has the locks of files that others wait for: `/proc/locks`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use crate::model::Pid;

use super::fdinfo::FileId;

/// How much of the list is read, in bytes: some ten thousand locks.
const MOST_TEXT: u64 = 1 << 20;

/// A line: a lock that a process has, or waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    /// The same for a lock and all that wait for it.
    number: u64,
    waits: bool,
    pid: Pid,
    file: FileId,
}

/// The locks of all files, and who waits for them, at one moment.
pub(super) struct FileLocks(Vec<Row>);

impl FileLocks {
    /// Reads them. The kernel keeps all who take locks of files waiting for it, some milliseconds: only
    /// for a thread that waits for such a lock.
    pub fn read() -> Self {
        let list = File::open("/proc/locks").ok().into_iter();
        let lines = list.flat_map(|list| BufReader::new(list.take(MOST_TEXT)).split(b'\n'));
        let lines = lines.map_while(Result::ok);
        Self(lines.filter_map(|line| parse(&String::from_utf8_lossy(&line))).collect())
    }

    /// Who has the locks of a file that a process waits for.
    pub fn holders(&self, waiter: Pid, file: FileId) -> Vec<Pid> {
        let rows = || self.0.iter().filter(|row| row.file == file);
        let awaited =
            |number| rows().any(|row| row.waits && row.pid == waiter && row.number == number);
        let held = rows().filter(|row| !row.waits && awaited(row.number));
        let mut pids: Vec<Pid> = held.map(|row| row.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

/// `NUMBER: [->] TYPE MODE ACCESS PID MAJOR:MINOR:INODE START END`, with the arrow for those who wait.
fn parse(line: &str) -> Option<Row> {
    let mut fields = line.split_ascii_whitespace().peekable();
    let number = fields.next()?.strip_suffix(':')?.parse().ok()?;
    let waits = fields.next_if_eq(&"->").is_some();
    // A lock that belongs to an open file and to no process has -1 here.
    let pid = fields.nth(3)?.parse().ok().filter(|pid| *pid > 0)?;
    let mut file = fields.next()?.split(':');
    let device = |text: &str| u32::from_str_radix(text, 16).ok();
    let device = (device(file.next()?)?, device(file.next()?)?);
    let inode = file.next()?.parse().ok()?;
    Some(Row { number, waits, pid, file: FileId { device, inode } })
}

#[cfg(test)]
mod tests {
    use super::{FileLocks, parse};
    use crate::target::fdinfo::FileId;

    #[test]
    fn a_waiter_is_led_to_the_holder_of_its_own_lock() {
        let text = "\
            1: FLOCK  ADVISORY  WRITE 99 08:1f:131 0 EOF\n\
            1: -> FLOCK  ADVISORY  WRITE 7 08:1f:131 0 EOF\n\
            2: POSIX  ADVISORY  READ  98 08:1f:131 100 200\n\
            2: -> POSIX  ADVISORY  WRITE 8 08:1f:131 100 200\n\
            2: -> POSIX  ADVISORY  WRITE 9 08:1f:131 100 200\n\
            3: OFDLCK ADVISORY  WRITE -1 08:1f:132 0 EOF\n\
            no line\n";
        let locks = FileLocks(text.lines().filter_map(parse).collect());
        assert_eq!(locks.0.len(), 5);
        let file = |inode: u64| FileId { device: (8, 0x1f), inode };
        assert_eq!(locks.holders(7, file(131)), [99]);
        assert_eq!(locks.holders(8, file(131)), [98]);
        assert_eq!(locks.holders(9, file(131)), [98]);
        assert!(locks.holders(7, file(132)).is_empty());
        assert!(locks.holders(10, file(131)).is_empty());
    }
}
