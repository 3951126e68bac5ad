//! What the kernel tells of a thread: its system call, its state, its time on the CPUs.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::model::{Activity, Nanos, Tables, Tid, Wait, WaitKind};

use super::descriptors::Descriptors;
use super::limits::with_enough_descriptors;
use super::memory::ProcessMemory;
use super::process::Process;
use super::syscalls::{Shape, shape};
use super::waits::{Call, Context, decode};

/// What the scheduler has given a thread since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Schedule {
    /// Time on a CPU. The kernel updates it at ticks and switches.
    pub ran: Nanos,
    /// Time ready, waiting for a CPU.
    pub queued: Nanos,
    /// How often it was put on a CPU.
    pub switches: u64,
}

/// A thread's files in `/proc`, kept open: a read costs a microsecond, an open four more, and an
/// open file never leads to another thread that has got the same number.
#[derive(Debug)]
pub struct KernelThread {
    tid: Tid,
    stat: File,
    schedstat: Option<File>,
    syscall: Result<File, &'static str>,
    /// The call before, to know what goes on when it is started again.
    last: Cell<Option<Call>>,
}

/// The longest line of `syscall`, `schedstat` and what is needed of `stat`, in bytes.
const LINE: usize = 256;

const NOT_PERMITTED: &str = "the kernel hides /proc/PID/task/TID/syscall (no ptrace permission)";
const NOT_OFFERED: &str = "this kernel has no /proc/PID/task/TID/syscall";
const NO_ACCOUNT: &str = "this kernel has no /proc/PID/task/TID/schedstat (CONFIG_SCHED_INFO)";
const NOT_UNDERSTOOD: &str = "/proc/PID/task/TID/syscall is not in a known form";

impl KernelThread {
    /// Opens the files of a thread.
    ///
    /// # Errors
    /// When the thread has ended, or no more files can be opened.
    pub fn open(process: &Process, tid: Tid) -> io::Result<Self> {
        let open =
            |name: &str| with_enough_descriptors(|| process.file(&format!("task/{tid}/{name}")));
        let stat = open("stat")?;
        let schedstat = optional(open("schedstat"))?.ok();
        let syscall = optional(open("syscall"))?.map_err(|error| reason(&error));
        Ok(Self { tid, stat, schedstat, syscall, last: Cell::new(None) })
    }

    /// The thread's number.
    #[must_use]
    pub fn tid(&self) -> Tid {
        self.tid
    }

    /// What the scheduler has given it so far.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] when the kernel keeps no such account; else the thread has ended.
    pub fn schedule(&self) -> io::Result<Schedule> {
        let file = self.schedstat.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let mut buffer = [0; LINE];
        let text = line(file, &mut buffer)?;
        let mut numbers = text.split_ascii_whitespace().map(str::parse);
        let mut next = || numbers.next().and_then(Result::ok).ok_or(io::ErrorKind::InvalidData);
        Ok(Schedule { ran: Nanos(next()?), queued: Nanos(next()?), switches: next()? })
    }

