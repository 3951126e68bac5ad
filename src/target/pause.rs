//! Stopping a process, for the one option that asks for it.

use std::marker::PhantomData;

use super::process::{Process, ProcessState};

/// The process stays stopped as long as this lives.
pub struct Pause {
    _lock: remoteprocess::Lock,
    /// `ptrace` knows the thread that attached: only that one can detach.
    _not_send: PhantomData<*const ()>,
}

/// Why a process could not be stopped.
#[derive(Debug, thiserror::Error)]
#[error("cannot stop the process: {0}")]
pub struct PauseError(String);

impl Process {
    /// Stops all its threads until the value is dropped.
    ///
    /// # Errors
    /// When it has ended, or may not be traced, or is traced already.
    pub fn pause(&self) -> Result<Pause, PauseError> {
        if self.state() != ProcessState::Alive {
            return Err(PauseError("it has ended".to_owned()));
        }
        let pid = self.live_pid().ok_or_else(|| PauseError("it is an image".to_owned()))?;
        let lock = remoteprocess::Process::new(pid).and_then(|process| process.lock());
        let lock = lock.map_err(|error| PauseError(error.to_string()))?;
        Ok(Pause { _lock: lock, _not_send: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use crate::target::testing::{Program, eventually};

    #[test]
    fn a_paused_process_uses_no_time() {
        let program = Program::python("print('ready')\nwhile True: pass");
        let process = program.process();
        let pause = process.pause().unwrap();
        let before = process.cpu_time();
        // A tick, and another process's turn, would show it.
        for _ in 0..200 {
            std::thread::yield_now();
        }
        assert_eq!(process.cpu_time(), before);
        drop(pause);
        eventually(|| if process.cpu_time() > before { Ok(()) } else { Err(()) }).unwrap();
    }
}
