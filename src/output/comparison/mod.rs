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

#[cfg(test)]
mod tests {
    use super::{
        Width, comparison_flamegraph, comparison_json, comparison_markdown, comparison_text,
    };
    use crate::compare::fixture::run;
    use crate::compare::{Comparison, Run, compare};
    use crate::model::Cause;
    use crate::output::page::TextOptions;

    const HOSTILE: &str = "<script>\u{1b}[31m;]]>\"|`\n'&";

    fn both() -> ([Run; 1], [Run; 1], Comparison) {
        let before = run(HOSTILE, 10, &[(HOSTILE, Cause::Gil, 0.9), ("b", Cause::Python, 0.1)], 1);
        let after = run("after", 10, &[("nap", Cause::Sleep, 1.0)], 2);
        let sides = ([before], [after]);
        let comparison = compare(&sides.0, &sides.1).unwrap();
        (sides.0, sides.1, comparison)
    }

    fn written(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_fits_its_page_and_nothing_harmful_gets_out() {
        let (.., comparison) = both();
        let text = written(|out| comparison_text(out, &comparison, &TextOptions::default()));
        assert!(text.starts_with("IMPROVED: GIL wait 4"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn markdown_and_json_hold_names_that_do_nothing() {
        let (.., comparison) = both();
        let markdown = written(|out| comparison_markdown(out, &comparison));
        assert!(markdown.starts_with("**improved**: GIL wait"), "{markdown}");
        assert!(!markdown.contains("<script>\u{1b}"), "{markdown}");
        let rows = markdown.lines().filter(|line| line.starts_with("| `")).collect::<Vec<_>>();
        assert!(rows.len() > 3, "{markdown}");
        for row in rows {
            let bars = row.replace("\\|", "").matches('|').count();
            assert_eq!(bars, 7, "{row}");
        }
        let json = written(|out| comparison_json(out, &comparison));
        assert!(!json.contains('\u{1b}'));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["schema"], "pyconc.compare/1");
        assert_eq!(json["outcome"], "improved");
    }

    #[test]
    fn a_picture_shows_what_is_gone_or_what_is_new() {
        let (before, after, comparison) = both();
        let drawn = |width| {
            written(|out| comparison_flamegraph(out, (&before, &after), &comparison, width))
        };
        let (new, gone) = (drawn(Width::After), drawn(Width::Before));
        assert!(new.contains("nap") && !new.contains("script&gt;"), "{new}");
        assert!(gone.contains("script&gt;") && !gone.contains("nap"));
        assert!(!gone.contains("<script>\u{1b}"));
    }
}
