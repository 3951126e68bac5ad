//! What the tests of one machine share: its CPUs, its terminal, and a bound for every wait.

use std::io::{ErrorKind, Write};
use std::process::{Child, Command, Output};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// No wait of these tests lasts longer. It is a bound for what hangs, and nothing is judged by it.
pub const LIMIT: Duration = Duration::from_secs(90);

static MACHINE: RwLock<()> = RwLock::new(());

/// Keeps all other tests off the CPUs: for a test that judges shares of time.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// For a test beside which others may run.
pub fn shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Whether nothing may be left out.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Whether this test may act for other users.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says something that belongs to a run's record: past the test harness, which swallows what a
/// test that passes prints.
pub fn say(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Says that a test could not run here; in CI that is a failure.
pub fn left_out(what: &str) {
    assert!(!in_ci(), "left out, which CI does not allow: {what}");
    say(&format!("left out: {what}"));
}

/// Sends a signal to a child that has not been waited for.
pub fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).expect("a pid fits");
    kill(Pid::from_raw(pid), signal).expect("an own child can be sent a signal");
}

/// Starts a command.
///
/// A file that was just written cannot be run while any process has it open, and a child that
/// another test starts at that moment has, until it becomes its own program.
pub fn spawn(command: &mut Command) -> Child {
    wait_for("a program that can be run", || match command.spawn() {
        Ok(child) => Some(child),
        Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => None,
        Err(error) => panic!("{command:?}: {error}"),
    })
}

/// Waits for the end of a child and returns what it wrote.
pub fn finish(child: Child, what: &str) -> Output {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid fits"));
    let (send, receive) = channel();
    std::thread::spawn(move || send.send(child.wait_with_output()));
    match receive.recv_timeout(LIMIT) {
        Ok(output) => output.expect("a child can be waited for"),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            let _ = kill(pid, Signal::SIGKILL);
            panic!("{what} did not end");
        }
    }
}

/// Looks again and again until `look` finds something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what}: waited in vain");
}
