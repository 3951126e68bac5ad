//! Recordings before and after a change, compared.

use std::path::Path;

use serde_json::Value;

use super::machine::alone;
use super::program::{Program, repository};
use super::pyconc::{self, Run, exit};
use super::pythons::{self, Python};

const BEFORE: &str = "examples/loop_blocked_by_sleep.py";
const AFTER: &str = "examples/loop_blocked_by_sleep_fixed.py";
/// Seconds of a recording: enough to tell what is chance.
const LENGTH: &str = "6";
/// Pythons that are recorded at a time; they mostly wait.
const AT_A_TIME: usize = 3;

/// Starts to record an example into a file.
fn record(python: &Python, script: &str, file: &Path) -> (Program, std::process::Child) {
    let program = Program::start(python, &repository(script), &["60"]);
    let mut command = pyconc::command(&["record", "-d", LENGTH, "--pid", &program.pid(), "-o"]);
    command.arg(file);
    (program, pyconc::start(command))
}

fn compare(files: [&Path; 2], more: &[&str]) -> Run {
    let mut command = pyconc::command(&["compare"]);
    command.args(files).args(more);
    Run::of(pyconc::start(command))
}

fn change<'a>(comparison: &'a Value, id: &str) -> &'a Value {
    let changes = comparison["changes"].as_array().expect("a list of changes");
    changes.iter().find(|it| it["id"] == id).unwrap_or_else(|| panic!("no {id}: {changes:#?}"))
}

fn valid(schema: &Value, comparison: &Value) {
    let validator = jsonschema::validator_for(schema).expect("a schema");
    let errors: Vec<_> = validator.iter_errors(comparison).map(|it| it.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn an_improvement_is_proved_and_its_undoing_is_a_regression() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let schema: Value =
        serde_json::from_str(&pyconc::run(&["compare", "--schema"]).stdout).expect("a schema");
    for some in pythons::all().chunks(AT_A_TIME) {
        let file = |python: &Python, side: &str| {
            folder.path().join(format!("{}-{side}.pyconc", python.version))
        };
        let running: Vec<_> = some
            .iter()
            .flat_map(|it| [(BEFORE, "before"), (AFTER, "after")].map(|side| (it, side)))
            .map(|(it, (script, side))| record(it, script, &file(it, side)))
            .collect();
        for (program, child) in running {
            let run = Run::of(child);
            assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
            drop(program);
        }
        for python in some {
            let version = &python.version;
            let (before, after) = (file(python, "before"), file(python, "after"));
            let run = compare([&before, &after], &["-f", "json", "--fail-on", "regression"]);
            assert_eq!(run.code, Some(exit::OK), "{version}: {}{}", run.stdout, run.stderr);
            let told: Value = serde_json::from_str(&run.stdout).expect("JSON");
            valid(&schema, &told);
            assert_eq!(told["outcome"], "improved", "{version}: {told:#}");
            assert_eq!(told["advice"]["followed"], true, "{version}: {}", told["advice"]);
            let blocked = change(&told, "tag-event-loop-blocking");
            assert_eq!(blocked["significant"], true, "{version}: {blocked}");
            let sentence = told["sentence"].as_str().expect("a sentence");
            assert!(sentence.contains("event loop blocked"), "{version}: {sentence}");

            let undone = compare([&after, &before], &["--fail-on", "regression"]);
            assert_eq!(undone.code, Some(exit::GATE), "{version}: {}", undone.stdout);
            assert!(undone.stdout.starts_with("REGRESSED: "), "{version}: {}", undone.stdout);
            assert!(undone.stdout.lines().all(|line| line.chars().count() <= 80));
        }
    }
    let python = pythons::any();
    let side = |side: &str| folder.path().join(format!("{}-{side}.pyconc", python.version));
    let (before, after) = (side("before"), side("after"));
    let same = compare([&before, &before], &[]);
    assert_eq!(same.code, Some(exit::USAGE), "{}", same.stderr);
    assert!(same.stderr.contains("the same recording"), "{}", same.stderr);
    let picture = compare([&before, &after], &["-f", "flamegraph"]);
    assert!(picture.stdout.contains("<svg"), "{}", picture.stderr);
}
