//! Comparisons, for people, pull requests, programs and as a picture.

mod flamegraph;
mod json;
mod markdown;
mod text;

pub use self::flamegraph::{Width, comparison_flamegraph};
pub use self::json::{comparison_json, comparison_schema};
pub use self::markdown::comparison_markdown;
pub use self::text::comparison_text;

use serde::Serialize;

use crate::compare::{Change, Comparison, Unit, signed, value};

/// A change as the cells of a table: name, before, after, difference, interval, p.
#[derive(Serialize)]
struct Cells {
    name: String,
    before: String,
    after: String,
    difference: String,
    interval: String,
    p: String,
}

impl Cells {
    fn of(change: &Change) -> Self {
        let points = if change.unit == Unit::Share { " pt" } else { "" };
        let interval = change.low.zip(change.high).map_or_else(
            || "too short to tell".to_owned(),
            |(low, high)| format!("{}…{}", signed(change.unit, low), signed(change.unit, high)),
        );
        Self {
            name: change.name.clone(),
            before: value(change.unit, change.before),
            after: value(change.unit, change.after),
            difference: format!("{}{points}", signed(change.unit, change.difference)),
            interval,
            p: change.p_adjusted.map_or_else(String::new, probability),
        }
    }
}

/// A p-value: nobody needs to know how far below a thousandth it is.
fn probability(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// The changes to be shown: the significant ones; of recordings too short to tell, all that are large.
fn shown(changes: &[Change]) -> Vec<&Change> {
    let untold = |it: &Change| it.p.is_none() && it.difference.abs() >= 0.05;
    changes.iter().filter(|it| it.significant || untold(it)).collect()
}

/// How many of the process's numbers were compared, and how many changed.
fn counted(comparison: &Comparison) -> String {
    let all = comparison.changes.len();
    let significant = comparison.changes.iter().filter(|it| it.significant).count();
    format!("{significant} of {all} measures changed by more than chance")
}
