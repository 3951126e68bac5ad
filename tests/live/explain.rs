//! `pyconc explain`: every word of a report, in a terminal, in a page and for scripts.

use std::collections::BTreeSet;

use serde_json::Value;

use super::machine::shared;
use super::pyconc::{self, exit};

/// The text that `value` has there.
fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no {key} in {value}"))
}

#[test]
fn every_id_and_every_package_answers_in_80_columns() {
    let _shared = shared();
    let all = pyconc::json(&["explain", "--all", "--json"]);
    assert_eq!(text(&all, "schema"), "pyconc.explain/1");
    let probes: Vec<_> = list(&all, "probes").iter().map(|entry| &entry["probe"]).collect();
    let mut words: BTreeSet<&str> =
        list(&all, "topics").iter().map(|topic| text(topic, "id")).collect();
    for id in ["io-bound", "gil-contended", "cpu-wait", "blocked-event-loop", "more-cpus"] {
        assert!(words.contains(id), "{id}");
    }
    words.extend(probes.iter().map(|probe| text(probe, "id")));
    words.extend(probes.iter().flat_map(|probe| list(probe, "packages")).filter_map(Value::as_str));
    for word in words {
        let run = pyconc::run(&["explain", word]);
        assert_eq!(run.code, Some(exit::OK), "{word}: {}", run.stderr);
        assert!(run.stdout.contains(word), "{word}\n{}", run.stdout);
        let widest = run.stdout.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|columns| columns <= 80), "{word}\n{}", run.stdout);
    }
}

#[test]
fn a_package_is_found_however_it_is_written() {
    let _shared = shared();
    let plain = pyconc::run(&["explain", "sentry-sdk"]);
    assert!(plain.stdout.contains("sentry-worker"), "{}", plain.stdout);
    assert_eq!(pyconc::run(&["explain", "Sentry_SDK"]).stdout, plain.stdout);
}

#[test]
fn the_reference_has_a_section_for_each_word() {
    let _shared = shared();
    let all = pyconc::json(&["explain", "--all", "--json"]);
    let page = pyconc::run(&["explain", "--all"]);
    assert_eq!(page.code, Some(exit::OK), "{}", page.stderr);
    let sections = page.stdout.lines().filter(|line| line.starts_with("### ")).count();
    assert_eq!(sections, list(&all, "topics").len() + list(&all, "probes").len());
}

#[test]
fn an_unknown_id_is_refused_with_the_nearest() {
    let _shared = shared();
    let run = pyconc::run(&["explain", "blocked-eventloop"]);
    run.fails(exit::USAGE, &["blocked-eventloop"]);
    assert!(run.stderr.contains("blocked-event-loop"), "{}", run.stderr);
    pyconc::run(&["explain", "qqqqq\u{1b}[0m"]).fails(exit::USAGE, &["qqqqq"]);
    let list = pyconc::run(&["explain"]);
    assert_eq!(list.code, Some(exit::OK));
    assert!(list.stdout.contains("blocked-event-loop") && list.stdout.contains("quality"));
    pyconc::run(&["explain", "idle", "--all"]).fails(exit::USAGE, &["--all"]);
}
