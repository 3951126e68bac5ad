//! The garbage collector at work, against the program's own stopwatch.

use serde_json::Value;

use super::machine::{alone, say};
use super::program::{Program, repository};
use super::pyconc;
use super::pythons;

/// The farthest that the share may be off: two seconds of samples of a program that collects in bursts,
/// against a stopwatch that runs a little longer.
const TOLERANCE: f64 = 0.12;

fn pressure(report: &Value) -> Option<&Value> {
    let findings = report["findings"].as_array().expect("a list of findings");
    findings.iter().find(|finding| finding["id"] == "gc-pressure")
}

#[test]
fn the_collectors_share_is_the_programs_own_count() {
    let _alone = alone();
    for python in pythons::all() {
        for mode in ["collects", "never"] {
            let script = repository("tests/programs/collects.py");
            let program = Program::start(python, &script, &[mode]);
            let report = pyconc::json(&["report", "-d", "2", "-f", "json", &program.pid()]);
            let folder = tempfile::tempdir().expect("a folder");
            let folded = folder.path().join("folded").to_string_lossy().into_owned();
            let options = ["record", "-d", "1", "-f", "folded", "-o", &folded];
            assert_eq!(pyconc::run(&[&options[..], &[&program.pid()]].concat()).code, Some(0));
            let stacks = std::fs::read_to_string(&folded).expect("folded stacks");
            let truth = program.end()["share"].as_f64().expect("a share");
            let seen = report["verdict"]["measures"]["collecting"]["value"].as_f64();
            let seen = seen.expect("the measure");
            say(&format!("{:6} {mode:9} {seen:.2} (itself {truth:.2})", python.version));
            assert!((seen - truth).abs() < TOLERANCE, "{} {seen} {truth}", python.version);
            let collects = mode == "collects";
            assert!(!collects || truth > 0.15, "{}: hardly collects", python.version);
            assert_eq!(pressure(&report).is_some(), collects, "{}", python.version);
            let shown = stacks.contains(";[garbage collection] ");
            assert_eq!(shown, collects, "{}: {stacks}", python.version);
            if let Some(finding) = pressure(&report) {
                let line =
                    finding["evidence"]["lines_that_set_it_off"][0]["where"]["function"].as_str();
                assert!(line.is_some(), "{}", python.version);
            }
        }
    }
}
