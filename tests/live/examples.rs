//! The programs in `examples/`: each names in its docstring what pyconc must say of it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::machine::{alone, say};
use super::program::{Program, repository};
use super::pyconc::{self, Run, exit};
use super::pythons::{self, Python};

/// What a docstring promises.
#[derive(Debug, PartialEq, Eq)]
struct Promise {
    verdict: String,
    /// The finding, or `none`; not judged where the docstring names none.
    finding: Option<String>,
    /// The recommended model; not judged where the docstring names none.
    model: Option<String>,
}

impl Promise {
    /// Reads the lines `Verdict: …` and `Finding: …`; where there is no GIL, a line
    /// `Verdict without a GIL: …` comes first.
    fn of(text: &str, gil: bool) -> Self {
        let line = |name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(found.trim().to_owned())
        };
        let without = if gil { None } else { line("Verdict without a GIL:") };
        match without {
            Some(verdict) => Self { verdict, finding: line("Finding without a GIL:"), model: None },
            None => Self {
                verdict: line("Verdict:").expect("the docstring names a verdict"),
                finding: Some(line("Finding:").expect("the docstring names a finding")),
                model: line("Recommendation:"),
            },
        }
    }

    /// How a report differs from this, if it does.
    fn broken_by(&self, report: &Value) -> Option<String> {
        let workload = report["verdict"]["workload"].as_str();
        let findings: Vec<(&str, &str)> = report["findings"]
            .as_array()
            .expect("a list of findings")
            .iter()
            .map(|finding| (text(&finding["id"]), text(&finding["severity"])))
            .collect();
        let serious = |(_, severity): &(&str, &str)| matches!(*severity, "error" | "warning");
        let kept = match self.finding.as_deref() {
            Some("none") => !findings.iter().any(serious),
            Some(id) => findings.iter().any(|(found, _)| *found == id),
            None => true,
        };
        let model = report["recommendation"]["model"].as_str();
        let advised = self.model.is_none() || self.model.as_deref() == model;
        let fine = workload == Some(self.verdict.as_str()) && kept && advised;
        (!fine).then(|| {
            let why = &report["verdict"]["why"];
            format!("{self:?} but: {workload:?} because {why}, {findings:?}, {model:?}")
        })
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn examples() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(repository("examples")).expect("examples/ can be read");
    let mut paths: Vec<_> = folder
        .map(|entry| entry.expect("examples/ can be read").path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "py"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 6, "{paths:?}");
    paths
}

/// How often a program is looked at anew when others had the CPUs, which is what is said then, and
/// rightly.
const TRIES: usize = 8;

/// A report of a program, made while it had the CPUs that it asked for, if there was such a time.
fn report_in_peace(program: &Program) -> Value {
    let report = || pyconc::json(&["report", "--pid", &program.pid(), "-d", "4", "-f", "json"]);
    let starved = |report: &Value| report["verdict"]["workload"] == "cpu-starved";
    let again = |report: &Value| {
        say(&format!("again, others had the CPUs: {}", report["target"]["cmdline"]));
    };
    let tries = std::iter::repeat_with(report).take(TRIES - 1).inspect(|it| {
        if starved(it) {
            again(it)
        }
    });
    tries.into_iter().find(|it| !starved(it)).unwrap_or_else(report)
}

/// Asks pyconc about a program that runs, and compares the answer with its docstring.
fn check(program: &Program, script: &Path, gil: bool) -> Option<String> {
    let promise = Promise::of(&std::fs::read_to_string(script).expect("an example"), gil);
    let report = report_in_peace(program);
    promise.broken_by(&report).map(|what| format!("{}: {what}", script.display()))
}

/// The mark of the programs that follow the advice that another one gets.
const FIXED: &str = "_fixed";
/// Examples whose end is what there is to see.
const ENDS: &str = "leak_on_shutdown";
/// So many examples are tried on every Python, the others on two of them, by turns.
const EVERYWHERE: [&str; 6] = [
    "gil_four_threads",
    "hash_threads",
    "loop_blocked_by_cpu",
    "loop_blocked_by_sleep",
    "loop_blocked_by_socket",
    "sequential_downloads",
];

fn stem(script: &Path) -> &str {
    script.file_stem().and_then(|stem| stem.to_str()).expect("a name")
}

/// Whether an example is tried on the Python with that index.
fn is_due(script: &Path, index: usize, python: usize, pythons: usize) -> bool {
    // The second one is half way round.
    let turns = [index % pythons, (index + pythons / 2) % pythons];
    EVERYWHERE.contains(&stem(script)) || turns.contains(&python)
}

