//! Children to look at, for the tests of this layer.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::model::{Activity, Pid, Tables, Wait};

use super::{Descriptors, KernelThread, Process};

/// A Python program that has said `ready`; killed when dropped.
pub struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Runs `script` until it prints a line, which should be `ready`.
    pub fn python(script: &str) -> Self {
        let mut child = Command::new("python3")
            .args(["-u", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut program = Self { child, output };
        assert_eq!(program.line(), "ready");
        program
    }

    /// The next line of its output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.child.id() as Pid
    }

    /// The process.
    pub fn process(&self) -> Process {
        Process::open(self.pid()).unwrap()
    }

    /// Ends it, and leaves it unwaited for.
    pub fn end(&mut self) {
        self.child.kill().unwrap();
        let pid = rustix::process::Pid::from_child(&self.child);
        let options =
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).unwrap();
    }

    /// Waits for it after its end.
    pub fn reap(&mut self) {
        self.child.wait().unwrap();
    }

    /// What its first thread waits for, as soon as `fits` says that it is the expected wait.
    pub fn wait_until(&self, fits: impl Fn(&Wait, &Tables) -> bool) -> (Wait, Tables) {
        let process = self.process();
        let thread = KernelThread::open(&process, process.pid()).unwrap();
        let mut descriptors = Descriptors::new(&process);
        let mut tables = Tables::default();
        eventually(|| {
            let activity =
                thread.activity(&mut descriptors, &process.memory(), &mut tables).unwrap();
            match activity {
                Activity::Blocked(wait) if fits(&wait, &tables) => Ok(wait),
                other => Err(other),
            }
        })
        .map(|wait| (wait, tables))
        .unwrap_or_else(|last| panic!("never blocked as expected; at last {last:?}"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let children = Process::open(self.pid()).map(|process| process.children());
        for child in children.unwrap_or_default() {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(child),
                nix::sys::signal::SIGKILL,
            );
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries until it succeeds, for at most ten seconds: for what the kernel will show in a moment.
pub fn eventually<T, E>(mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match attempt() {
            Err(error) if Instant::now() >= end => return Err(error),
            Err(_) => std::thread::yield_now(),
            done => return done,
        }
    }
}

/// Runs something with the rights of no user in particular, where we are root; else as we are.
///
/// Only one thread's rights change: it is the system call, and not glibc's wrapper for all.
pub fn as_other_user<T: Send + 'static>(action: impl FnOnce() -> T + Send + 'static) -> T {
    let lowered = || {
        if rustix::process::geteuid().is_root() {
            let other = rustix::process::Uid::from_raw(65_534);
            rustix::thread::set_thread_res_uid(other, other, other).unwrap();
        }
        action()
    };
    std::thread::spawn(lowered).join().unwrap()
}
