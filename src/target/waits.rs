//! What a blocked system call waits for, from its number and arguments.

use crate::model::{Address, DescriptorId, Operation, Tables, WaitKind};

use super::descriptors::Descriptors;
use super::memory::{Memory, ProcessMemory, Span};
use super::selectors::{MOST_WATCHED, polled, selected};
use super::syscalls::{Shape, shape};

/// A system call that a thread is blocked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    /// Its number.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// The stack pointer when it was made.
    pub stack_pointer: u64,
}

/// What is needed to look behind a call's arguments.
pub(super) struct Context<'a> {
    pub descriptors: &'a mut Descriptors,
    pub memory: &'a ProcessMemory,
    pub tables: &'a mut Tables,
}

/// The command part of a futex operation, without its flags.
pub(super) const FUTEX_COMMAND: i32 = !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);

/// `FUTEX2_PRIVATE` of `linux/futex.h`: the flag of one waiter of `futex_waitv`.
const FUTEX2_PRIVATE: u32 = 128;

/// What `call` waits for, and whether it ends by itself after some time.
pub(super) fn decode(call: &Call, context: &mut Context) -> (WaitKind, bool) {
    let [first, second, third, fourth, fifth, _] = call.arguments;
    let fd = first as i32;
    match shape(call.number) {
        Shape::Futex => (futex(call), fourth != 0),
        Shape::FutexVector => (futex_vector(call, context.memory), fourth != 0),
        Shape::Sleep => (sleep(call), true),
        Shape::Child => (WaitKind::Child, false),
        Shape::Clone if first & libc::CLONE_VFORK as u64 != 0 => (WaitKind::Child, false),
        Shape::Epoll(timeout) => (context.epoll(fd), timeout.ends(fourth)),
        Shape::Poll(timeout) => (context.poll(first, second), timeout.ends(third)),
        Shape::Select => (context.select(first, [second, third, fourth]), fifth != 0),
        Shape::Descriptor(operation) => (context.descriptor(operation, fd), false),
        Shape::Fcntl => {
            let locks = matches!(second as i32, libc::F_SETLKW | libc::F_OFD_SETLKW);
            let operation = if locks { Operation::Lock } else { Operation::Control };
            (context.descriptor(operation, fd), false)
        }
        Shape::FileSystem => (WaitKind::FileSystem, false),
        Shape::Signal => (WaitKind::Signal, false),
        Shape::TimedSignal => (WaitKind::Signal, third != 0),
        Shape::Clone | Shape::Restart | Shape::Other => (WaitKind::Other, false),
    }
}

/// `time.sleep` waits for a point in time (from 3.11 on; before, it is a `select`), while `usleep` and
/// `nanosleep` of C code wait for a length of time: SQLite's for a lock, a driver's for a retry.
fn sleep(call: &Call) -> WaitKind {
    let [_, flags, ..] = call.arguments;
    let absolute = flags & libc::TIMER_ABSTIME as u64 != 0;
    if call.number == libc::SYS_clock_nanosleep && absolute {
        WaitKind::Sleep
    } else {
        WaitKind::NativeSleep
    }
}

fn futex(call: &Call) -> WaitKind {
    let [address, operation, ..] = call.arguments;
    let operation = operation as i32;
    let waits = matches!(
        operation & FUTEX_COMMAND,
        libc::FUTEX_WAIT
            | libc::FUTEX_WAIT_BITSET
            | libc::FUTEX_WAIT_REQUEUE_PI
            | libc::FUTEX_LOCK_PI
            | libc::FUTEX_LOCK_PI2
    );
    if !waits {
        return WaitKind::Other;
    }
    let shared = operation & libc::FUTEX_PRIVATE_FLAG == 0;
    WaitKind::Futex { address, stack_pointer: call.stack_pointer, shared }
}

