//! A command that is started to be observed.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

use nix::sys::signal::{Signal, kill};
use nix::unistd;

use crate::model::Pid;

/// A child process with our standard input and outputs. It goes on when this value is dropped.
#[derive(Debug)]
pub struct Launched {
    child: Child,
    status: Option<ExitStatus>,
}

/// Why a command could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No command was given.
    #[error("no command was given")]
    Empty,
    /// There is no such program.
    #[error("command not found: {command}")]
    NotFound {
        /// The program's name.
        command: String,
    },
    /// The file is there, but the interpreter or loader that it names is not.
    #[error("cannot start {command}: the interpreter that its first line names is missing")]
    NoInterpreter {
        /// The program's path.
        command: String,
    },
    /// It is not a program, or not one for us.
    #[error("cannot start {command}: {source}")]
    NotExecutable {
        /// The program's name.
        command: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot start {command}: {source}")]
    Io {
        /// The program's name.
        command: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl LaunchError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Empty => Some("put it behind two dashes: -- python3 app.py".to_owned()),
            Self::NotFound { .. } => {
                Some("check the spelling and PATH, or give the path of the program".to_owned())
            }
            Self::NotExecutable { command, .. } if command.ends_with(".py") => {
                Some(format!("give the interpreter too: -- python3 {command}"))
            }
            Self::NotExecutable { command, .. } => {
                Some(format!("is it a program? try: chmod +x {command}"))
            }
            Self::NoInterpreter { .. } | Self::Io { .. } => None,
        }
    }
}

impl Launched {
    /// Starts a command: the program, looked for along `PATH`, and its arguments.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub fn start(command: &[OsString]) -> Result<Self, LaunchError> {
        let (program, arguments) = command.split_first().ok_or(LaunchError::Empty)?;
        let child = Command::new(program).args(arguments).spawn().map_err(|source| {
            let command = program.to_string_lossy().into_owned();
            match source.raw_os_error() {
                Some(libc::ENOENT) if command.contains('/') && Path::new(program).exists() => {
                    LaunchError::NoInterpreter { command }
                }
                Some(libc::ENOENT | libc::ENOTDIR) => LaunchError::NotFound { command },
                Some(libc::EACCES | libc::ENOEXEC) => {
                    LaunchError::NotExecutable { command, source }
                }
                _ => LaunchError::Io { command, source },
            }
        })?;
        Ok(Self { child, status: None })
    }

    /// Its number. Until it was waited for, nobody else gets it.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.child.id() as Pid
    }

    /// Its end, when it has ended.
    ///
    /// # Errors
    /// When somebody else has waited for it.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.status = self.child.try_wait()?;
        Ok(self.status)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When somebody else has waited for it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }

    /// Sends it a signal that was meant for it and reached us; does nothing when it has been
    /// waited for. A key of the terminal (^C) reaches the child by itself, in the same group.
    ///
    /// # Errors
    /// When the signal does not exist, or the child has taken other rights than ours.
    pub fn forward(&self, signal: i32) -> io::Result<()> {
        if self.status.is_none() {
            kill(unistd::Pid::from_raw(self.pid()), Signal::try_from(signal)?)?;
        }
        Ok(())
    }

    /// The code that a shell would show for it: its own, or 128 and the number of the signal that
    /// ended it; `None` as long as no wait has seen its end.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        let status = self.status?;
        status.code().or_else(|| status.signal().map(|signal| 128 + signal))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::{LaunchError, Launched};
    use crate::target::testing::eventually;

    fn start(words: &[&str]) -> Result<Launched, LaunchError> {
        Launched::start(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_exit_code_is_the_commands_own_or_that_of_its_signal() {
        let mut command = start(&["sh", "-c", "exit 7"]).unwrap();
        assert_eq!(command.exit_code(), None);
        command.wait().unwrap();
        assert_eq!(command.exit_code(), Some(7));
        assert!(command.forward(libc::SIGTERM).is_ok());

        let mut command = start(&["sleep", "60"]).unwrap();
        assert_eq!(command.try_wait().unwrap(), None);
        command.forward(libc::SIGTERM).unwrap();
        let ended = eventually(|| command.try_wait().unwrap().ok_or("still runs"));
        assert!(ended.is_ok());
        assert_eq!(command.exit_code(), Some(128 + libc::SIGTERM));
    }

    #[test]
    fn what_cannot_be_started_is_said_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let script = file("app.py", "print(1)", 0o644);
        let orphan = file("orphan", "#!/no/such/interpreter\n", 0o755);
        let missing = start(&["pyconc-no-such-command"]).unwrap_err();
        assert!(matches!(missing, LaunchError::NotFound { .. }) && missing.hint().is_some());
        let script = start(&[&script]).unwrap_err();
        assert!(matches!(script, LaunchError::NotExecutable { .. }));
        assert!(script.hint().unwrap().contains("python3"));
        assert!(matches!(start(&[&orphan]), Err(LaunchError::NoInterpreter { .. })));
        assert!(matches!(start(&[]), Err(LaunchError::Empty)));
        let folder = start(&[folder.path().to_str().unwrap()]).unwrap_err();
        assert!(!folder.to_string().contains('\n'));
    }
}
