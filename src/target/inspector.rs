//! A closer look at the waits of a process's threads: for how long, for which child, for whom at the
//! other end.

use std::cell::OnceCell;

use indexmap::IndexSet;
use rustc_hash::FxHashMap;

use crate::model::{
    AwaitedDescriptor, DescriptorId, DescriptorKind, EndRole, Operation, Pid, ProcessName, Tables,
    Wait, WaitDetails, WaitKind,
};

use super::asleep::SleepClocks;
use super::children::{awaited_child, one_child};
use super::deadlines::time_limit;
use super::descriptors::{Descriptors, socket_inode};
use super::ends::{End, holders};
use super::facts::named;
use super::fdinfo::Access;
use super::file_locks::FileLocks;
use super::kernel::KernelThread;
use super::memory::ProcessMemory;
use super::process::Process;
use super::selectors::watched;
use super::sockets::Partner;
use super::syscalls::syscall_name;
use super::unix_peers::UnixPeers;
use super::waits::Call;

/// Looks closer at waits of a process's threads, at one moment.
///
/// Far dearer than a sample, and so only for one look: [`Self::find_other_ends`] may go through the
/// open files of all processes.
pub struct WaitInspector<'a> {
    process: &'a Process,
    memory: &'a ProcessMemory,
    descriptors: &'a mut Descriptors,
    tables: &'a mut Tables,
    /// Whether it has our clocks.
    shares_time: OnceCell<bool>,
    sleeps: SleepClocks<'a>,
}

/// How many descriptors' other ends are looked for.
const MOST_ENDS: usize = 1024;

impl<'a> WaitInspector<'a> {
    /// `descriptors` are those that `tables` go with.
    pub fn new(
        process: &'a Process,
        memory: &'a ProcessMemory,
        descriptors: &'a mut Descriptors,
        tables: &'a mut Tables,
    ) -> Self {
        let sleeps = SleepClocks::new(process);
        Self { process, memory, descriptors, tables, shares_time: OnceCell::new(), sleeps }
    }

    /// What there is to say of a wait that `thread` was just seen in, without the other ends; `None`
    /// when it is in it no more. With `idle` the descriptors of a selector are left out.
    pub fn look(&mut self, thread: &KernelThread, wait: &Wait, idle: bool) -> Option<WaitDetails> {
        let call = thread.same_call().filter(|call| call.number == wait.syscall)?;
        let selects = matches!(wait.kind, WaitKind::Select { .. });
        let descriptors = match wait.kind {
            WaitKind::Descriptor { descriptor, .. } => vec![descriptor],
            WaitKind::Select { .. } if !idle => self.watched(&call),
            _ => Vec::new(),
        };
        let child = match wait.kind {
            WaitKind::Child => awaited_child(&call, self.process, self.descriptors),
            _ => self.process_of(&descriptors).and_then(one_child),
        };
        let operation = match wait.kind {
            WaitKind::Descriptor { operation, .. } => operation,
            _ => Operation::Read,
        };
        Some(WaitDetails {
            syscall: syscall_name(call.number),
            asleep: self.sleeps.asleep_for(thread.tid()),
            limit: time_limit(&call, self.memory, || {
                *self.shares_time.get_or_init(|| self.process.shares_namespace("time"))
            }),
            child,
            selects,
            descriptors: descriptors.into_iter().map(|it| self.awaited(it, operation)).collect(),
        })
    }

    fn watched(&mut self, call: &Call) -> Vec<DescriptorId> {
        let numbers = watched(call, self.memory, self.descriptors);
        numbers.into_iter().map(|it| self.descriptors.resolve(it, self.tables)).collect()
    }

    /// The process that the only one of some descriptors stands for.
    fn process_of(&self, descriptors: &[DescriptorId]) -> Option<Pid> {
        let [only] = descriptors else { return None };
        let only = self.tables.descriptors.get(*only)?;
        (only.kind == DescriptorKind::Process).then(|| self.descriptors.pid_of(only.number))?
    }

    fn awaited(&self, id: DescriptorId, operation: Operation) -> AwaitedDescriptor {
        let known = self.tables.descriptors.get(id);
        let role = known.and_then(|known| match &known.kind {
            _ if operation == Operation::Lock => Some(EndRole::Locks),
            DescriptorKind::Pipe => match self.descriptors.access(known.number)? {
                Access::Read => Some(EndRole::Writes),
                Access::Write => Some(EndRole::Reads),
                Access::Both if operation == Operation::Write => Some(EndRole::Reads),
                Access::Both => Some(EndRole::Writes),
            },
            DescriptorKind::UnixSocket { listener: false, .. } => Some(EndRole::Connected),
            DescriptorKind::Socket { peer, .. } if !peer.is_empty() => Some(EndRole::Connected),
            _ => None,
        });
        let path = known.filter(|known| known.kind == DescriptorKind::Pipe).and_then(|known| {
            let (link, _) = self.descriptors.identity(known.number)?;
            link.starts_with(b"/").then(|| String::from_utf8_lossy(&link).into())
        });
        AwaitedDescriptor { descriptor: id, tcp_state: None, path, role, other_end: Vec::new() }
    }

