//! The commands that look at what runs, without a recording.

use super::machine::shared;
use super::program::{Program, repository};
use super::pyconc::{self, exit};
use super::pythons;

#[test]
fn ps_lists_pythons_and_nothing_else() {
    let _shared = shared();
    let programs: Vec<_> = pythons::all()
        .iter()
        .map(|python| Program::start(python, &repository("tests/programs/old.py"), &[]))
        .collect();
    let run = pyconc::run(&["ps"]);
    assert_eq!(run.code, Some(exit::OK), "{}", run.stderr);
    let lists =
        |pid: &str| run.stdout.lines().any(|line| line.split_whitespace().next() == Some(pid));
    for program in &programs {
        assert!(lists(&program.pid()), "{} is not in:\n{}", program.pid(), run.stdout);
    }
    assert!(!lists(&std::process::id().to_string()), "this test is no Python:\n{}", run.stdout);
}

#[test]
fn dump_shows_every_thread_with_its_stack_and_cause() {
    let _shared = shared();
    let script = repository("tests/programs/labelled.py");
    for python in pythons::all() {
        let program = Program::start(python, &script, &["waits"]);
        for target in [&["--pid", &program.pid()][..], &[&program.pid()]] {
            let run = pyconc::run(&[&["dump"], target].concat());
            assert_eq!(run.code, Some(exit::OK), "{}: {}", python.version, run.stderr);
            for word in ["read_socket", "wait_for_lock", "wait_for_child", "idle-loop", "network"] {
                assert!(run.stdout.contains(word), "{}: {word}\n{}", python.version, run.stdout);
            }
        }
        let json = pyconc::json(&["dump", "--json", "--pid", &program.pid()]);
        assert!(json.is_object(), "{json}");
    }
}

#[test]
fn doctor_is_content_where_everything_is_permitted() {
    let _shared = shared();
    let program = Program::start(pythons::any(), &repository("tests/programs/old.py"), &[]);
    for arguments in [&["doctor"][..], &["doctor", &program.pid()]] {
        let run = pyconc::run(arguments);
        assert_eq!(run.code, Some(exit::OK), "{}\n{}", run.stdout, run.stderr);
        assert!(!run.stdout.is_empty());
    }
}

#[test]
fn probes_of_the_user_go_before_those_built_in() {
    let _shared = shared();
    let folder = tempfile::tempdir().expect("a folder");
    let probe = |cause: &str| {
        let text = format!(
            r#"
            [[probe]]
            id = "our-nap"
            cause = "{cause}"
            frames = ["...", "*:take_a_nap"]
            title = "the nap of ours"
            why = "It naps."
            advice = "Wake it."
            hit = ["app:take_a_nap | clock_nanosleep | {cause}"]
            miss = ["app:work | clock_nanosleep | {cause}"]
            "#
        );
        std::fs::write(folder.path().join("ours.toml"), text).expect("a file can be written");
    };
    let path = folder.path().to_str().expect("a path");
    let empty = pyconc::run(&["dump", "1", "--probes", path]);
    empty.fails(exit::USAGE, &["no .toml file"]);
    for python in pythons::all() {
        let program = Program::start(python, &repository("tests/programs/old.py"), &[]);
        // Evidence says sleep: a probe may park that or annotate it, and make nothing else of it.
        for (cause, seen, noted) in
            [("parked", "parked", true), ("sleep", "sleep", true), ("network", "sleep", false)]
        {
            probe(cause);
            let dump = pyconc::json(&["dump", "--json", &program.pid(), "--probes", path]);
            let main = &dump["threads"][0];
            assert_eq!(main["cause"], seen, "{}: {cause}", python.version);
            assert_eq!(main["note"] == "our-nap", noted, "{}: {cause}", python.version);
        }
    }
}