/// The first of the futexes that `futex_waitv` waits for: an array of `struct futex_waitv
/// { u64 val, uaddr; u32 flags, reserved }`.
fn futex_vector(call: &Call, memory: &ProcessMemory) -> WaitKind {
    let mut waiter = [0; 24];
    let span = Span { address: Address(call.arguments[0]), len: waiter.len() };
    if memory.read(&[span], &mut waiter).is_err() {
        return WaitKind::Other;
    }
    let [.., a, b, c, d, _, _, _, _] = waiter;
    let [_, _, _, _, _, _, _, _, address @ .., _, _, _, _, _, _, _, _] = waiter;
    WaitKind::Futex {
        address: u64::from_ne_bytes(address),
        stack_pointer: call.stack_pointer,
        shared: u32::from_ne_bytes([a, b, c, d]) & FUTEX2_PRIVATE == 0,
    }
}

impl Context<'_> {
    fn descriptor(&mut self, operation: Operation, fd: i32) -> WaitKind {
        WaitKind::Descriptor { operation, descriptor: self.descriptors.resolve(fd, self.tables) }
    }

    fn epoll(&mut self, epoll: i32) -> WaitKind {
        let watched = self.descriptors.watched_by_epoll(epoll);
        WaitKind::Select { epoll: Some(epoll), watched: self.resolve(watched) }
    }

    fn poll(&mut self, address: u64, count: u64) -> WaitKind {
        if count == 0 {
            return WaitKind::Sleep;
        }
        // With more entries than are read it certainly watches more than one.
        let read = count <= MOST_WATCHED as u64;
        let fds = read.then(|| polled(self.memory, address, count)).flatten();
        let watched = fds.and_then(|fds| only(fds.into_iter()));
        WaitKind::Select { epoll: None, watched: self.resolve(watched) }
    }

    fn select(&mut self, count: u64, sets: [u64; 3]) -> WaitKind {
        let fds = selected(self.memory, count, sets);
        if fds.as_ref().is_some_and(Vec::is_empty) {
            return WaitKind::Sleep;
        }
        let watched = fds.and_then(|fds| only(fds.into_iter()));
        WaitKind::Select { epoll: None, watched: self.resolve(watched) }
    }

    fn resolve(&mut self, fd: Option<i32>) -> Option<DescriptorId> {
        fd.map(|fd| self.descriptors.resolve(fd, self.tables))
    }
}