    /// Finds the processes at the other ends, of all waits together, and the states of connections.
    /// Without such waits it does nothing.
    pub fn find_other_ends(&mut self, details: &mut [WaitDetails]) {
        let Some(pid) = self.process.live_pid() else { return };
        let mut awaited: Vec<&mut AwaitedDescriptor> =
            details.iter_mut().flat_map(|it| &mut it.descriptors).take(MOST_ENDS).collect();
        self.look_at_connections(&mut awaited);
        let ends = self.ends(&mut awaited);
        let mut wanted = IndexSet::new();
        let places: Vec<Option<usize>> =
            ends.into_iter().map(|end| Some(wanted.insert_full(end?).0)).collect();
        let found = holders(pid, &wanted);
        let locked = awaited.iter().any(|it| it.role == Some(EndRole::Locks));
        let locks = locked.then(FileLocks::read);
        let mut names: FxHashMap<Pid, Option<ProcessName>> = FxHashMap::default();
        for (awaited, place) in awaited.into_iter().zip(places) {
            let pids = match (&locks, place.and_then(|place| found.get(place))) {
                (_, Some(pids)) => pids.clone(),
                (Some(locks), None) if awaited.role == Some(EndRole::Locks) => {
                    self.holders_of_lock(pid, locks, awaited.descriptor).unwrap_or_default()
                }
                _ => continue,
            };
            let name = |pid: Pid| names.entry(pid).or_insert_with(|| named(pid)).clone();
            awaited.other_end = pids.into_iter().filter_map(name).collect();
        }
    }

    /// The processes that have the lock of a file that process `pid` waits for.
    fn holders_of_lock(&self, pid: Pid, locks: &FileLocks, id: DescriptorId) -> Option<Vec<Pid>> {
        let file = self.descriptors.file(self.tables.descriptors.get(id)?.number)?;
        Some(locks.holders(pid, file))
    }

    /// Tells the states of the TCP sockets.
    fn look_at_connections(&mut self, awaited: &mut [&mut AwaitedDescriptor]) {
        let sockets: Vec<_> =
            awaited.iter_mut().filter(|it| self.is_internet(it.descriptor)).collect();
        if sockets.is_empty() {
            return;
        }
        // A connection may have got another state since it was first seen.
        let process = self.process;
        self.descriptors.sockets().refresh_internet(process);
        for socket in sockets {
            let inode = self.inode(socket.descriptor);
            socket.tcp_state = inode.and_then(|it| self.descriptors.sockets().tcp_state(it));
        }
    }

    /// What leads to the other end of each descriptor that has one.
    fn ends(&mut self, awaited: &mut [&mut AwaitedDescriptor]) -> Vec<Option<End>> {
        let inodes: Vec<_> = awaited.iter().filter_map(|it| self.inode(it.descriptor)).collect();
        let partners = match inodes.is_empty() {
            true => FxHashMap::default(),
            false => self.descriptors.sockets().partners(&inodes),
        };
        let mut peers = None;
        let mut end = |awaited: &mut AwaitedDescriptor| match awaited.role? {
            EndRole::Writes => self.pipe(awaited.descriptor, Access::Write),
            EndRole::Reads => self.pipe(awaited.descriptor, Access::Read),
            EndRole::Locks => None,
            EndRole::Connected | EndRole::Listens => {
                let inode = self.inode(awaited.descriptor)?;
                let other = match partners.get(&inode) {
                    Some(Partner::Connected(other)) => *other,
                    Some(Partner::Listener(other)) => {
                        awaited.role = Some(EndRole::Listens);
                        *other
                    }
                    None if self.is_internet(awaited.descriptor) => return None,
                    None => peers.get_or_insert_with(|| self.unix_peers()).as_ref()?.peer(inode)?,
                };
                Some(End::socket(other))
            }
        };
        awaited.iter_mut().map(|it| end(it)).collect()
    }

    /// The kernel's word on unix sockets, which it gives for its own network namespace.
    fn unix_peers(&self) -> Option<UnixPeers> {
        self.process.shares_namespace("net").then(UnixPeers::new)?
    }

    fn is_internet(&self, id: DescriptorId) -> bool {
        let kind = self.tables.descriptors.get(id).map(|known| &known.kind);
        matches!(kind, Some(DescriptorKind::Socket { .. }))
    }

