//! The system calls that threads wait in: their names, and what their arguments mean.

use crate::model::Operation;

/// How the arguments of a system call are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `futex(address, operation, value, timeout, …)`.
    Futex,
    /// `futex_waitv(waiters, count, flags, timeout, …)`.
    FutexVector,
    /// A sleep.
    Sleep,
    /// A wait for a child.
    Child,
    /// `clone(flags, …)`: waits only when the child borrows the memory (`CLONE_VFORK`).
    Clone,
    /// `epoll_wait(epoll, events, count, timeout, …)`.
    Epoll(Timeout),
    /// `poll(descriptors, count, timeout, …)`.
    Poll(Timeout),
    /// `select(count, reads, writes, exceptions, timeout, …)`.
    Select,
    /// The first argument is a descriptor.
    Descriptor(Operation),
    /// `fcntl(descriptor, command, …)`.
    Fcntl,
    /// Paths, or a whole file system.
    FileSystem,
    /// A signal, for ever.
    Signal,
    /// `rt_sigtimedwait(set, info, timeout, …)`.
    TimedSignal,
    /// Another call goes on that a signal had interrupted.
    Restart,
    /// Nothing that is told apart.
    Other,
}

/// How the length of a wait is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timeout {
    /// In milliseconds; for ever when negative.
    Milliseconds,
    /// By a pointer to it; for ever when null.
    Pointer,
}

impl Timeout {
    /// Whether the wait ends by itself.
    pub fn ends(self, argument: u64) -> bool {
        match self {
            Self::Milliseconds => argument as i32 >= 0,
            Self::Pointer => argument != 0,
        }
    }
}

/// Declares a function that gives for a call its name, from the constant's, and its shape.
macro_rules! calls {
    ($function:ident: $($shape:expr => [$($number:ident),+ $(,)?];)*) => {
        fn $function(number: i64) -> Option<(&'static str, Shape)> {
            match number {
                $($(libc::$number => Some((stringify!($number), $shape)),)+)*
                _ => None,
            }
        }
    };
}

calls! { everywhere:
    Shape::Futex => [SYS_futex];
    Shape::FutexVector => [SYS_futex_waitv];
    Shape::Sleep => [SYS_clock_nanosleep, SYS_nanosleep];
    Shape::Child => [SYS_wait4, SYS_waitid, SYS_clone3];
    Shape::Clone => [SYS_clone];
    Shape::Epoll(Timeout::Milliseconds) => [SYS_epoll_pwait];
    Shape::Epoll(Timeout::Pointer) => [SYS_epoll_pwait2];
    Shape::Poll(Timeout::Pointer) => [SYS_ppoll];
    Shape::Select => [SYS_pselect6];
    Shape::Descriptor(Operation::Read) => [
        SYS_read, SYS_pread64, SYS_readv, SYS_preadv, SYS_preadv2, SYS_recvfrom, SYS_recvmsg,
        SYS_recvmmsg, SYS_splice, SYS_tee, SYS_copy_file_range, SYS_getdents64, SYS_readahead,
        SYS_mq_timedreceive,
    ];
    Shape::Descriptor(Operation::Write) => [
        SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_pwritev2, SYS_sendto, SYS_sendmsg,
        SYS_sendmmsg, SYS_sendfile, SYS_vmsplice, SYS_mq_timedsend,
    ];
    Shape::Descriptor(Operation::Accept) => [SYS_accept, SYS_accept4];
    Shape::Descriptor(Operation::Connect) => [SYS_connect];
    Shape::Descriptor(Operation::Lock) => [SYS_flock];
    Shape::Descriptor(Operation::Sync) => [
        SYS_fsync, SYS_fdatasync, SYS_sync_file_range, SYS_syncfs,
    ];
    Shape::Descriptor(Operation::Control) => [
        SYS_close, SYS_ioctl, SYS_lseek, SYS_fstat, SYS_ftruncate, SYS_fallocate, SYS_fadvise64,
        SYS_fchmod, SYS_fchown, SYS_fstatfs, SYS_shutdown, SYS_dup, SYS_dup3,
    ];
    Shape::Fcntl => [SYS_fcntl];
    Shape::FileSystem => [
        SYS_openat, SYS_openat2, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_truncate,
        SYS_renameat2, SYS_linkat, SYS_symlinkat, SYS_unlinkat, SYS_mkdirat, SYS_mknodat,
        SYS_readlinkat, SYS_faccessat, SYS_faccessat2, SYS_fchmodat, SYS_fchownat, SYS_utimensat,
        SYS_chdir, SYS_fchdir, SYS_chroot, SYS_getcwd, SYS_execve, SYS_execveat, SYS_getxattr,
        SYS_setxattr, SYS_listxattr, SYS_mount, SYS_umount2, SYS_sync, SYS_msync,
        SYS_name_to_handle_at, SYS_open_by_handle_at,
    ];
    Shape::Signal => [SYS_rt_sigsuspend];
    Shape::TimedSignal => [SYS_rt_sigtimedwait];
    Shape::Restart => [SYS_restart_syscall];
    Shape::Other => [
        SYS_io_uring_enter, SYS_io_getevents, SYS_io_submit, SYS_semop, SYS_semtimedop, SYS_semctl,
        SYS_msgrcv, SYS_msgsnd, SYS_getrandom, SYS_membarrier, SYS_mmap, SYS_munmap, SYS_mprotect,
        SYS_mremap, SYS_madvise, SYS_process_madvise, SYS_mlock, SYS_mlock2, SYS_mlockall, SYS_brk,
        SYS_userfaultfd, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_sched_yield,
        SYS_sched_setaffinity, SYS_setns, SYS_unshare, SYS_bpf, SYS_perf_event_open, SYS_exit,
        SYS_exit_group, SYS_socket, SYS_socketpair, SYS_bind, SYS_listen, SYS_getsockopt,
        SYS_setsockopt, SYS_finit_module, SYS_keyctl, SYS_request_key, SYS_add_key, SYS_reboot,
        SYS_rt_sigreturn, SYS_prctl, SYS_seccomp,
    ];
}