#[test]
fn every_example_gets_what_its_docstring_names() {
    let _alone = alone();
    let mut wrong = Vec::new();
    let pythons = pythons::all();
    let scripts = examples().into_iter().filter(|it| !stem(it).ends_with(FIXED));
    for (index, script) in scripts.filter(|it| stem(it) != ENDS).enumerate() {
        for (turn, python) in pythons.iter().enumerate() {
            if is_due(&script, index, turn, pythons.len()) {
                let program = Program::start(python, &script, &["60"]);
                let broken = check(&program, &script, !python.free_threaded());
                wrong.extend(broken.map(|what| format!("{} {what}", python.version)));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Who has followed the advice is left alone.
#[test]
fn every_fixed_example_is_kept_as_it_is() {
    let _alone = alone();
    let mut wrong = Vec::new();
    let pythons = pythons::all();
    let scripts = examples().into_iter().filter(|it| stem(it).ends_with(FIXED));
    for (index, script) in scripts.enumerate() {
        let text = std::fs::read_to_string(&script).expect("an example");
        let free = text.lines().any(|line| line == "Python: free-threaded");
        let mut fit = pythons.iter().cycle().skip(index % pythons.len()).take(pythons.len());
        let Some(python) = fit.find(|python| !free || python.free_threaded()) else { continue };
        let program = Program::start(python, &script, &["60"]);
        let report = report_in_peace(&program);
        let model = &report["recommendation"]["model"];
        let findings = report["findings"].as_array().expect("a list of findings");
        let grave = findings.iter().find(|it| it["severity"] == "error");
        if model != "keep" || grave.is_some() {
            let why = &report["verdict"]["why"];
            wrong.push(format!("{} {}: {model}, {grave:?}, {why}", python.version, stem(&script)));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_program_that_keeps_its_end_waiting_is_told_how_to_close() {
    let _alone = alone();
    let (script, fixed) = ("examples/leak_on_shutdown.py", "examples/leak_on_shutdown_fixed.py");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("end.pyconc");
    let model = |script: &str| {
        let (path, python) = (repository(script), &pythons::any().path);
        let words = ["record", "-o"].map(OsStr::new);
        let rest = [file.as_os_str(), OsStr::new("--"), python.as_os_str(), path.as_os_str()];
        let arguments = [&words[..], &rest, &[OsStr::new("2")]].concat();
        assert_eq!(pyconc::run(&arguments).code, Some(exit::OK));
        let report: [&OsStr; 4] =
            ["report".as_ref(), "-f".as_ref(), "json".as_ref(), file.as_ref()];
        pyconc::json(&report)["recommendation"]["model"].clone()
    };
    assert_eq!(model(script), "close-on-shutdown");
    assert_eq!(model(fixed), "keep");
}

#[test]
fn a_free_threaded_build_may_run_with_the_gil() {
    let _alone = alone();
    for python in pythons::all().iter().filter(|python| python.free_threaded()) {
        let script = repository("examples/gil_four_threads.py");
        let mut command = Command::new(&python.path);
        command.arg(&script).arg("60").env("PYTHON_GIL", "1");
        assert_eq!(check(&Program::run(command), &script, true), None, "{}", python.version);
    }
}

/// The one thing that no example can show, since it is not the program's own doing.
#[test]
fn a_neighbour_that_takes_the_cpu_is_told() {
    let _alone = alone();
    let script = repository("tests/programs/starved.py");
    let program = Program::start(pythons::any(), &script, &[]);
    let report = pyconc::json(&["report", "--pid", &program.pid(), "-d", "4", "-f", "json"]);
    let promise =
        Promise { verdict: "cpu-starved".into(), finding: Some("cpu-starved".into()), model: None };
    assert_eq!(promise.broken_by(&report), None);
}

/// `pyconc report OPTIONS -- python -c TEXT`.
fn report_on_command(python: &Python, options: &[&str], text: &str) -> Run {
    let mut arguments: Vec<OsString> = vec!["report".into(), "-f".into(), "json".into()];
    arguments.extend(options.iter().map(Into::into));
    arguments.extend(["--".into(), python.path.clone().into(), "-c".into(), text.into()]);
    pyconc::run(&arguments)
}

#[test]
fn a_command_is_reported_from_its_start_to_its_end() {
    let _alone = alone();
    for python in pythons::all() {
        let run = report_on_command(python, &[], "import time, sys; time.sleep(1.5); sys.exit(7)");
        assert_eq!(run.code, Some(7), "{}: the command's own code\n{}", python.version, run.stderr);
        let report = run.json_of_any_end();
        assert!(report["quality"]["samples"].as_u64() > Some(20), "{}", report["quality"]);
        let version = text(&report["target"]["python"]);
        let family = python.version.trim_end_matches('t');
        assert!(version.starts_with(&format!("{family}.")), "{version} on {}", python.version);
    }
}

#[test]
fn a_gate_fires_before_the_commands_own_code_counts() {
    let _alone = alone();
    let blocks = "\
import asyncio, time

async def main():
    for _ in range(6):
        time.sleep(0.3)
        await asyncio.sleep(0)

asyncio.run(main())";
    let run = report_on_command(pythons::any(), &["--fail-on", "warning"], blocks);
    assert_eq!(run.code, Some(exit::GATE), "{}", run.stderr);
    let run = report_on_command(pythons::any(), &["--fail-on", "error"], "pass");
    assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
}

mod the_promise {
    use super::Promise;
    use serde_json::json;

    const TEXT: &str = "\"\"\"X.\n\nVerdict: gil-bound\nFinding: gil-contention\n\
        Verdict without a GIL: cpu-bound\n\"\"\"";

    #[test]
    fn is_read_from_the_docstring() {
        let with = Promise::of(TEXT, true);
        assert_eq!(
            (&*with.verdict, with.finding.as_deref()),
            ("gil-bound", Some("gil-contention"))
        );
        let without = Promise::of(TEXT, false);
        assert_eq!((&*without.verdict, without.finding), ("cpu-bound", None));
    }

    #[test]
    fn is_broken_by_another_verdict_or_finding() {
        let promise = Promise::of("Verdict: idle\nFinding: none", true);
        let report = |workload: &str, severity: &str| {
            json!({"verdict": {"workload": workload},
                "findings": [{"id": "a", "severity": severity}]})
        };
        assert_eq!(promise.broken_by(&report("idle", "info")), None);
        assert!(promise.broken_by(&report("idle", "warning")).is_some());
        assert!(promise.broken_by(&report("mixed", "info")).is_some());
        let promise = Promise::of("Verdict: idle\nFinding: b", true);
        assert!(promise.broken_by(&report("idle", "error")).is_some());
    }
}