    /// What it does at this moment. Descriptors that it waits for are resolved into `tables`.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn activity(
        &self,
        descriptors: &mut Descriptors,
        memory: &ProcessMemory,
        tables: &mut Tables,
    ) -> io::Result<Activity> {
        let report = match self.report()? {
            Ok(Report::Running) => return Ok(Activity::Running),
            Ok(report) => report,
            Err(reason) => {
                return Ok(match self.run_state()? {
                    RunState::Runnable => Activity::Running,
                    RunState::Stopped => Activity::Stopped,
                    RunState::Asleep { .. } => Activity::Unreadable(reason),
                });
            }
        };
        let uninterruptible = match (self.run_state()?, &report) {
            (RunState::Stopped, _) => return Ok(Activity::Stopped),
            (RunState::Runnable, Report::Outside) => return Ok(Activity::Running),
            // It woke between the two reads; the first is the one that has the arguments.
            (RunState::Runnable, _) => false,
            (RunState::Asleep { uninterruptible }, _) => uninterruptible,
        };
        let Report::Blocked(call) = report else {
            let wait =
                Wait { kind: WaitKind::PageFault, syscall: -1, timed: false, uninterruptible };
            return Ok(Activity::Blocked(wait));
        };
        let call = self.restarted(call);
        let (kind, timed) = decode(&call, &mut Context { descriptors, memory, tables });
        Ok(Activity::Blocked(Wait { kind, syscall: call.number, timed, uninterruptible }))
    }

    /// What `/proc/PID/task/TID/syscall` says, or why it says nothing.
    fn report(&self) -> io::Result<Result<Report, &'static str>> {
        let file = match &self.syscall {
            Ok(file) => file,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut buffer = [0; LINE];
        match optional(line(file, &mut buffer))? {
            Ok(text) => Ok(Report::parse(text).ok_or(NOT_UNDERSTOOD)),
            Err(error) => Ok(Err(reason(&error))),
        }
    }

    /// The call that goes on when a signal, or a debugger's stop, has interrupted a timed one: the
    /// kernel then shows `restart_syscall` with the arguments of the call before.
    fn restarted(&self, call: Call) -> Call {
        let last = self.last.get().filter(|last| last.arguments == call.arguments);
        let call = match last {
            Some(last) if shape(call.number) == Shape::Restart => last,
            _ => call,
        };
        self.last.set(Some(call));
        call
    }

    /// The call that it was blocked in when it was last asked what it does, if it still is.
    pub(super) fn same_call(&self) -> Option<Call> {
        let before = self.last.get()?;
        let Report::Blocked(call) = self.report().ok()?.ok()? else { return None };
        Some(self.restarted(call)).filter(|call| *call == before)
    }

    fn run_state(&self) -> io::Result<RunState> {
        let mut buffer = [0; LINE];
        let read = self.stat.read_at(&mut buffer, 0)?;
        let text = buffer.get(..read).unwrap_or_default();
        // `tid (name) state …`, where the name may hold any bytes.
        let end = text.iter().rposition(|&byte| byte == b')').ok_or(io::ErrorKind::InvalidData)?;
        match text.get(end + 2).ok_or(io::ErrorKind::InvalidData)? {
            b'R' => Ok(RunState::Runnable),
            b'T' | b't' => Ok(RunState::Stopped),
            b'Z' | b'X' | b'x' => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            state => Ok(RunState::Asleep { uninterruptible: *state == b'D' }),
        }
    }
}

/// Which of the kernel's files about a process's first thread can be read, for the doctor.
pub(super) struct Evidence {
    pub syscall: Result<(), &'static str>,
    pub schedstat: Result<(), &'static str>,
}

pub(super) fn evidence_of(process: &Process) -> Evidence {
    const GONE: &str = "the process has ended";
    match KernelThread::open(process, process.pid()) {
        Err(_) => Evidence { syscall: Err(GONE), schedstat: Err(GONE) },
        Ok(thread) => Evidence {
            syscall: thread.report().unwrap_or(Err(GONE)).map(|_| ()),
            schedstat: thread.schedule().map(|_| ()).map_err(|_| NO_ACCOUNT),
        },
    }
}

/// The state of a thread in its `stat` file.
enum RunState {
    Runnable,
    Asleep { uninterruptible: bool },
    Stopped,
}

/// The text of a thread's `syscall` file.
#[derive(Debug, PartialEq, Eq)]
enum Report {
    /// `running`.
    Running,
    /// `-1 SP PC`: blocked, but not in a system call.
    Outside,
    /// `NUMBER ARGUMENT×6 SP PC`.
    Blocked(Call),
}

impl Report {
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace();
        let number = match fields.next()? {
            "running" => return Some(Self::Running),
            "-1" => return Some(Self::Outside),
            number => number.parse().ok()?,
        };
        let mut hexadecimal = || u64::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok();
        let mut arguments = [0; 6];
        for argument in &mut arguments {
            *argument = hexadecimal()?;
        }
        Some(Self::Blocked(Call { number, arguments, stack_pointer: hexadecimal()? }))
    }
}

/// The text of a short file, read into `buffer`.
fn line<'a>(file: &File, buffer: &'a mut [u8]) -> io::Result<&'a str> {
    let read = file.read_at(buffer, 0)?;
    let text = std::str::from_utf8(buffer.get(..read).unwrap_or_default());
    text.map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Tells a file that the kernel does not offer from a thread that has ended.
