//! Which functions take the time.

use ratatui::style::Style;

use crate::diagnose::words::{percent, ratio};
use crate::model::Cause;
use crate::tui::app::App;
use crate::tui::sheet::{Cell, Column, Row, Sheet};
use crate::tui::shot::Shot;

use super::prose::Prose;

const COLUMNS: [Column; 6] = [
    Column::number("self", 7),
    Column::number("total", 7),
    Column::number("samples", 8),
    Column::text("mostly", 9),
    Column::text("function", 0),
    Column::text("where", 0),
];

pub(in crate::tui) fn sheet(app: &App, shot: &Shot) -> Sheet {
    let samples = shot.profile.quality.samples as f64;
    let rows = shot.functions.iter().enumerate().map(|(item, row)| {
        let share = |count: u64| {
            let share = ratio(count as f64, samples);
            Cell::number(share, percent(share))
        };
        let cause = row.mostly();
        let style = cause.map_or_else(Style::new, |cause| app.theme.cause(cause));
        let place = row.place.rsplit('/').next().unwrap_or_default();
        let name = if row.own { app.theme.strong() } else { Style::new() };
        let cells = vec![
            share(row.inner),
            share(row.total),
            Cell::number(row.total as f64, row.total.to_string()),
            Cell::text(cause.map_or("", Cause::name)).styled(style),
            Cell::text(&row.name).styled(name),
            Cell::text(place).styled(app.theme.place()),
        ];
        Row { cells, item }
    });
    Sheet { columns: &COLUMNS, rows: rows.collect() }
}

pub(in crate::tui) fn details(app: &App, shot: &Shot, item: usize) -> Prose {
    let theme = app.theme;
    let mut prose = Prose::default();
    let Some(row) = shot.functions.get(item) else { return prose };
    prose.foreign("", &row.name, theme, theme.strong());
    prose.foreign("", &row.place, theme, theme.place());
    let samples = shot.profile.quality.samples;
    prose.plain(
        "",
        format!(
            "{} thread samples in itself, {} with what it calls, in {samples} samples of the process",
            row.inner, row.total
        ),
    );
    prose.gap();
    prose.add("", "by cause, of its samples", theme.strong());
    for (cause, count) in Cause::ALL.into_iter().zip(row.causes).filter(|(_, count)| *count > 0) {
        let share = percent(ratio(count as f64, row.total as f64));
        prose.add("    ", format!("{:<9} {share:>6}", cause.name()), theme.cause(cause));
    }
    prose.gap();
    prose.add("", "called by", theme.strong());
    for (caller, count) in &row.callers {
        let share = percent(ratio(*count as f64, row.total as f64));
        prose.foreign(&format!("    {share:>6}  "), caller, theme, Style::new());
    }
    if row.callers.is_empty() {
        prose.add("    ", "nobody: it is the first function of its thread", theme.faint());
    }
    prose
}
