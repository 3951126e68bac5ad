//! A comparison as JSON, for programs: `pyconc.compare/1`.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use crate::compare::Comparison;
use crate::output::json::write_json;

/// The name and version of the format. Fields are added; none is removed or given a new meaning.
const SCHEMA: &str = "pyconc.compare/1";

#[derive(Serialize, JsonSchema)]
struct Document<'a> {
    /// The name and version of this format: `pyconc.compare/1`.
    schema: &'static str,
    #[serde(flatten)]
    comparison: &'a Comparison,
}

/// Writes a comparison as JSON and ends the line.
///
/// # Errors
/// When writing fails.
pub fn comparison_json(w: &mut dyn Write, comparison: &Comparison) -> io::Result<()> {
    write_json(w, &Document { schema: SCHEMA, comparison })
}

/// The JSON schema of comparisons, with what each field means.
#[must_use]
pub fn comparison_schema() -> serde_json::Value {
    schemars::schema_for!(Document<'static>).to_value()
}
