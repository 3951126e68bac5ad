//! A Python program that runs while a test looks at it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::machine::{LIMIT, send, spawn};
use super::pythons::Python;

/// A Python program at work. Dropping it kills and reaps it.
pub struct Program {
    pub child: Child,
    lines: Receiver<String>,
    /// What it said before `ready`.
    announced: Vec<String>,
}

impl Program {
    /// Starts a program and waits until it says `ready`.
    pub fn start(python: &Python, script: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(&python.path);
        command.arg(script).args(arguments);
        Self::run(command)
    }

    /// Starts a program that is given as text.
    pub fn inline(python: &Python, text: &str) -> Self {
        let mut command = Command::new(&python.path);
        command.args(["-c", text]);
        Self::run(command)
    }

    /// Starts a command and waits until it says `ready`.
    pub fn run(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self::started(command)
    }

    /// Starts a program that waits for [`Self::nudge`], and waits until it says `ready`.
    pub fn nudged(python: &Python, script: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(&python.path);
        command.arg(script).args(arguments).stdin(Stdio::piped());
        Self::started(command)
    }

    fn started(mut command: Command) -> Self {
        let child = spawn(command.stdout(Stdio::piped()));
        let (send, lines) = channel();
        let mut program = Self { child, lines, announced: Vec::new() };
        let output = BufReader::new(program.child.stdout.take().expect("stdout is piped"));
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        loop {
            match program.next_line() {
                Some(line) if line == "ready" => return program,
                Some(line) => program.announced.push(line),
                None => panic!("{command:?} ended before it was ready"),
            }
        }
    }

    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// What the program said before `ready`, as JSON.
    pub fn announced(&self) -> Value {
        json(&self.announced)
    }

    /// Writes the line that the program waits for.
    pub fn nudge(&mut self) {
        let stdin = self.child.stdin.as_mut().expect("a program that is nudged");
        stdin.write_all(b"\n").expect("it waits for a line");
    }

    /// The next line that the program says, as JSON.
    pub fn says(&mut self) -> Value {
        let line = self.next_line();
        json(line.as_slice())
    }

    /// Ends the program as its user would, and returns what it says to that, as JSON.
    pub fn end(mut self) -> Value {
        send(&self.child, Signal::SIGTERM);
        let lines: Vec<_> = std::iter::from_fn(|| self.next_line()).collect();
        json(&lines)
    }

    fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the program has nothing to say"),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn json(lines: &[String]) -> Value {
    let line = lines.last().expect("the program said something");
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
