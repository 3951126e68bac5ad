//! Runs of the program under test.

use std::ffi::OsStr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

use super::machine::{finish, spawn};
use super::program::repository;

/// Its exit codes, as design.md lists them.
pub mod exit {
    pub const OK: i32 = 0;
    pub const ERROR: i32 = 1;
    pub const USAGE: i32 = 2;
    pub const GATE: i32 = 3;
    pub const NO_SUCH_PROCESS: i32 = 4;
    pub const PERMISSION: i32 = 5;
    pub const NOT_PYTHON: i32 = 6;
}

/// What a run of pyconc left.
#[derive(Debug)]
pub struct Run {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A command that runs pyconc.
pub fn command<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pyconc"));
    command.args(arguments);
    command
}

/// Starts a command with its output caught.
pub fn start(mut command: Command) -> Child {
    spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// Runs pyconc to its end.
pub fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Run {
    Run::of(start(command(arguments)))
}

/// Runs pyconc, which must end well, and reads the JSON that it writes.
pub fn json<S: AsRef<OsStr>>(arguments: &[S]) -> Value {
    run(arguments).json()
}

impl Run {
    /// Waits for the end of a run.
    pub fn of(child: Child) -> Self {
        let Output { status, stdout, stderr } = finish(child, "pyconc");
        let run = Self {
            code: status.code(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        };
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        run
    }

    /// The JSON that a run that ended well has written.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(exit::OK), "{}", self.stderr);
        self.json_of_any_end()
    }

    /// The JSON that a run has written, however it ended.
    ///
    /// A report must be as the schema has it.
    pub fn json_of_any_end(&self) -> Value {
        let value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.stdout, self.stderr));
        check_report(&value);
        value
    }

    /// Asserts that a run failed as it should: with this code, one line that names the cause with
    /// one of these words, at most one hint, and nothing on stdout.
    pub fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert_eq!(self.stdout, "", "data to stdout, status to stderr");
        let lines: Vec<_> = self.stderr.lines().collect();
        assert!(
            matches!(lines[..], [error] if error.starts_with("error: "))
                || matches!(lines[..], [error, hint]
                    if error.starts_with("error: ") && hint.starts_with("hint: ")),
            "one line `error:` and at most one `hint:`, not:\n{}",
            self.stderr
        );
        let lower = self.stderr.to_lowercase();
        assert!(
            words.iter().any(|word| lower.contains(&word.to_lowercase())),
            "none of {words:?} in: {}",
            self.stderr
        );
    }
}

/// Compares a report with its schema.
fn check_report(value: &Value) {
    static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let text = std::fs::read_to_string(repository("src/output/report.schema.json"));
        let schema = serde_json::from_str(&text.expect("the schema")).expect("JSON");
        jsonschema::validator_for(&schema).expect("a schema")
    });
    if value["schema"] == "pyconc.report/1" {
        let mut wrong = SCHEMA
            .iter_errors(value)
            .take(5)
            .map(|error| format!("{} at {}", error, error.instance_path()));
        let first = wrong.next();
        assert!(first.is_none(), "{first:?}, {:?}", wrong.collect::<Vec<_>>());
    }
}
