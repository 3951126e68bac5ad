//! A process in a file: the memory that was read of it and what the kernel told, to be looked at without it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Component, Path};
use std::sync::Arc;

use rustix::fs::{Dir, Mode, OFlags};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::model::{Nanos, Pid};

use super::process::Process;
use super::recorded::RecordedMemory;

/// What is known of a process at one moment.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Image {
    /// The kind of machine, on which numbers of system calls and C structures depend.
    pub machine: String,
    /// The process.
    pub pid: Pid,
    /// The moment, on the clock of samples.
    pub time: Nanos,
    /// The files of `/proc/PID` by their path below it.
    pub files: BTreeMap<String, Entry>,
    /// Its memory.
    pub memory: RecordedMemory,
}

/// A file in `/proc/PID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// Its content.
    Text(Vec<u8>),
    /// Where it leads.
    Link(Vec<u8>),
}

/// The files of an image, unpacked on disk for as long as this lives.
#[derive(Debug, Clone)]
pub struct ImageFiles {
    pub(super) pid: Pid,
    folder: Arc<TempDir>,
}

/// The version of the file's form.
const FORMAT: &[u8; 8] = b"pyimage1";

/// The most bytes that an image may have unpacked.
const MOST_BYTES: u64 = 16 << 20;

/// How strongly images are compressed: they are written once and kept.
const LEVEL: i32 = 19;

/// Of a process as a whole: what any part of pyconc reads when it attaches and samples.
const TEXTS: [&str; 4] = ["stat", "status", "maps", "cmdline"];
const THREAD_TEXTS: [&str; 4] = ["stat", "schedstat", "syscall", "comm"];
const SOCKETS: [&str; 5] = ["net/tcp", "net/tcp6", "net/udp", "net/udp6", "net/unix"];

impl Image {
    /// What the kernel tells of a process now, at `time`; of its memory nothing yet. Of the
    /// machine's sockets only the process's own are kept.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn of_files(process: &Process, time: Nanos) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut text =
            |name: String| process.bytes(&name).map(|bytes| files.insert(name, Entry::Text(bytes)));
        for tid in process.tids()? {
            for name in THREAD_TEXTS {
                // What the kernel does not offer is missing from the image as well.
                let _ = text(format!("task/{tid}/{name}"));
            }
        }
        for name in TEXTS {
            text(name.to_owned())?;
        }
        let links = links(process)?;
        for (number, link) in &links {
            if link == b"anon_inode:[eventpoll]" {
                text(format!("fdinfo/{number}"))?;
            }
        }
        for name in SOCKETS {
            let table = process.bytes(name).unwrap_or_default();
            files.insert(name.to_owned(), Entry::Text(own_rows(&table, links.values())));
        }
        let links = links.into_iter();
        files.extend(links.map(|(number, link)| (format!("fd/{number}"), Entry::Link(link))));
        let program = process.executable().into_os_string();
        files.insert("exe".to_owned(), Entry::Link(program.as_bytes().to_vec()));
        let machine = std::env::consts::ARCH.to_owned();
        Ok(Self { machine, pid: process.pid(), time, files, memory: RecordedMemory::default() })
    }

    /// Reads an image.
    ///
    /// # Errors
    /// When it is none, or damaged.
    pub fn load(mut file: impl Read) -> io::Result<Self> {
        let mut head = [0; FORMAT.len()];
        file.read_exact(&mut head)?;
        if head != *FORMAT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not an image of a process"));
        }
        let mut bytes = Vec::new();
        zstd::Decoder::new(file)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
        postcard::from_bytes(&bytes).map_err(io::Error::other)
    }

    /// Writes it.
    ///
    /// # Errors
    /// When that fails.
    pub fn save(&self, mut file: impl Write) -> io::Result<()> {
        let bytes = postcard::to_stdvec(self).map_err(io::Error::other)?;
        file.write_all(FORMAT)?;
        zstd::stream::copy_encode(&*bytes, file, LEVEL)
    }

    /// Puts its files into a folder of their own.
    ///
    /// # Errors
    /// When that cannot be written, or a file would lie outside.
    pub fn unpack(&self) -> io::Result<ImageFiles> {
        let folder = TempDir::with_prefix("pyconc-image-")?;
        for (name, entry) in &self.files {
            let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
            if !Path::new(name).components().all(inside) {
                return Err(io::Error::other("a file of the image lies outside of its folder"));
            }
            let path = folder.path().join(name);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            match entry {
                Entry::Text(bytes) => fs::write(path, bytes)?,
                Entry::Link(target) => symlink(OsStr::from_bytes(target), path)?,
            }
        }
        Ok(ImageFiles { pid: self.pid, folder: Arc::new(folder) })
    }
}

