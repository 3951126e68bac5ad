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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use crate::target::{KernelThread, Process};

    #[test]
    #[ignore = "lowers the limit of the whole test program; run by the test below"]
    fn opens_more_threads_than_the_soft_limit_has_room_for() {
        let process = Process::open(std::process::id() as i32).unwrap();
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(40), maximum }).unwrap();
        let open = || KernelThread::open(&process, process.pid());
        let threads: Result<Vec<_>, _> = std::iter::repeat_with(open).take(40).collect();
        let threads = threads.unwrap();
        assert!(threads.iter().all(|thread| thread.schedule().is_ok()));
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }

    #[test]
    fn a_target_of_many_threads_is_no_trouble() {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "opens_more_threads_than_the_soft_limit_has_room_for"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&status.stdout);
        assert!(status.status.success() && text.contains("1 passed"), "{text}");
    }
}
