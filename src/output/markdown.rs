//! The report as Markdown: analysis, plan, implementation, verification.

use std::io::{self, Write};

use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;

use crate::diagnose::words;
use crate::diagnose::{Diagnosis, LintVerdict, Site};
use crate::model::{Cause, Tag};
use crate::profile::Profile;

use super::escape::sanitise;
use super::json::Report;
use super::quality::quality_line;

/// The most columns of a target's text.
const LONGEST: usize = 2000;

/// What is to be verified of every change, how, and the lints that say how it is today.
const CHECKS: [(&str, &str, &[&str]); 4] = [
    (
        "Cancellation",
        "cancel each kind of task in a test while it waits, and see it end, with its `finally` run.",
        &["cancel-swallowed"],
    ),
    (
        "Cleanup",
        "end the program under load (SIGTERM): no task, thread or connection may be left.",
        &["left-at-exit", "unclosed-client"],
    ),
    (
        "Leaks",
        "count tasks, threads and memory after one operation and after a thousand.",
        &["task-leak", "orphan-task", "exception-never-retrieved"],
    ),
    (
        "Deadlock",
        "run the tests with many threads and a time limit; a hanging one is dumped with `pyconc dump`.",
        &["async-deadlock"],
    ),
];

/// Something to verify.
#[derive(Serialize)]
struct Check {
    what: &'static str,
    how: &'static str,
    state: String,
}

/// Writes the report as Markdown with so many findings, in four sections.
///
/// # Errors
/// When writing fails.
pub fn report_markdown(
    w: &mut dyn Write,
    profile: &Profile,
    diagnosis: &Diagnosis,
    findings: usize,
) -> io::Result<()> {
    let text = render(profile, diagnosis, findings).map_err(io::Error::other)?;
    w.write_all(text.as_bytes())
}

fn render(
    profile: &Profile,
    diagnosis: &Diagnosis,
    findings: usize,
) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.add_filter("text", |text: String| escaped(&text));
    environment.add_filter("code", |text: String| code(&text));
    environment.add_filter("line", |text: String| sanitise(&text, LONGEST));
    environment.add_filter("block", |text: String| block(&text));
    environment.add_filter("percent", words::percent);
    environment.add_filter("seconds", words::seconds);
    environment.add_filter("place", |site: Serde<Site>| {
        code(&format!("{}:{} in {}", site.file, site.line, site.function))
    });
    let shown = diagnosis.findings.get(..findings.min(diagnosis.findings.len()));
    let values = context! {
        r => Value::from(Serde(Report::of(profile, diagnosis))),
        findings => Value::from(Serde(shown.unwrap_or_default())),
        quality => format!("Quality: {}", quality_line(profile)),
        meaning => diagnosis.verdict.workload.meaning(),
        model_meaning => diagnosis.recommendation.model.meaning(),
        rows => rows(diagnosis),
        checks => Value::from(Serde(CHECKS.map(|check| checked(diagnosis, check)))),
    };
    environment.render_str(include_str!("report.md.jinja"), values)
}

/// Tags beside causes, each with its share.
fn rows(diagnosis: &Diagnosis) -> Vec<[String; 4]> {
    let totals = &diagnosis.totals;
    let tags = Tag::ALL.map(|tag| {
        let share = totals.tags.get(tag.name()).map_or(0.0, |share| share.share);
        (tag.name(), share)
    });
    let mut causes: Vec<_> = Cause::ALL
        .iter()
        .filter_map(|cause| Some((cause.name(), totals.causes.get(cause.name())?.share)))
        .collect();
    causes.sort_by(|a, b| b.1.total_cmp(&a.1));
    let cells = |row: Option<&(&str, f64)>| {
        row.map_or_else(
            || [String::new(), String::new()],
            |(name, share)| [(*name).to_owned(), words::percent(*share)],
        )
    };
    let rows = (0..tags.len().max(causes.len())).map(|row| {
        let [tag, of_tag] = cells(tags.get(row));
        let [cause, of_cause] = cells(causes.get(row));
        [tag, of_tag, cause, of_cause]
    });
    rows.collect()
}

fn checked(diagnosis: &Diagnosis, check: (&'static str, &'static str, &[&str])) -> Check {
    let (what, how, ids) = check;
    let lints = diagnosis.tasks.lints.iter().filter(|lint| ids.contains(&lint.id));
    let states = lints.filter(|lint| lint.verdict != LintVerdict::TooEarly).map(|lint| {
        let state = match lint.verdict {
            LintVerdict::Found => "found",
            LintVerdict::Clean => "clean",
            LintVerdict::TooEarly | LintVerdict::Unknown => "unknown",
        };
        format!("`{}` {state}", lint.id)
    });
    Check { what, how, state: states.collect::<Vec<_>>().join(", ") }
}

/// A text in which nothing is markup: it may hold words of the target.
pub(super) fn escaped(text: &str) -> String {
    let clean = sanitise(text, LONGEST);
    let mut escaped = String::with_capacity(clean.len());
    for c in clean.chars() {
        if matches!(c, '\\' | '*' | '[' | ']' | '<' | '>' | '|' | '#') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A text as code within a line.
pub(super) fn code(text: &str) -> String {
    format!("`{}`", sanitise(text, LONGEST).replace('`', "'").replace('|', "\\|"))
}

/// The lines of a block of code; none may end it.
fn block(text: &str) -> String {
    let lines = text.lines().map(|line| sanitise(line, LONGEST).replace("```", "'''"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::report_markdown;
    use crate::catalog::Catalog;
    use crate::diagnose::diagnose;
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::model::{Cause, SourceLine};

    fn written(fixture: &Fixture) -> String {
        let diagnosis = diagnose(&fixture.profile, &Catalog::default());
        let mut bytes = Vec::new();
        report_markdown(&mut bytes, &fixture.profile, &diagnosis, 3).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn it_has_the_four_sections_and_the_code_before_and_after() {
        let mut fixture = Fixture::blocked_by_sleep();
        fixture.profile.surroundings.sources.push(SourceLine {
            file: "app.py".into(),
            line: 12,
            text: "time.sleep(0.3)".into(),
        });
        let text = written(&fixture);
        println!("{text}");
        let sections = [
            "## Concurrency Analysis",
            "## Refactoring Plan",
            "## Principal Implementation",
            "## Safety Verification",
        ];
        let places: Vec<_> = sections.iter().map(|it| text.find(it).expect(it)).collect();
        assert!(places.is_sorted());
        assert!(text.contains("time.sleep(0.3)") && text.contains("await asyncio.sleep(0.3)"));
        assert!(text.contains("**event-loop-blocked** (confidence"));
        assert!(!text.contains("\n\n\n\n"), "{text}");
    }

    #[test]
    fn names_of_the_target_are_no_markup() {
        let mut fixture = Fixture::new(5);
        let thread = fixture.thread("a`b<script>|\u{1b}[2J");
        let stack = ["app.py:<module>:1", "x`|<b>.py:ev*l```:3"];
        fixture.spend(thread, 100, &Doing::new(Cause::Python, &stack));
        fixture.profile.meta.command = vec!["<img src=x>`".into()];
        let text = written(&fixture);
        assert!(!text.contains('\u{1b}') && !text.contains("<script>"), "{text}");
        assert!(text.starts_with("# `<img src=x>'`"), "{text}");
    }

    #[test]
    fn an_empty_recording_has_a_report() {
        assert!(written(&Fixture::new(0)).contains("insufficient-data"));
    }
}
