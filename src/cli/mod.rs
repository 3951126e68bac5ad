//! The command line. Invariant: the only `anyhow`, the only standard output and the only exit code.

mod args;
mod attach;
mod catalogue;
mod compare;
mod doctor;
mod dump;
mod explain;
mod export;
mod failure;
mod files;
mod observe;
mod ps;
mod record;
mod report;
mod top;
mod values;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

pub use self::args::Arguments;
use self::args::Command;
pub use self::failure::Failure;
use crate::output::sanitise;

/// The widest text of a target that is shown in a line.
const WIDEST: usize = 400;

/// Runs the program with its command line.
///
/// # Errors
/// With what went wrong, a hint where there is one, and the exit code.
pub fn run() -> Result<ExitCode, Failure> {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version come this way too, and help for want of a command.
        Err(other) if is_help(&other) => {
            other.print()?;
            return Ok(ExitCode::from(u8::try_from(other.exit_code()).unwrap_or(2)));
        }
        Err(usage) => return Err(Failure::from(usage)),
    };
    match arguments.command {
        Command::Record(options) => record::run(&options),
        Command::Top(options) => top::run(&options),
        Command::Report(options) => report::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Dump(options) => dump::run(&options),
        Command::Ps(options) => ps::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Explain(options) => explain::run(&options),
    }
}

/// Says something to the user beside the data; when nobody listens, that is no error.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn is_help(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// Tells the user what went wrong: one line with the cause, one with the fix.
#[must_use]
pub fn explain(failure: &Failure) -> ExitCode {
    // A message may hold words of the target.
    tell(&format!("error: {}", sanitise(&message(&failure.error), WIDEST)));
    if let Some(hint) = &failure.hint {
        tell(&format!("hint: {hint}"));
    }
    ExitCode::from(failure.code)
}

/// An error with its causes, but for those that the error before them names already.
fn message(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !parts.last().is_some_and(|before| before.ends_with(&cause)) {
            parts.push(cause);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::message;

    #[test]
    fn a_cause_is_named_once() {
        let inner = || std::io::Error::other("it is full");
        let told = anyhow::Error::from(inner()).context("writing x: it is full");
        assert_eq!(message(&told), "writing x: it is full");
        let plain: anyhow::Result<()> = Err(inner()).context("writing x");
        assert_eq!(message(&plain.unwrap_err()), "writing x: it is full");
    }
}
