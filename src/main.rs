//! The program: runs the command line and turns an error into message, hint and exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match pyconc::cli::run() {
        Ok(code) => code,
        Err(failure) => pyconc::cli::explain(&failure),
    }
}
