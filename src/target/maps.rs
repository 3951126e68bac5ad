//! What is mapped into a process's memory.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The most mappings that are read of one process; the kernel's own limit is 65,530 unless raised.
pub const MOST_MAPPINGS: usize = 1 << 18;

/// The longest line that is read: a path has at most 4,096 bytes, each escaped to four at worst.
const LONGEST_LINE: u64 = 5 * 4096;

/// What the kernel puts behind the path of a file that has no name any more.
pub(super) const DELETED: &[u8] = b" (deleted)";

/// A line of `/proc/PID/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The first address.
    pub start: u64,
    /// The address behind the last.
    pub end: u64,
    /// Where in the file it begins.
    pub offset: u64,
    /// Whether it can be read.
    pub readable: bool,
    /// Whether it can be written.
    pub writable: bool,
    /// Whether it can be executed.
    pub executable: bool,
    /// The file's number on its device; 0 without a file.
    pub inode: u64,
    /// The file, as the process sees it; `None` for memory without a file, `[heap]` and the like.
    pub path: Option<PathBuf>,
    /// Whether the file has no name any more: it was deleted, or replaced.
    pub deleted: bool,
}

/// The mappings in the text of a `maps` file. A line that cannot be understood is passed over.
///
/// Not `procfs`' reader, which gives up the whole file when one path in it is not UTF-8 and does
/// not tell a deleted file from another.
pub(super) fn parse(text: impl Read) -> impl Iterator<Item = Mapping> {
    let mut reader = BufReader::with_capacity(1 << 14, text);
    let mut line = Vec::new();
    let lines = std::iter::from_fn(move || {
        line.clear();
        match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(parse_line(line.trim_ascii_end())),
        }
    });
    lines.take(MOST_MAPPINGS).flatten()
}

fn parse_line(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.splitn(6, |&byte| byte == b' ');
    let mut text = || fields.next().and_then(|field| std::str::from_utf8(field).ok());
    let (start, end) = text()?.split_once('-')?;
    let permissions = text()?;
    let offset = u64::from_str_radix(text()?, 16).ok()?;
    let _device = text()?;
    let inode = text()?.parse().ok()?;
    let name = fields.next().unwrap_or_default().trim_ascii_start();
    let (name, deleted) = match name.strip_suffix(DELETED) {
        Some(name) => (name, true),
        None => (name, false),
    };
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        offset,
        readable: permissions.starts_with('r'),
        writable: permissions.contains('w'),
        executable: permissions.contains('x'),
        inode,
        path: name.starts_with(b"/").then(|| PathBuf::from(OsStr::from_bytes(name))),
        deleted,
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use super::parse;

    #[test]
    fn reads_files_deleted_files_and_memory_without_a_file() {
        let text = b"\
            00400000-00452000 r-xp 00001000 08:02 173521      /usr/bin/a program\n\
            7f0000000000-7f0000001000 rw-p 00000000 08:02 17  /lib/\xff.so (deleted)\n\
            nonsense\n\
            7f0000001000-7f0000002000 ---p 00000000 00:00 0 \n\
            7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0   [stack]";
        let maps: Vec<_> = parse(&text[..]).collect();
        assert_eq!(maps.len(), 4);
        let [program, library, guard, stack] = &maps[..] else { unreachable!() };
        assert_eq!(program.path.as_deref(), Some(Path::new("/usr/bin/a program")));
        assert_eq!((program.start, program.end), (0x40_0000, 0x45_2000));
        assert_eq!((program.offset, program.inode), (0x1000, 173_521));
        assert!(program.readable && program.executable && !program.writable && !program.deleted);
        assert_eq!(library.path.as_deref(), Some(Path::new(OsStr::from_bytes(b"/lib/\xff.so"))));
        assert!(library.deleted && library.writable);
        assert!(!guard.readable && guard.path.is_none());
        assert!(stack.path.is_none());
    }
}
