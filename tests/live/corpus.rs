//! Programs as real ones look: servers, workers, pipelines, notebooks, tools. Each says in its docstring what is
//! to be said of it, by the judgement of somebody who did not know how pyconc judges.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::machine::{alone, say};
use super::packages;
use super::program::{Program, repository};
use super::pyconc;
use super::pythons::{self, Python};

/// The Python for programs that need packages: one for which all of them have wheels.
const WITH_PACKAGES: &str = "3.11";
/// Of so many programs one may get another verdict than its docstring names.
const ONE_OF: usize = 20;
/// From which share of the CPU time within reach on that went to others a verdict says nothing.
const CROWDED: f64 = 0.2;

/// What a docstring says.
struct Label {
    verdict: String,
    healthy: bool,
    packages: Vec<String>,
}

impl Label {
    fn of(path: &Path, gil: bool) -> Self {
        let text = std::fs::read_to_string(path).expect("a program");
        let line = |name: &str| {
            let found = text.lines().find_map(|line| line.trim().strip_prefix(name))?;
            Some(found.trim().to_owned())
        };
        let without = line("Verdict without a GIL:").filter(|_| !gil);
        let packages = line("Packages:").unwrap_or_default();
        Self {
            verdict: without.or_else(|| line("Verdict:")).expect("a verdict"),
            healthy: line("Healthy:").as_deref() == Some("yes"),
            packages: packages.split(", ").filter(|it| !it.is_empty()).map(Into::into).collect(),
        }
    }
}

/// What is wrong with a report.
struct Wrong {
    verdict: Option<String>,
    finding: Option<String>,
}

fn judge(python: &Python, path: &Path, label: &Label) -> (Wrong, f64) {
    let program = Program::start(python, path, &["60"]);
    let report = pyconc::json(&["report", "--pid", &program.pid(), "-d", "4", "-f", "json"]);
    let verdict = &report["verdict"];
    let got = verdict["workload"].as_str().unwrap_or_default();
    let why = || format!("{got} and not {}: {}", label.verdict, verdict["why"]);
    let findings = report["findings"].as_array().expect("a list");
    // That its machine is shared is no fault of the program's.
    let grave = |it: &&Value| it["severity"] == "error" && it["id"] != "cpu-starved";
    let error = findings.iter().find(grave).filter(|_| label.healthy);
    let wrong = Wrong {
        verdict: (got != label.verdict).then(why),
        finding: error.map(|it| format!("healthy, but {}: {}", it["id"], it["name"])),
    };
    (wrong, verdict["measures"]["starvation"]["value"].as_f64().unwrap_or_default())
}

fn programs() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(repository("tests/corpus")).expect("the corpus can be read");
    let mut paths: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|suffix| suffix == "py"));
    paths.sort();
    assert!(paths.len() >= 40, "{paths:?}");
    paths
}

#[test]
fn programs_as_real_ones_look_get_the_verdict_that_an_engineer_gives() {
    let _alone = alone();
    let pythons = pythons::all();
    let (mut wrong, mut blamed, mut judged) = (Vec::new(), Vec::new(), 0);
    for (index, path) in programs().into_iter().enumerate() {
        // Those that need nothing go round all versions.
        let plain = &pythons[index % pythons.len()];
        let label = Label::of(&path, !plain.free_threaded());
        let names: Vec<&str> = label.packages.iter().map(String::as_str).collect();
        let special = pythons.iter().find(|python| python.version == WITH_PACKAGES);
        let python = match (names.is_empty(), special) {
            (true, _) => Some(plain.clone()),
            (false, Some(python)) => packages::with(python, &names),
            (false, None) => None,
        };
        let Some(python) = python else { continue };
        let label = Label::of(&path, !python.free_threaded());
        judged += 1;
        let (mut found, starvation) = judge(&python, &path, &label);
        if (found.verdict.is_some() || found.finding.is_some()) && starvation > CROWDED {
            say(&format!("again, others had the CPUs: {}", path.display()));
            found = judge(&python, &path, &label).0;
        }
        let told = |what: String| format!("{} on {}: {what}", path.display(), python.version);
        wrong.extend(found.verdict.map(told));
        blamed.extend(found.finding.map(told));
    }
    say(&format!("{} of {judged} verdicts as labelled", judged - wrong.len()));
    wrong.iter().for_each(|line| say(line));
    assert!(blamed.is_empty(), "\n{}", blamed.join("\n"));
    assert!(wrong.len() <= judged / ONE_OF, "\n{}", wrong.join("\n"));
}
