//! The kernel's account of an open file: `/proc/PID/fdinfo/N`, and which file it is.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, StatxFlags};
use rustix::path::DecInt;

/// More than the lines that all files have, in bytes.
pub(super) const SHORT: u64 = 512;

/// The first bytes of an account; empty when it cannot be read.
pub(super) fn text(file: io::Result<File>, bytes: u64) -> String {
    let mut text = Vec::new();
    let _ = file.and_then(|file| file.take(bytes).read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

/// The first words of the lines that begin with `key`.
pub(super) fn values<'a>(text: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.strip_prefix(key)?.split_ascii_whitespace().next())
}

/// What a file is open for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Access {
    Read,
    Write,
    Both,
}

impl Access {
    /// The one of an account.
    pub fn of(text: &str) -> Option<Self> {
        let flags = i32::from_str_radix(values(text, "flags:").next()?, 8).ok()?;
        match flags & libc::O_ACCMODE {
            libc::O_RDONLY => Some(Self::Read),
            libc::O_WRONLY => Some(Self::Write),
            libc::O_RDWR => Some(Self::Both),
            _ => None,
        }
    }

    /// Whether what is open so can be used for `other`.
    pub fn allows(self, other: Self) -> bool {
        self == Self::Both || self == other
    }
}

/// Which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    /// The numbers of its device, major and minor.
    pub device: (u32, u32),
    /// Its number there.
    pub inode: u64,
}

impl FileId {
    /// The file that a descriptor leads to; `folder` is that of the links.
    pub fn of(folder: &OwnedFd, number: i32) -> Option<Self> {
        // Without a sync: a file server that hangs must not hang us.
        let flags = AtFlags::STATX_DONT_SYNC;
        let stat = rustix::fs::statx(folder, DecInt::new(number), flags, StatxFlags::INO).ok()?;
        Some(Self { device: (stat.stx_dev_major, stat.stx_dev_minor), inode: stat.stx_ino })
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, values};

    #[test]
    fn reads_accounts() {
        let text =
            "pos:\t0\nflags:\t0100001\nmnt_id:\t15\ntfd:        5 events:       19\ntfd: 7\n";
        assert_eq!(Access::of(text), Some(Access::Write));
        assert_eq!(Access::of("flags:\t02000002\n"), Some(Access::Both));
        assert_eq!(Access::of("flags:\t9\n"), None);
        assert_eq!(Access::of(""), None);
        assert_eq!(values(text, "tfd:").collect::<Vec<_>>(), ["5", "7"]);
        assert!(Access::Both.allows(Access::Write) && !Access::Read.allows(Access::Write));
    }
}
