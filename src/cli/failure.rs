//! What went wrong, what to do about it, and the exit code that says so to a script.

use std::io;

use clap::error::ContextKind;

use crate::catalog::CatalogError;
use crate::profile::RecordingError;
use crate::python::{Layout, LayoutError, LocateError};
use crate::sampler::{AttachError, TasksError};
use crate::session::SessionError;
use crate::target::{LaunchError, OpenError};

/// Any error.
const ERROR: u8 = 1;
/// The command line makes no sense.
const USAGE: u8 = 2;
/// There is no such process.
const NO_PROCESS: u8 = 4;
/// It is not permitted.
const PERMISSION: u8 = 5;
/// Not a Python, or none that is known.
const NOT_PYTHON: u8 = 6;

/// An error as the user sees it.
#[derive(Debug)]
pub struct Failure {
    /// What was attempted, and what went wrong.
    pub error: anyhow::Error,
    /// What to do.
    pub hint: Option<String>,
    /// The exit code.
    pub code: u8,
}

impl Failure {
    /// The command line is well-formed but makes no sense.
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { error: anyhow::Error::msg(message.into()), hint: Some(hint.into()), code: USAGE }
    }

    /// Somebody else's failure, with a hint of ours.
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn new(error: impl Into<anyhow::Error>, hint: Option<String>, code: u8) -> Self {
        Self { error: error.into(), hint, code }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { error, hint: None, code: ERROR }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let code = match error {
            OpenError::NoSuchProcess { .. } | OpenError::Zombie { .. } => NO_PROCESS,
            OpenError::Permission { .. } => PERMISSION,
            OpenError::NoMemory { .. } => NOT_PYTHON,
            _ => ERROR,
        };
        let hint = error.hint();
        Self::new(error, hint, code)
    }
}

impl From<AttachError> for Failure {
    fn from(error: AttachError) -> Self {
        let (hint, code) = match &error {
            AttachError::Locate(LocateError::NotPython { .. }) => {
                let hint = "`pyconc ps` lists the Python processes of this machine";
                (Some(hint.to_owned()), NOT_PYTHON)
            }
            AttachError::Locate(LocateError::PyPy { .. } | LocateError::NoVersion { .. }) => {
                (None, NOT_PYTHON)
            }
            AttachError::Layout(LayoutError::Unknown(_)) => {
                let hint =
                    format!("known are {}; a newer pyconc may know more", Layout::KNOWN.join(", "));
                (Some(hint), NOT_PYTHON)
            }
            AttachError::Layout(LayoutError::Implausible(_)) => (None, NOT_PYTHON),
            _ => (None, ERROR),
        };
        Self::new(error, hint, code)
    }
}

impl From<TasksError> for Failure {
    fn from(error: TasksError) -> Self {
        match error {
            TasksError::Attach(error) => error.into(),
            TasksError::TooOld { .. } => Self::new(error, None, NOT_PYTHON),
            TasksError::Unreadable { .. } => {
                let hint = "its tasks come and go quickly: try again";
                Self::new(error, Some(hint.to_owned()), ERROR)
            }
        }
    }
}

/// Errors that need no more than their message.
macro_rules! plain {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error, None, ERROR)
            }
        })*
    };
}

plain!(CatalogError, RecordingError, SessionError, io::Error);

/// The parser's message, in one line.
impl From<clap::Error> for Failure {
    fn from(mut error: clap::Error) -> Self {
        // It would have an option that does not exist passed on after `--`, where a command begins.
        error.remove(ContextKind::Suggested);
        let text = error.to_string();
        let message: Vec<&str> = text
            .lines()
            .map(str::trim)
            .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
            .filter(|line| !line.is_empty())
            .collect();
        let message = message.join(" ");
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        Self::usage(message, "pyconc --help, and pyconc COMMAND --help, say what there is")
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        let hint = error.hint();
        Self::new(error, hint, ERROR)
    }
}
