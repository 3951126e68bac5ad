//! The process as the kernel shows it. Invariant: knows no Python; the only place for `cfg(target_os)`, and for `unsafe` if ever there must be any.

mod children;
mod deadlines;
mod descriptors;
mod elf;
mod ends;
mod exports;
mod facts;
mod family;
mod fdinfo;
mod file_locks;
mod image;
mod inspector;
mod kernel;
mod launch;
mod limits;
mod maps;
mod memory;
mod namespaces;
mod pages;
mod pause;
mod privileges;
mod process;
mod quota;
mod recorded;
mod selectors;
mod sockets;
mod stat;
mod syscalls;
#[cfg(test)]
mod testing;
mod unix_peers;
mod waits;

pub use self::descriptors::Descriptors;
pub use self::elf::{ElfError, ElfImage};
pub use self::image::{Entry, Image, ImageFiles};
pub use self::inspector::WaitInspector;
pub use self::kernel::{KernelThread, Schedule};
pub use self::launch::{LaunchError, Launched};
pub use self::maps::{MOST_MAPPINGS, Mapping};
pub use self::memory::{LiveMemory, Memory, ProcessMemory, ReadError, Span};
pub use self::pages::PageCache;
pub use self::pause::{Pause, PauseError};
pub use self::privileges::{Check, checks};
pub use self::process::{OpenError, Process, ProcessState, all_pids};
pub use self::recorded::{Pieces, RecordedMemory, Recorder};
pub use self::syscalls::syscall_name;
