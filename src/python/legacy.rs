//! CPython 2.7, 3.6 and 3.7, through py-spy's reader: stacks and who has the GIL, no more.

use py_spy::config::{Config, LockingStrategy};
use py_spy::{Frame, PythonSpy};

use super::layout::Version;
use super::module_name::module_of;
use super::tid::PthreadTid;
use crate::model::{Function, Tid};
use crate::target::{Memory, Process};

/// Whether a version is read this way.
#[must_use]
pub fn is_legacy(version: Version) -> bool {
    matches!((version.major, version.minor), (2, 7) | (3, 6 | 7))
}

/// What py-spy could not do, in its own words.
#[derive(Debug, thiserror::Error)]
#[error("py-spy's reader, which serves Python 2.7, 3.6 and 3.7: {0}")]
pub struct LegacyError(String);

/// A thread with its stack.
#[derive(Debug, Clone, PartialEq)]
pub struct LegacyThread {
    /// The native thread; 0 when it cannot be told.
    pub tid: Tid,
    /// Whether it has the GIL.
    pub holds_gil: bool,
    /// Its functions and lines, innermost first.
    pub frames: Vec<(Function, u32)>,
}

/// An old interpreter.
pub struct LegacyInterpreter<M> {
    memory: M,
    spy: PythonSpy,
    version: Version,
    pthread_tid: PthreadTid,
}

impl<M: Memory> LegacyInterpreter<M> {
    /// Finds the interpreter of a process; with `blocking`, py-spy stops it for each sample.
    ///
    /// # Errors
    /// When py-spy cannot.
    pub fn new(process: &Process, memory: M, blocking: bool) -> Result<Self, LegacyError> {
        let pid = process.live_pid().ok_or_else(|| explain("it reads no images"))?;
        let blocking = if blocking { LockingStrategy::Lock } else { LockingStrategy::NonBlocking };
        let config = Config { blocking, ..Config::default() };
        let spy = PythonSpy::new(pid, &config).map_err(explain)?;
        let version = Version {
            major: u8::try_from(spy.version.major).unwrap_or(0),
            minor: u8::try_from(spy.version.minor).unwrap_or(0),
            micro: u8::try_from(spy.version.patch).ok(),
            free_threaded: false,
        };
        Ok(Self { memory, spy, version, pthread_tid: PthreadTid::default() })
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The stacks of all threads. py-spy reads frame by frame, so that, unless the target is
    /// stopped, the stack of a thread that runs may be a mixture of two moments.
    ///
    /// # Errors
    /// When py-spy fails.
    pub fn threads(&mut self, tids: &[Tid]) -> Result<Vec<LegacyThread>, LegacyError> {
        let traces = self.spy.get_stack_traces().map_err(explain)?;
        let idents: Vec<u64> = traces.iter().map(|trace| trace.thread_id).collect();
        let native = self.pthread_tid.resolve(&self.memory, &idents, tids);
        let threads = traces.iter().zip(native).map(|(trace, tid)| LegacyThread {
            tid,
            holds_gil: trace.owns_gil,
            frames: trace.frames.iter().map(function_and_line).collect(),
        });
        Ok(threads.collect())
    }
}

fn explain(error: impl std::fmt::Display) -> LegacyError {
    LegacyError(error.to_string())
}

fn function_and_line(frame: &Frame) -> (Function, u32) {
    let function = Function {
        name: frame.name.as_str().into(),
        qualified: false,
        module: module_of(&frame.filename).into(),
        file: frame.filename.as_str().into(),
        // py-spy gives the line that runs, not the function's first.
        first_line: 0,
    };
    (function, u32::try_from(frame.line).unwrap_or(0))
}
