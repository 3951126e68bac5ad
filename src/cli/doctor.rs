//! `pyconc doctor`.

use std::process::ExitCode;

use super::WIDEST;
use super::args::Doctor;
use super::failure::Failure;
use super::files::Document;
use crate::model::Pid;
use crate::output::sanitise;
use crate::python::is_legacy;
use crate::sampler::ProcessSampler;
use crate::target::{Check, Process, checks};

pub(super) fn run(options: &Doctor) -> Result<ExitCode, Failure> {
    let mut found = checks(options.pid);
    let mut code = None;
    if let Some(pid) = options.pid {
        let (check, failed) = interpreter(pid);
        found.push(check);
        code = failed;
    }
    let healthy = found.iter().all(|check| check.ok);
    Document::Stdout.write(|out| {
        if options.json {
            let list: Vec<_> = found
                .iter()
                .map(|check| {
                    serde_json::json!({
                        "name": check.name, "ok": check.ok, "detail": check.detail, "fix": check.fix,
                    })
                })
                .collect();
            serde_json::to_writer_pretty(&mut *out, &list)?;
            return writeln!(out);
        }
        for check in &found {
            let mark = if check.ok { "ok " } else { "NO " };
            writeln!(out, "{mark} {:<22} {}", check.name, sanitise(&check.detail, WIDEST))?;
            if let Some(fix) = check.fix.as_ref().filter(|_| !check.ok) {
                writeln!(out, "    fix: {fix}")?;
            }
        }
        Ok(())
    })?;
    Ok(ExitCode::from(code.unwrap_or(u8::from(!healthy))))
}

/// Whether the interpreter of a process can be read, and the exit code that says why not.
fn interpreter(pid: Pid) -> (Check, Option<u8>) {
    let version = Process::open(pid)
        .map_err(Failure::from)
        .and_then(|process| ProcessSampler::attach(process, false).map_err(Failure::from))
        .map(|sampler| sampler.version());
    let check = |ok, detail, fix| Check { name: "interpreter", ok, detail, fix };
    match version {
        Ok(version) if is_legacy(version) => {
            let detail =
                format!("CPython {version}: stacks and the kernel's causes, no GIL, no loops");
            (check(true, detail, None), None)
        }
        Ok(version) => {
            let detail =
                format!("CPython {version}, threads, stacks, GIL and event loops can be read");
            (check(true, detail, None), None)
        }
        Err(failure) => {
            (check(false, format!("{:#}", failure.error), failure.hint), Some(failure.code))
        }
    }
}
