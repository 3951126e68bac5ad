//! `pyconc ps`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::WIDEST;
use super::args::Ps;
use super::failure::Failure;
use super::files::Document;
use crate::model::Pid;
use crate::output::sanitise;
use crate::python::{LocateError, Runtime};
use crate::target::{OpenError, Process, all_pids};

/// A Python process.
pub(super) struct Row {
    pub pid: Pid,
    /// `None` when it may not be looked at.
    pub version: Option<String>,
    pub threads: usize,
    pub command: String,
}

/// The Python processes of this machine, but for this one.
pub(super) fn rows() -> Result<Vec<Row>, Failure> {
    let own = std::process::id() as Pid;
    Ok(all_pids()?.into_iter().filter(|pid| *pid != own).filter_map(row).collect())
}

pub(super) fn run(options: &Ps) -> Result<ExitCode, Failure> {
    let rows = rows()?;
    Document::Stdout.write(|out| {
        if options.json {
            let rows: Vec<Value> = rows.iter().map(Row::json).collect();
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            return writeln!(out);
        }
        writeln!(out, "{:>8}  {:<8} {:>7}  COMMAND", "PID", "PYTHON", "THREADS")?;
        for row in &rows {
            let version = row.version.as_deref().unwrap_or("denied");
            writeln!(
                out,
                "{:>8}  {version:<8} {:>7}  {}",
                row.pid,
                row.threads,
                sanitise(&row.command, WIDEST)
            )?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

impl Row {
    fn json(&self) -> Value {
        json!({ "pid": self.pid, "python": self.version, "threads": self.threads, "cmdline": self.command })
    }
}

/// The process `pid`, when it is a Python. One that may not be looked at is listed when its
/// command's name says Python.
fn row(pid: Pid) -> Option<Row> {
    match Process::open(pid) {
        Ok(process) => {
            let version = match Runtime::find(&process) {
                Ok(runtime) => runtime.version.to_string(),
                Err(LocateError::PyPy { .. }) => "PyPy".to_owned(),
                Err(_) => return None,
            };
            Some(Row {
                pid,
                version: Some(version),
                threads: process.tids().map_or(0, |tids| tids.len()),
                command: process.command_line().join(" "),
            })
        }
        Err(OpenError::Permission { .. }) => {
            // What everybody may read, even of a process that is somebody else's.
            let command = procfs::process::Process::new(pid).ok()?.cmdline().ok()?;
            let program = command.first()?.rsplit('/').next()?.to_owned();
            program.starts_with("python").then(|| Row {
                pid,
                version: None,
                threads: 0,
                command: command.join(" "),
            })
        }
        Err(_) => None,
    }
}
