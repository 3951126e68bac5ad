//! A comparison as Markdown that fits a comment on a pull request.

use std::io::{self, Write};

use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};

use crate::compare::{Change, Comparison, FoundOnce};
use crate::output::markdown::{code, escaped};

use super::{Cells, counted, shown};

/// Rows of a table: a comment is read, not searched.
const MOST_ROWS: usize = 12;

/// Writes a comparison as Markdown.
///
/// # Errors
/// When writing fails.
pub fn comparison_markdown(w: &mut dyn Write, comparison: &Comparison) -> io::Result<()> {
    let text = render(comparison).map_err(io::Error::other)?;
    w.write_all(text.as_bytes())
}

fn render(comparison: &Comparison) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.add_filter("text", |text: String| escaped(&text));
    environment.add_filter("code", |text: String| code(&text));
    let significant = |changes: &[Change]| -> Vec<Cells> {
        changes.iter().filter(|it| it.significant).take(MOST_ROWS).map(Cells::of).collect()
    };
    let measures: Vec<_> = shown(&comparison.changes).into_iter().map(Cells::of).collect();
    let told = |list: &[FoundOnce]| -> Vec<String> {
        let line = |it: &FoundOnce| format!("{} ({}): {}", it.id, it.severity.name(), it.name);
        list.iter().map(line).collect()
    };
    let values = context! {
        c => Value::from(Serde(comparison)),
        measures => Value::from(Serde(measures)),
        functions => Value::from(Serde(significant(&comparison.code.functions))),
        gone => told(&comparison.findings.gone),
        new => told(&comparison.findings.new),
        counted => counted(comparison),
    };
    environment.render_named_str("comparison", include_str!("comparison.md.jinja"), values)
}
