//! Every number that the text of a report tells is in its JSON, and every share says of what.

use std::collections::BTreeSet;

use serde_json::Value;

use super::machine::alone;
use super::program::{Program, repository};
use super::pyconc;
use super::pythons;

/// The numbers of a text, as they are written there.
fn numbers(text: &str) -> BTreeSet<String> {
    let digits = |c: char| !(c.is_ascii_digit() || c == '.');
    let found = text.split(digits).map(|number| number.trim_matches('.'));
    found.filter(|number| !number.is_empty()).map(str::to_owned).collect()
}

/// All forms in which a number may be written: as it is, as a percentage, in milliseconds, with fewer
/// decimals.
fn forms(value: f64, into: &mut BTreeSet<String>) {
    for scaled in [value, value * 100.0, value * 1e3, value * 60.0] {
        for decimals in 0..=4 {
            into.insert(format!("{scaled:.decimals$}"));
        }
    }
}

fn collect(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Number(number) => forms(number.as_f64().unwrap_or_default(), into),
        Value::String(text) => into.extend(numbers(text)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            into.extend(numbers(name));
            collect(value, into);
        }),
        Value::Null | Value::Bool(_) => {}
    }
}

/// The shares of a report that do not say what they are shares of, by their paths.
fn nameless(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let named = fields.contains_key("share_of")
                || fields.get("evidence").is_some_and(|it| it.get("share_of").is_some());
            if fields.contains_key("share") && !named && !path.contains("totals") {
                found.push(path.to_owned());
            }
            for (name, value) in fields {
                nameless(value, &format!("{path}.{name}"), found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| nameless(item, path, found)),
        _ => {}
    }
}

#[test]
fn every_number_of_the_text_is_in_the_json_and_every_share_names_its_whole() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    for example in ["loop_blocked_by_sleep", "gil_four_threads", "lock_convoy", "deadlock"] {
        let script = repository(&format!("examples/{example}.py"));
        let program = Program::start(pythons::any(), &script, &["60"]);
        let file = folder.path().join(example).to_string_lossy().into_owned();
        let pid = program.pid();
        assert_eq!(pyconc::run(&["record", "--pid", &pid, "-d", "3", "-o", &file]).code, Some(0));
        let json = pyconc::json(&["report", "-f", "json", &file]);
        for format in ["text", "markdown"] {
            let text = pyconc::run(&["report", "--all", "-f", format, &file]).stdout;
            let mut known = BTreeSet::new();
            collect(&json, &mut known);
            // Lists are numbered, and the command's duration is the reader's.
            known.extend((0..10).map(|number: u32| number.to_string()));
            let strange: Vec<_> = numbers(&text).difference(&known).cloned().collect();
            assert!(strange.is_empty(), "{example}, {format}: {strange:?}\n{text}");
        }
        let mut found = Vec::new();
        nameless(&json, "", &mut found);
        assert!(found.is_empty(), "{example}: {found:?}");
    }
}

#[test]
fn the_schema_in_the_repository_is_that_of_the_program() {
    let kept = std::fs::read_to_string(repository("src/output/report.schema.json"));
    let kept: Value = serde_json::from_str(&kept.expect("the schema")).expect("JSON");
    assert_eq!(
        kept,
        pyconc::json(&["report", "--schema"]),
        "write it anew: pyconc report --schema > src/output/report.schema.json"
    );
}
