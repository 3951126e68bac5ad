//! A process: who it is, whether it may be read, and what the kernel tells of it as a whole.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use procfs::FromRead;
use procfs::process::Status;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Dir, Mode, OFlags};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::model::{Address, Pid, ProcessEnd, Tid};

use super::elf::{ElfError, ElfImage};
use super::image::ImageFiles;
use super::maps::{self, Mapping};
use super::memory::{LiveMemory, Memory, ProcessMemory, ReadError, Span};
use super::privileges::Denial;
use super::stat::Stat;

/// Why a process could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none with this number.
    #[error("no process has the pid {pid}")]
    NoSuchProcess {
        /// The number.
        pid: Pid,
    },
    /// It has ended and only its parent's wait for it is missing.
    #[error("process {pid} has ended already (a zombie that its parent has not waited for)")]
    Zombie {
        /// The number.
        pid: Pid,
    },
    /// The kernel does not let us read its memory.
    #[error("reading process {pid} is not permitted: {detail}")]
    Permission {
        /// The number.
        pid: Pid,
        /// What stands in the way.
        detail: String,
        /// What removes it.
        fix: String,
    },
    /// It is none that could run Python.
    #[error("process {pid} has no memory of its own: a kernel thread, or it is about to end")]
    NoMemory {
        /// The number.
        pid: Pid,
    },
    /// Anything else.
    #[error("cannot read process {pid}: {source}")]
    Io {
        /// The number.
        pid: Pid,
        /// What the kernel said.
        source: io::Error,
    },
}

impl OpenError {
    fn of(pid: Pid, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH) => Self::NoSuchProcess { pid },
            Some(libc::EACCES | libc::EPERM) => Denial::of(pid).into_error(pid),
            _ => Self::Io { pid, source },
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchProcess { .. } => {
                Some("it may have ended, or live in another pid namespace (a container)".to_owned())
            }
            Self::Permission { fix, .. } => Some(fix.clone()),
            Self::Zombie { .. } | Self::NoMemory { .. } | Self::Io { .. } => None,
        }
    }
}

/// Whether a process is still the one that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// It is, and it lives.
    Alive,
    /// It has ended; its parent has not waited for it yet.
    Zombie,
    /// It has ended.
    Gone,
    /// It has ended, and another process has got its number.
    Reused,
}

/// A process, identified by its number and the time of its start.
///
/// Everything is read through a descriptor of its folder in `/proc`, which never leads to
/// another process, even when the number is given out again.
#[derive(Debug, Clone)]
pub struct Process {
    pid: Pid,
    start_ticks: u64,
    handles: Arc<Handles>,
}

#[derive(Debug)]
struct Handles {
    /// `/proc/PID`.
    folder: OwnedFd,
    /// The pidfd, where the kernel has them (Linux 5.3): it becomes readable when the process
    /// ends, which is the cheapest question there is.
    exit: Option<OwnedFd>,
    memory: ProcessMemory,
    /// The folder's content, when it is not the kernel's but an image's.
    recorded: Option<ImageFiles>,
}

/// The largest file of text taken from a process's folder, in bytes.
const MOST_TEXT: u64 = 4 << 20;