#[cfg(target_arch = "x86_64")]
calls! { only_here:
    Shape::Child => [SYS_fork, SYS_vfork];
    Shape::Epoll(Timeout::Milliseconds) => [SYS_epoll_wait];
    Shape::Poll(Timeout::Milliseconds) => [SYS_poll];
    Shape::Select => [SYS_select];
    Shape::Descriptor(Operation::Read) => [SYS_getdents];
    Shape::Descriptor(Operation::Control) => [SYS_dup2];
    Shape::FileSystem => [
        SYS_open, SYS_creat, SYS_stat, SYS_lstat, SYS_access, SYS_rename, SYS_renameat, SYS_link,
        SYS_symlink, SYS_unlink, SYS_mkdir, SYS_rmdir, SYS_readlink, SYS_chmod, SYS_chown,
        SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat, SYS_mknod,
    ];
    Shape::Signal => [SYS_pause];
}

// Younger machines have only the newer of two calls that do the same.
#[cfg(not(target_arch = "x86_64"))]
calls! { only_here: }

fn entry(number: i64) -> Option<(&'static str, Shape)> {
    everywhere(number).or_else(|| only_here(number))
}

/// How the arguments of a system call are to be read.
pub(super) fn shape(number: i64) -> Shape {
    entry(number).map_or(Shape::Other, |(_, shape)| shape)
}

/// The name of a system call of this machine, of those that threads are seen to wait in.
#[must_use]
pub fn syscall_name(number: i64) -> Option<&'static str> {
    entry(number).and_then(|(name, _)| name.strip_prefix("SYS_"))
}

#[cfg(test)]
mod tests {
    use super::{Shape, Timeout, shape, syscall_name};

    #[test]
    fn calls_have_the_names_of_their_manual_pages() {
        assert_eq!(syscall_name(libc::SYS_futex), Some("futex"));
        assert_eq!(syscall_name(libc::SYS_clock_nanosleep), Some("clock_nanosleep"));
        assert_eq!(shape(libc::SYS_ppoll), Shape::Poll(Timeout::Pointer));
        assert_eq!(syscall_name(-1), None);
        assert_eq!(shape(i64::MAX), Shape::Other);
    }
}