impl ImageFiles {
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Where the descriptors of a process lead, by number.
fn links(process: &Process) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(process.folder(), "fd", flags, Mode::empty())?;
    let mut links = BTreeMap::new();
    for entry in Dir::read_from(&folder)? {
        let name = entry?.file_name().to_owned();
        // `.` and `..` are no links.
        let Ok(link) = rustix::fs::readlinkat(&folder, &name, Vec::new()) else { continue };
        links.insert(name.to_string_lossy().into_owned(), link.into_bytes());
    }
    Ok(links)
}

/// The rows of a table of sockets to which one of `links` leads.
fn own_rows<'a>(table: &[u8], links: impl Iterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let inode = |link: &'a Vec<u8>| {
        std::str::from_utf8(link).ok()?.strip_prefix("socket:[")?.strip_suffix(']')
    };
    let own: Vec<&[u8]> = links.filter_map(inode).map(str::as_bytes).collect();
    let rows = table.split_inclusive(|&byte| byte == b'\n');
    let is_own = |row: &&[u8]| {
        row.split(u8::is_ascii_whitespace).any(|field| !field.is_empty() && own.contains(&field))
    };
    rows.filter(is_own).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::{Entry, Image, own_rows};
    use crate::model::Nanos;
    use crate::target::testing::Program;
    use crate::target::{Process, ProcessState};

    #[test]
    fn a_process_is_found_again_in_its_image() {
        let program = Program::python("print('ready'); input()");
        let live = program.process();
        let mut file = Vec::new();
        Image::of_files(&live, Nanos(7)).unwrap().save(&mut file).unwrap();
        let (pid, executable, maps) = (live.pid(), live.executable(), live.maps().unwrap());
        drop(program);

        let image = Image::load(&*file).unwrap();
        let memory = std::sync::Arc::new(image.memory).into();
        let image = Image { memory: super::RecordedMemory::default(), ..image };
        let process = Process::replay(&image.unpack().unwrap(), memory).unwrap();
        assert_eq!((image.time, process.pid(), process.executable()), (Nanos(7), pid, executable));
        assert_eq!(process.start_ticks(), live.start_ticks());
        assert_eq!(process.state(), ProcessState::Alive);
        assert_eq!(process.tids().unwrap(), [pid]);
        assert_eq!(process.maps().unwrap(), maps);
        assert!(process.pause().is_err() && process.children().is_empty());
    }

    #[test]
    fn damaged_images_are_errors() {
        let mut file = Vec::new();
        let files = [("stat".to_owned(), Entry::Text(b"1".to_vec()))].into();
        Image { files, ..Image::default() }.save(&mut file).unwrap();
        assert!(Image::load(&*file).is_ok());
        for end in 0..file.len() {
            assert!(Image::load(&file[..end]).is_err());
        }
        let outside = [("../x".to_owned(), Entry::Text(Vec::new()))].into();
        assert!(Image { files: outside, ..Image::default() }.unpack().is_err());
    }

    #[test]
    fn of_the_sockets_only_its_own_are_kept() {
        let table = b"head\n 0: A B 0A 0 0 0 0 0 17 1\n 1: A B 0A 0 0 0 0 0 18 1\n";
        let link = b"socket:[18]".to_vec();
        assert_eq!(own_rows(table, [link].iter()), b" 1: A B 0A 0 0 0 0 0 18 1\n");
    }
}