impl Process {
    /// Opens a process and makes sure that its memory can be read.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(pid: Pid) -> Result<Self, OpenError> {
        let folder = open_folder(Path::new(&format!("/proc/{pid}")))
            .map_err(|error| OpenError::of(pid, error))?;
        let number = rustix::process::Pid::from_raw(pid);
        let exit = number.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let memory = ProcessMemory::Live(LiveMemory::new(pid));
        Self::identify(pid, Handles { folder, exit, memory, recorded: None })
    }

    /// The process of an image, as if it were there and stood still. What only a living process
    /// can be asked, such as its children, it has not.
    ///
    /// # Errors
    /// When the image is not that of a process that could be opened.
    pub fn replay(files: &ImageFiles, memory: ProcessMemory) -> Result<Self, OpenError> {
        let pid = files.pid;
        let folder = open_folder(files.path()).map_err(|source| OpenError::Io { pid, source })?;
        let recorded = Some(files.clone());
        Self::identify(pid, Handles { folder, exit: None, memory, recorded })
    }

    fn identify(pid: Pid, handles: Handles) -> Result<Self, OpenError> {
        let failed = |error| OpenError::of(pid, error);
        let mut process = Self { pid, start_ticks: 0, handles: Arc::new(handles) };
        // Read after all was opened: as it lives now, all is of the same process.
        let stat = process.stat().map_err(failed)?;
        // `/proc/TID` exists too, unlisted, for a thread that is not the first of its process.
        if process.status().is_ok_and(|status| status.tgid != pid) {
            return Err(OpenError::NoSuchProcess { pid });
        }
        if is_zombie(&stat) {
            return Err(OpenError::Zombie { pid });
        }
        process.start_ticks = stat.start_time;
        if !process.probe_memory().map_err(failed)? {
            return Err(OpenError::NoMemory { pid });
        }
        Ok(process)
    }

    /// Reads one byte that is certainly mapped, so that a missing permission shows at once; false
    /// where nothing is mapped.
    fn probe_memory(&self) -> io::Result<bool> {
        let maps = self.file("maps")?;
        let Some(mapping) = maps::parse(maps).find(|mapping| mapping.readable) else {
            return Ok(false);
        };
        let span = Span { address: Address(mapping.start), len: 1 };
        match self.memory().read(&[span], &mut [0]) {
            Ok(()) | Err(ReadError::Unmapped) => Ok(true),
            Err(ReadError::Denied) => Err(io::Error::from_raw_os_error(libc::EPERM)),
            Err(ReadError::Gone) => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Its number, unless it is only an image's: then another process may have it now.
    #[must_use]
    pub fn live_pid(&self) -> Option<Pid> {
        self.handles.recorded.is_none().then_some(self.pid)
    }

    /// When it began, in clock ticks since boot (`/proc/PID/stat`, field 22).
    #[must_use]
    pub fn start_ticks(&self) -> u64 {
        self.start_ticks
    }

    /// Whether it is still there, and still itself.
    #[must_use]
    pub fn state(&self) -> ProcessState {
        if self.handles.exit.as_ref().is_some_and(|exit| !is_readable(exit)) {
            return ProcessState::Alive;
        }
        match self.stat() {
            Ok(stat) if is_zombie(&stat) => ProcessState::Zombie,
            Ok(_) => ProcessState::Alive,
            Err(_) if self.live_pid().is_some_and(is_in_use) => ProcessState::Reused,
            Err(_) => ProcessState::Gone,
        }
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn end(&self) -> ProcessEnd {
        match self.stat() {
            // The low seven bits are the signal, as in the status of `waitpid`.
            Ok(stat) if is_zombie(&stat) && stat.exit & 0x7f != 0 => ProcessEnd::Killed,
            Ok(stat) if is_zombie(&stat) => ProcessEnd::Exited,
            _ => ProcessEnd::Unknown,
        }
    }

    /// Its memory.
    #[must_use]
    pub fn memory(&self) -> ProcessMemory {
        self.handles.memory.clone()
    }

    /// What is mapped into its memory, by address; at most [`maps::MOST_MAPPINGS`] of them.
    ///
    /// # Errors
    /// When it has ended, or permission was lost.
    pub fn maps(&self) -> io::Result<Vec<Mapping>> {
        Ok(maps::parse(self.file("maps")?).collect())
    }

    /// The program or library of which `mapping` maps a part.
    ///
    /// # Errors
    /// When no file can be found for it, or the file is not an ELF image of this machine's kind.
    pub fn elf(&self, mapping: &Mapping) -> Result<ElfImage, ElfError> {
        ElfImage::open(self, mapping)
    }

    /// The ids of its threads.
    ///
    /// # Errors
    /// When it has ended.
    pub fn tids(&self) -> io::Result<Vec<Tid>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(self.folder(), "task", flags, Mode::empty())?;
        let mut tids = Vec::new();
        for entry in Dir::new(folder)? {
            tids.extend(entry?.file_name().to_str().ok().and_then(|name| name.parse::<Tid>().ok()));
        }
        Ok(tids)
    }

    /// Opens a file of its folder in `/proc`.
    pub(super) fn file(&self, name: &str) -> io::Result<File> {
        self.open_at(name, OFlags::empty())
    }

    /// Opens a file that its folder leads to, if it is a regular one: what lies there is the
    /// target's choice, and a fifo would block us.
    pub(super) fn regular_file(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let file = self.open_at(path.as_ref(), OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let regular = file.metadata()?.is_file();
        regular.then_some(file).ok_or_else(|| io::Error::other("it is not a regular file"))
    }

    fn open_at(&self, path: impl rustix::path::Arg, flags: OFlags) -> io::Result<File> {
        // A link in an image would lead to what this machine has there.
        let links = if self.live_pid().is_some() { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = flags | links | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(self.folder(), path, flags, Mode::empty())?))
    }

    /// Its folder in `/proc`.
    pub(super) fn folder(&self) -> &OwnedFd {
        &self.handles.folder
    }

    /// The content of a file of its folder, up to [`MOST_TEXT`].
    pub(super) fn bytes(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file(name)?.take(MOST_TEXT).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Its `stat` file.
    pub(super) fn stat(&self) -> io::Result<Stat> {
        let bytes = self.bytes("stat")?;
        Stat::parse(&bytes).ok_or_else(|| io::Error::other("its stat file is in no known form"))
    }

    /// Its `status` file.
    pub(super) fn status(&self) -> io::Result<Status> {
        let bytes = self.bytes("status")?;
        Status::from_read(&*bytes).map_err(io::Error::other)
    }
}

/// The numbers of all processes that can be seen.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn all_pids() -> io::Result<Vec<Pid>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut pids = Vec::new();
    for entry in Dir::new(rustix::fs::openat(CWD, "/proc", flags, Mode::empty())?)? {
        pids.extend(entry?.file_name().to_str().ok().and_then(|name| name.parse::<Pid>().ok()));
    }
    Ok(pids)
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

fn is_in_use(pid: Pid) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// A first thread that has ended shows as a zombie too; only when it was the last one is the
/// process one.
fn is_zombie(stat: &Stat) -> bool {
    matches!(stat.state, b'Z' | b'X') && stat.threads <= 1
}

fn is_readable(descriptor: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(descriptor, PollFlags::IN)];
    // What cannot be asked counts as readable: the caller then looks closer.
    !matches!(poll(&mut polled, Some(&Timespec::default())), Ok(0))
}

#[cfg(test)]
mod tests {
    use super::{OpenError, Process, ProcessState, all_pids};
    use crate::model::{Nanos, Pid};
    use crate::target::testing::{Program, as_other_user};

    #[test]
    fn a_process_has_an_identity_until_it_ends() {
        let mut program = Program::python("print('ready'); input()");
        let process = program.process();
        assert_eq!(process.state(), ProcessState::Alive);
        assert!(process.start_ticks() > 0);
        assert!(all_pids().unwrap().contains(&program.pid()));
        assert_eq!(process.tids().unwrap(), [program.pid()]);
        assert_eq!(process.command_line()[1..3], ["-u", "-c"]);
        assert!(process.executable().is_file());
        assert_eq!(process.owner_uid(), Some(rustix::process::geteuid().as_raw()));
        assert!(process.thread_name(program.pid()).is_some_and(|name| name.contains("python")));
        assert!(process.resident_bytes() > 1 << 20);
        assert!(process.cpu_time() > Nanos(0));
        program.end();
        assert_eq!(process.state(), ProcessState::Zombie);
        assert!(matches!(Process::open(program.pid()), Err(OpenError::Zombie { .. })));
        program.reap();
        assert_eq!(process.state(), ProcessState::Gone);
        assert!(process.tids().is_err() && process.maps().is_err());
        let error = Process::open(program.pid()).unwrap_err();
        assert!(matches!(error, OpenError::NoSuchProcess { .. }) && error.hint().is_some());
    }

    #[test]
    fn a_number_that_was_given_out_again_is_not_the_process() {
        let mut program = Program::python("print('ready'); input()");
        let mut process = program.process();
        program.end();
        program.reap();
        // The number cannot be made to come again, so a living one stands in for it.
        process.pid = std::process::id() as Pid;
        assert_eq!(process.state(), ProcessState::Reused);
    }

    #[test]
    fn a_process_of_another_user_is_refused_with_a_hint() {
        let program = Program::python("print('ready'); input()");
        // The first process is root's, wherever we are not.
        let pid = if rustix::process::geteuid().is_root() { program.pid() } else { 1 };
        let error = as_other_user(move || Process::open(pid)).unwrap_err();
        assert!(matches!(error, OpenError::Permission { .. }), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("SYS_PTRACE")), "{error:?}");
        assert!(!error.to_string().contains('\n'));
    }
}