    fn pipe(&self, id: DescriptorId, access: Access) -> Option<End> {
        let (link, file) = self.descriptors.identity(self.tables.descriptors.get(id)?.number)?;
        Some(End { link, file, access: Some(access) })
    }

    /// The inode of a descriptor that is a socket.
    fn inode(&self, id: DescriptorId) -> Option<u64> {
        let known = self.tables.descriptors.get(id)?;
        match known.kind {
            DescriptorKind::Socket { .. } | DescriptorKind::UnixSocket { .. } => {
                socket_inode(&self.descriptors.identity(known.number)?.0)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::WaitInspector;
    use crate::model::{
        Activity, AwaitedChild, DescriptorKind, EndRole, Nanos, Tables, TimeLimit, WaitDetails,
        WaitKind,
    };
    use crate::target::testing::{Program, eventually};
    use crate::target::{Descriptors, KernelThread};

    /// Looks at the first thread of a program as soon as it waits as `fits` says.
    fn look(
        program: &Program,
        idle: bool,
        fits: impl Fn(&WaitKind) -> bool,
    ) -> (WaitDetails, Tables) {
        let process = program.process();
        let memory = process.memory();
        let thread = KernelThread::open(&process, process.pid()).unwrap();
        let mut descriptors = Descriptors::new(&process);
        let mut tables = Tables::default();
        let details = eventually(|| {
            let activity = thread.activity(&mut descriptors, &memory, &mut tables).unwrap();
            let Activity::Blocked(wait) = activity else { return Err(activity) };
            if !fits(&wait.kind) {
                return Err(activity);
            }
            let mut inspector =
                WaitInspector::new(&process, &memory, &mut descriptors, &mut tables);
            let mut details = [inspector.look(&thread, &wait, idle).ok_or(activity)?];
            inspector.find_other_ends(&mut details);
            let [details] = details;
            Ok(details)
        });
        (details.unwrap_or_else(|last| panic!("never blocked as expected: {last:?}")), tables)
    }

    fn limit_of(script: &str) -> Option<TimeLimit> {
        let program = Program::python(&format!("import os, select, signal, time\n{script}"));
        look(&program, false, |kind| !matches!(kind, WaitKind::Descriptor { .. })).0.limit
    }

    /// A script that makes a system call itself, with a `timespec` of 60 s and half of one, `now` a
    /// clock's reading, or with milliseconds.
    fn call(number: i64, arguments: &str) -> String {
        format!(
            "import ctypes, struct\n\
             def spec(seconds, part=500_000_000): return ctypes.create_string_buffer(struct.pack('qq', int(seconds), part))\n\
             word, now, real = ctypes.c_int(0), time.monotonic(), time.time()\n\
             arguments = [{arguments}]\n\
             print('ready')\n\
             ctypes.CDLL(None).syscall(ctypes.c_long({number}), *arguments)"
        )
    }

    const HALF_PAST: Option<TimeLimit> =
        Some(TimeLimit::Timeout(Nanos(60 * Nanos::SECOND.0 + Nanos::SECOND.0 / 2)));

    #[test]
    fn lengths_of_time_are_told() {
        for (number, arguments) in [
            (libc::SYS_nanosleep, "spec(60), None"),
            (libc::SYS_clock_nanosleep, "0, 0, spec(60), None"),
            (libc::SYS_ppoll, "None, 0, spec(60), None, 0"),
            (libc::SYS_pselect6, "0, None, None, None, spec(60), None"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_select, "0, None, None, None, spec(60, 500_000)"),
            (
                libc::SYS_epoll_pwait2,
                "(e := select.epoll()).fileno(), spec(0), 1, spec(60), None, 0",
            ),
            (libc::SYS_futex, "ctypes.byref(word), 0, 0, spec(60)"),
            (libc::SYS_rt_sigtimedwait, "spec(512, 0), None, spec(60), 8"),
        ] {
            assert_eq!(limit_of(&call(number, arguments)), HALF_PAST, "{number}");
        }
        let minute = Some(TimeLimit::Timeout(Nanos(60 * Nanos::SECOND.0)));
        assert_eq!(limit_of("print('ready'); select.poll().poll(60_000)"), minute);
        assert_eq!(limit_of("print('ready'); select.epoll().poll(60)"), minute);
    }

    #[test]
    fn points_of_time_are_told_by_what_is_left() {
        // FUTEX_WAIT_BITSET, and with FUTEX_CLOCK_REALTIME.
        for (number, arguments) in [
            (libc::SYS_futex, "ctypes.byref(word), 9, 0, spec(now + 60), None, -1"),
            (libc::SYS_futex, "ctypes.byref(word), 9 | 256, 0, spec(real + 60), None, -1"),
            (libc::SYS_clock_nanosleep, "1, 1, spec(now + 60), None"),
            (libc::SYS_clock_nanosleep, "0, 1, spec(real + 60), None"),
        ] {
            let limit = limit_of(&call(number, arguments));
            let Some(TimeLimit::Left(left)) = limit else { panic!("{arguments}: {limit:?}") };
            assert!((30.0..61.0).contains(&left.seconds()), "{arguments}: {left:?}");
        }
        let script = "import threading; l = threading.Lock(); l.acquire(); print('ready')\n";
        let limit = limit_of(&format!("{script}l.acquire(timeout=60)"));
        let Some(TimeLimit::Left(left)) = limit else { panic!("{limit:?}") };
        assert!((30.0..60.5).contains(&left.seconds()), "{left:?}");
    }

    #[test]
    fn what_is_no_limit_is_not_told() {
        let lock = "import threading; l = threading.Lock(); l.acquire(); print('ready')\n";
        for script in [
            format!("{lock}l.acquire()"),
            // 126 years.
            format!("{lock}l.acquire(timeout=4e9)"),
            "print('ready'); select.epoll().poll()".to_owned(),
            "print('ready'); signal.pause()".to_owned(),
        ] {
            assert_eq!(limit_of(&script), None, "{script}");
        }
    }

    #[test]
    fn the_awaited_child_is_told() {
        let start = "import os, select, subprocess\n\
            start = lambda: subprocess.Popen(['sleep', '60'])\np = start(); q = None\n";
        let one = "print('ready'); print(p.pid)\n";
        for script in [
            "p.wait()",
            "os.waitpid(-1, 0)",
            "os.waitid(os.P_PID, p.pid, os.WEXITED)",
            "os.waitid(os.P_ALL, 0, os.WEXITED)",
            "f = os.pidfd_open(p.pid); os.waitid(os.P_PIDFD, f, os.WEXITED)",
            "f = os.pidfd_open(p.pid); s = select.poll(); s.register(f); s.poll()",
        ] {
            let mut program = Program::python(&format!("{start}{one}{script}"));
            let pid: i32 = program.line().parse().unwrap();
            // For a moment, as it becomes its own program, it has no command line.
            let child = eventually(|| {
                let (details, _) = look(&program, false, |kind| {
                    matches!(kind, WaitKind::Child | WaitKind::Select { watched: Some(_), .. })
                });
                match details.child {
                    Some(AwaitedChild::One(child)) if &*child.command == "sleep 60" => {
                        Ok(child.pid)
                    }
                    other => Err(other),
                }
            });
            assert_eq!(child, Ok(pid), "{script}");
        }
        let program = Program::python(&format!("{start}q = start(); print('ready'); os.wait()"));
        let (details, _) = look(&program, false, |kind| *kind == WaitKind::Child);
        assert_eq!(details.child, Some(AwaitedChild::AnyOf(2)));
    }

    #[test]
    fn what_a_selector_watches_is_told_unless_it_is_idle() {
        let pipes = "import os, select; a, b = os.pipe(), os.pipe(); print('ready')\n";
        let register = "s.register(a[0]); s.register(b[0]); s.poll()";
        for script in [
            format!("s = select.epoll(); {register}"),
            format!("s = select.poll(); {register}"),
            "select.select([a[0]], [], [b[0]])".to_owned(),
        ] {
            let program = Program::python(&format!("{pipes}{script}"));
            let selects = |kind: &WaitKind| matches!(kind, WaitKind::Select { .. });
            let (details, tables) = look(&program, false, selects);
            assert!(details.selects);
            assert_eq!(details.descriptors.len(), 2);
            for awaited in &details.descriptors {
                let known = tables.descriptors.get(awaited.descriptor).unwrap();
                assert_eq!(known.kind, DescriptorKind::Pipe);
                assert_eq!(awaited.role, Some(EndRole::Writes));
                let pids: Vec<_> = awaited.other_end.iter().map(|it| it.pid).collect();
                assert_eq!(pids, [program.pid()], "the target itself has the other end");
            }
            assert_eq!(look(&program, true, selects).0.descriptors, []);
        }
    }

    #[test]
    fn a_full_pipe_is_told_with_its_reader() {
        let script = "import os, subprocess, sys; r, w = os.pipe()\n\
            p = subprocess.Popen(['sleep', '60'], pass_fds=[r]); os.close(r)\n\
            print('ready'); print(p.pid)\nwhile True: os.write(w, bytes(1 << 20))";
        let mut program = Program::python(script);
        let pid: i32 = program.line().parse().unwrap();
        let (details, _) =
            look(&program, false, |kind| matches!(kind, WaitKind::Descriptor { .. }));
        let [awaited] = &details.descriptors[..] else { panic!("{details:?}") };
        assert_eq!(awaited.role, Some(EndRole::Reads));
        let pids: Vec<i32> = awaited.other_end.iter().map(|it| it.pid).collect();
        assert_eq!(pids, [pid]);
    }
}
