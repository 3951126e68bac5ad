//! The command line. Invariant: the only `anyhow`, the only standard output and the only exit code.
#![allow(clippy::print_stderr, reason = "this layer speaks to the user")]

mod args;
mod attach;
mod doctor;
mod dump;
mod export;
mod failure;
mod files;
mod observe;
mod ps;
mod record;
mod report;
mod values;

use std::process::ExitCode;

use clap::Parser;

pub use self::args::Arguments;
use self::args::Command;
pub use self::failure::Failure;

/// The widest text of a target that is shown in a line.
const WIDEST: usize = 400;

/// Runs the program with its command line.
///
/// # Errors
/// With what went wrong, a hint where there is one, and the exit code.
pub fn run() -> Result<ExitCode, Failure> {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(usage) => {
            // Help and version come this way too, with code 0.
            let _ = usage.print();
            return Ok(ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2)));
        }
    };
    match arguments.command {
        Command::Record(options) => record::run(&options),
        Command::Report(options) => report::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Dump(options) => dump::run(&options),
        Command::Ps(options) => ps::run(&options),
        Command::Doctor(options) => doctor::run(&options),
    }
}

/// Tells the user what went wrong: one line with the cause, one with the fix.
#[must_use]
pub fn explain(failure: &Failure) -> ExitCode {
    if failure.is_broken_pipe() {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {:#}", failure.error);
    if let Some(hint) = &failure.hint {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(failure.code)
}