fn optional<T>(result: io::Result<T>) -> io::Result<io::Result<T>> {
    match result {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EMFILE | libc::ENFILE)) =>
        {
            Err(error)
        }
        other => Ok(other),
    }
}

fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => NOT_PERMITTED,
        _ => NOT_OFFERED,
    }
}

#[cfg(test)]
mod tests {
    use super::{KernelThread, NOT_OFFERED, Report};
    use crate::model::{Activity, Tables, WaitKind};
    use crate::target::testing::{Program, eventually};
    use crate::target::waits::Call;
    use crate::target::{Descriptors, Process};

    fn activity(process: &Process, thread: &KernelThread) -> std::io::Result<Activity> {
        let mut descriptors = Descriptors::new(process);
        thread.activity(&mut descriptors, &process.memory(), &mut Tables::default())
    }

    #[test]
    fn reads_the_three_forms_of_the_file() {
        assert_eq!(Report::parse("running\n"), Some(Report::Running));
        assert_eq!(Report::parse("-1 0x7ffd 0x7f00\n"), Some(Report::Outside));
        let call = Call { number: 202, arguments: [16, 1, 2, 3, 4, 5], stack_pointer: 0x7ffd };
        let text = "202 0x10 0x1 0x2 0x3 0x4 0x5 0x7ffd 0x7f00\n";
        assert_eq!(Report::parse(text), Some(Report::Blocked(call)));
        assert_eq!(Report::parse("202 0x10 0x1\n"), None);
        assert_eq!(Report::parse(""), None);
    }

    #[test]
    fn a_busy_thread_runs_and_a_stopped_one_is_stopped() {
        let mut program = Program::python("print('ready')\nwhile True: pass");
        let process = program.process();
        let thread = KernelThread::open(&process, process.pid()).unwrap();
        assert_eq!(activity(&process, &thread).unwrap(), Activity::Running);
        let before = thread.schedule().unwrap();
        assert!(before.ran.0 > 0 && before.switches > 0);
        eventually(|| {
            let now = thread.schedule().unwrap();
            if now.ran > before.ran { Ok(()) } else { Err(()) }
        })
        .unwrap();
        let pid = nix::unistd::Pid::from_raw(process.pid());
        nix::sys::signal::kill(pid, nix::sys::signal::SIGSTOP).unwrap();
        let stopped = eventually(|| match activity(&process, &thread).unwrap() {
            Activity::Stopped => Ok(()),
            other => Err(other),
        });
        assert_eq!(stopped, Ok(()));
        program.end();
        assert!(activity(&process, &thread).is_err());
        program.reap();
        assert!(activity(&process, &thread).is_err() && thread.schedule().is_err());
        assert!(KernelThread::open(&process, process.pid()).is_err());
    }

    #[test]
    fn without_the_file_a_sleeping_thread_is_not_guessed_at() {
        for (script, expected) in [
            ("import time; print('ready'); time.sleep(60)", Activity::Unreadable(NOT_OFFERED)),
            ("print('ready')\nwhile True: pass", Activity::Running),
        ] {
            let program = Program::python(script);
            let process = program.process();
            let mut thread = KernelThread::open(&process, process.pid()).unwrap();
            thread.syscall = Err(NOT_OFFERED);
            let found = eventually(|| match activity(&process, &thread).unwrap() {
                found if found == expected => Ok(()),
                other => Err(other),
            });
            assert_eq!(found, Ok(()));
        }
    }

    #[test]
    fn a_sleep_that_a_stop_interrupted_is_still_a_sleep() {
        let program = Program::python("import select; print('ready'); select.poll().poll(60_000)");
        let process = program.process();
        let thread = KernelThread::open(&process, process.pid()).unwrap();
        let asleep = |_: &()| match activity(&process, &thread).unwrap() {
            Activity::Blocked(wait) if wait.kind == WaitKind::Sleep => Ok(wait),
            other => Err(other),
        };
        let before = eventually(|| asleep(&())).unwrap();
        assert!(before.timed);
        drop(process.pause().unwrap());
        assert_eq!(eventually(|| asleep(&())), Ok(before));
    }
}
