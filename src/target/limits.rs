//! The number of files that this program may hold open.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Opens something, and when this program has too many files open raises its soft limit to the
/// hard one and tries again: a target of 1,000 threads takes 3,000 files.
///
/// Only then, and not at the start, so that a launched command does not inherit it without need:
/// `select` breaks on numbers above 1,023.
pub(super) fn with_enough_descriptors<T>(open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match open() {
        Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
            let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
            setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
            open()
        }
        result => result,
    }
}
