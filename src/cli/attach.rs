//! From what the user named to a session: a process that runs, or a command to be run.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::failure::Failure;
use crate::catalog::Catalog;
use crate::python::LayoutError;
use crate::sampler::AttachError;
use crate::session::{Ending, Options, Session};
use crate::target::{Launched, Process};

/// How long a command that was started may take to become a Python.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long a process that runs may take to have an interpreter.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often that is looked at.
const START_POLL: Duration = Duration::from_millis(2);
/// How long a command that was asked to end may take.
const END_LIMIT: Duration = Duration::from_secs(3);

/// What is to be observed.
#[derive(Debug)]
pub(super) enum Subject {
    /// A process that runs.
    Pid(i32),
    /// A command to be run.
    Launch(Vec<OsString>),
}

impl Subject {
    /// The subject of the options that all commands share.
    pub(super) fn of(
        positional: Option<i32>,
        target: &super::args::Target,
    ) -> Result<Self, Failure> {
        match (positional.or(target.pid), target.launch.as_slice()) {
            (Some(pid), _) => Ok(Self::Pid(pid)),
            (None, []) => Err(Failure::usage(
                "nothing to look at",
                "name a process (--pid N, or just N), or a command after --",
            )),
            (None, command) => Ok(Self::Launch(command.to_vec())),
        }
    }
}

/// Set when the user, or the system, asks us to stop.
pub(super) fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// A session, and the command that was started for it.
pub(super) struct Attached<'c> {
    pub session: Session<'c>,
    launched: Option<Launched>,
}

impl<'c> Attached<'c> {
    /// Attaches to `subject`.
    pub(super) fn new(
        subject: &Subject,
        catalog: &'c Catalog,
        options: Options,
        stop: &AtomicBool,
    ) -> Result<Self, Failure> {
        match subject {
            Subject::Pid(pid) => {
                let session = attach_while_starting(*pid, catalog, options)?;
                Ok(Self { session, launched: None })
            }
            Subject::Launch(command) => {
                let mut launched = Launched::start(command)?;
                let options = Options { launched: true, ..options };
                match attach_when_ready(&mut launched, catalog, options, stop) {
                    Ok(session) => Ok(Self { session, launched: Some(launched) }),
                    Err(failure) => {
                        end(&mut launched);
                        Err(failure)
                    }
                }
            }
        }
    }

    /// Ends the command that was started, if it still runs, and gives the exit code: the
    /// command's own when it ended by itself.
    pub(super) fn finish(mut self, ending: Ending) -> ExitCode {
        let Some(launched) = &mut self.launched else { return ExitCode::SUCCESS };
        if let Ending::Target(_) = ending {
            let _ = launched.wait();
            let code = launched.exit_code().and_then(|code| u8::try_from(code).ok());
            return code.map_or(ExitCode::FAILURE, ExitCode::from);
        }
        ExitCode::SUCCESS
    }
}

/// Whatever goes wrong, a command that we started does not outlive us.
impl Drop for Attached<'_> {
    fn drop(&mut self) {
        if let Some(launched) = &mut self.launched {
            end(launched);
        }
    }
}

/// Attaches to a process; where its interpreter is not there yet, or no more, that may be a matter of
/// milliseconds.
fn attach_while_starting<'c>(
    pid: i32,
    catalog: &'c Catalog,
    options: Options,
) -> Result<Session<'c>, Failure> {
    let started = Instant::now();
    loop {
        let failure = match Session::attach(Process::open(pid)?, catalog, options) {
            Ok(session) => return Ok(session),
            Err(failure) => failure,
        };
        let passes =
            matches!(failure, AttachError::Interpreter { .. } | AttachError::NoThread { .. });
        if !passes || started.elapsed() > PATIENCE {
            return Err(failure.into());
        }
        std::thread::sleep(START_POLL);
    }
}

/// Waits until a command has become a Python that can be read: a shell script may start it, and
/// Python itself takes a while.
fn attach_when_ready<'c>(
    launched: &mut Launched,
    catalog: &'c Catalog,
    options: Options,
    stop: &AtomicBool,
) -> Result<Session<'c>, Failure> {
    let started = Instant::now();
    loop {
        if let Ok(Some(_)) = launched.try_wait() {
            let code = launched.exit_code().unwrap_or_default();
            return Err(anyhow::anyhow!(
                "the command ended (code {code}) before it became a Python that can be sampled"
            )
            .into());
        }
        let failure = match Process::open(launched.pid()) {
            Ok(process) => match Session::attach(process, catalog, options) {
                Ok(session) => return Ok(session),
                // All else may come right while the program starts.
                Err(error @ AttachError::Layout(LayoutError::Unknown(_))) => {
                    return Err(error.into());
                }
                Err(error) => Failure::from(error),
            },
            Err(error) => error.into(),
        };
        if started.elapsed() > START_LIMIT || stop.load(Ordering::Relaxed) {
            return Err(failure);
        }
        std::thread::sleep(START_POLL);
    }
}

/// Ends a command that we started: asks first, then insists.
fn end(launched: &mut Launched) {
    let started = Instant::now();
    let _ = launched.forward(libc::SIGTERM);
    while started.elapsed() < END_LIMIT {
        if !matches!(launched.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(START_POLL);
    }
    let _ = launched.forward(libc::SIGKILL);
    let _ = launched.wait();
}