/// The element of what has exactly one.
pub(super) fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::only;
    use crate::model::{DescriptorKind, Operation, SocketRole, Tables, Wait, WaitKind};
    use crate::target::syscall_name;
    use crate::target::testing::Program;

    /// Runs `script` until it waits as `fits` says; gives the wait, and what it waits for.
    fn wait(
        script: &str,
        fits: fn(&WaitKind) -> bool,
    ) -> (Wait, &'static str, Option<DescriptorKind>) {
        let program = Program::python(&format!("import os\n{script}"));
        let (wait, tables) = program.wait_until(|wait, _| fits(&wait.kind));
        let id = match wait.kind {
            WaitKind::Descriptor { descriptor, .. } => Some(descriptor),
            WaitKind::Select { watched, .. } => watched,
            _ => None,
        };
        let descriptor = id.and_then(|id| tables.descriptors.get(id));
        (wait, syscall_name(wait.syscall).unwrap(), descriptor.map(|found| found.kind.clone()))
    }

    #[test]
    fn locks() {
        let is_futex = |kind: &WaitKind| matches!(kind, WaitKind::Futex { shared: false, .. });
        let script = "import threading; l = threading.Lock(); l.acquire(); print('ready')\n";
        let (untimed, name, _) = wait(&format!("{script}l.acquire()"), is_futex);
        assert_eq!((untimed.timed, name), (false, "futex"));
        let (timed, _, _) = wait(&format!("{script}l.acquire(timeout=60)"), is_futex);
        assert!(timed.timed);
        let WaitKind::Futex { address, stack_pointer, .. } = timed.kind else { unreachable!() };
        assert!(address > 0 && stack_pointer > 0);
        let (between, _, _) = wait(
            "import multiprocessing; l = multiprocessing.Lock(); l.acquire(); print('ready'); l.acquire()",
            |kind| matches!(kind, WaitKind::Futex { shared: true, .. }),
        );
        assert!(!between.timed);
    }

    #[test]
    fn sleeps() {
        for (script, name) in [
            ("import time; print('ready'); time.sleep(60)", ["clock_nanosleep", "pselect6"]),
            (
                "import select; print('ready'); select.select([], [], [], 60)",
                ["select", "pselect6"],
            ),
            ("import select; print('ready'); select.poll().poll(60_000)", ["poll", "ppoll"]),
        ] {
            let (wait, found, _) = wait(script, |kind| matches!(kind, WaitKind::Sleep));
            // Python before 3.11 sleeps by `select`.
            assert!(wait.timed && (name.contains(&found) || found == "select"), "{found}");
        }
    }

    #[test]
    fn children_and_signals() {
        let script = "import subprocess; p = subprocess.Popen(['sleep', '60']); print('ready')\n\
            import atexit; p.wait()";
        wait(script, |kind| *kind == WaitKind::Child);
        wait("import signal; print('ready'); signal.pause()", |kind| *kind == WaitKind::Signal);
        let (timed, _, _) = wait(
            "import signal; print('ready'); signal.sigtimedwait([signal.SIGUSR1], 60)",
            |kind| *kind == WaitKind::Signal,
        );
        assert!(timed.timed);
    }

    fn reads(kind: &WaitKind) -> bool {
        matches!(kind, WaitKind::Descriptor { operation: Operation::Read, .. })
    }

    #[test]
    fn descriptors() {
        let pipe = wait("r, w = os.pipe(); print('ready'); os.read(r, 1)", reads);
        assert_eq!(pipe.2, Some(DescriptorKind::Pipe));
        let fifo = "import tempfile; p = tempfile.mkdtemp() + '/f'; os.mkfifo(p)\n\
            f = os.open(p, os.O_RDWR); os.unlink(p); os.rmdir(os.path.dirname(p))\n\
            print('ready'); os.read(f, 1)";
        assert_eq!(wait(fifo, reads).2, Some(DescriptorKind::Pipe));
        let terminal = wait("m, s = os.openpty(); print('ready'); os.read(s, 1)", reads);
        assert_eq!(terminal.2, Some(DescriptorKind::Terminal));
        let full = wait(
            "r, w = os.pipe(); print('ready')\nwhile True: os.write(w, bytes(1 << 20))",
            |kind| matches!(kind, WaitKind::Descriptor { operation: Operation::Write, .. }),
        );
        assert_eq!(full.2, Some(DescriptorKind::Pipe));
        let lock = "import fcntl, tempfile; f = tempfile.NamedTemporaryFile()\n\
            fcntl.flock(f, fcntl.LOCK_EX); print('ready'); fcntl.flock(open(f.name), fcntl.LOCK_EX)";
        let lock = wait(lock, |kind| {
            matches!(kind, WaitKind::Descriptor { operation: Operation::Lock, .. })
        });
        assert!(matches!(lock.2, Some(DescriptorKind::File(path)) if path.starts_with('/')));
    }

    #[test]
    fn sockets() {
        let pair = "import socket; a, b = socket.socketpair(); print('ready'); a.recv(1)";
        let unnamed = DescriptorKind::UnixSocket { path: "".into(), listener: false };
        assert_eq!(wait(pair, reads).2, Some(unnamed));
        let listen = "import socket; l = socket.create_server(('127.0.0.1', 0))\n";
        let accept = wait(&format!("{listen}print('ready'); l.accept()"), |kind| {
            matches!(kind, WaitKind::Descriptor { operation: Operation::Accept, .. })
        });
        assert!(matches!(
            accept.2,
            Some(DescriptorKind::Socket { role: SocketRole::Listener, peer, .. }) if peer.is_empty()
        ));
        let connected =
            format!("{listen}c = socket.create_connection(l.getsockname()); s, _ = l.accept()\n");
        for (script, expected) in [
            ("print('ready'); c.recv(1)", SocketRole::Client),
            ("print('ready'); s.recv(1)", SocketRole::Server),
            // With a timeout Python polls the one descriptor before it receives.
            ("c.settimeout(60); print('ready'); c.recv(1)", SocketRole::Client),
        ] {
            let found = wait(&format!("{connected}{script}"), |kind| {
                reads(kind) || matches!(kind, WaitKind::Select { watched: Some(_), epoll: None })
            });
            let Some(DescriptorKind::Socket { role, local, peer }) = found.2 else {
                panic!("{found:?}")
            };
            assert_eq!(role, expected);
            assert!(local.starts_with("127.0.0.1:") && peer.starts_with("127.0.0.1:"));
            assert_eq!(found.0.timed, script.contains("settimeout"));
        }
        let closed = format!("{connected}l.close(); print('ready'); s.recv(1)");
        assert!(matches!(wait(&closed, reads).2, Some(DescriptorKind::Socket { .. })));
    }

    #[test]
    fn selectors() {
        let two = "import select; r, w = os.pipe(); a, b = os.pipe()\n";
        let one_by_epoll = "e = select.epoll(); e.register(r); print('ready'); e.poll(60)";
        let (found, name, watched) = wait(&format!("{two}{one_by_epoll}"), |kind| {
            matches!(kind, WaitKind::Select { epoll: Some(_), watched: Some(_) })
        });
        assert!(found.timed && name.starts_with("epoll_"));
        assert_eq!(watched, Some(DescriptorKind::Pipe));
        let many = "e = select.epoll(); e.register(r); e.register(a); print('ready'); e.poll()";
        let (found, _, _) = wait(&format!("{two}{many}"), |kind| {
            matches!(kind, WaitKind::Select { epoll: Some(_), watched: None })
        });
        assert!(!found.timed);
        for script in ["select.select([r], [], [])", "p = select.poll(); p.register(r); p.poll()"] {
            let script = format!("{two}print('ready'); {script}");
            let (found, _, watched) = wait(&script, |kind| {
                matches!(kind, WaitKind::Select { epoll: None, watched: Some(_) })
            });
            assert!(!found.timed);
            assert_eq!(watched, Some(DescriptorKind::Pipe));
        }
        let both = format!("{two}print('ready'); select.select([r], [], [a], 60)");
        let (found, _, _) =
            wait(&both, |kind| matches!(kind, WaitKind::Select { epoll: None, watched: None }));
        assert!(found.timed);
    }

    #[test]
    fn a_process_descriptor() {
        let script = "import select, subprocess; p = subprocess.Popen(['sleep', '60'])\n\
            f = os.pidfd_open(p.pid); s = select.poll(); s.register(f); print('ready'); s.poll()";
        let found = wait(script, |kind| matches!(kind, WaitKind::Select { watched: Some(_), .. }));
        assert_eq!(found.2, Some(DescriptorKind::Process));
    }

    #[test]
    fn only_one_is_only() {
        assert_eq!(only([7].into_iter()), Some(7));
        assert_eq!(only([7, 8].into_iter()), None);
        assert_eq!(only(std::iter::empty::<i32>()), None);
    }

    #[test]
    fn a_foreign_machine_of_arguments_reads_nothing_wrong() {
        use crate::target::children::awaited_child;
        use crate::target::deadlines::time_limit;
        use crate::target::selectors::{MOST_WATCHED, watched};
        use crate::target::waits::{Call, Context, decode};
        use crate::target::{Descriptors, Process};
        let process = Process::open(std::process::id() as i32).unwrap();
        let mut descriptors = Descriptors::new(&process);
        let memory = process.memory();
        let mut tables = Tables::default();
        for number in 0..600 {
            for argument in [0, 1, 1024, u64::from(u32::MAX), u64::MAX] {
                let call = Call { number, arguments: [argument; 6], stack_pointer: 0 };
                let mut context =
                    Context { descriptors: &mut descriptors, memory: &memory, tables: &mut tables };
                let (kind, _) = decode(&call, &mut context);
                assert!(!matches!(kind, WaitKind::PageFault));
                assert!(watched(&call, &memory, &descriptors).len() <= MOST_WATCHED);
                time_limit(&call, &memory, || true);
                awaited_child(&call, &process, &descriptors);
            }
        }
    }
}
