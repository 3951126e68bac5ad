//! The processes that are looked at, each with its verdict.

use crate::diagnose::words::percent;
use crate::model::Pid;
use crate::tui::app::App;
use crate::tui::sheet::{Cell, Column, Row, Sheet};
use crate::tui::shot::Source;

const COLUMNS: [Column; 8] = [
    Column::number("pid", 8),
    Column::text("verdict", 18),
    Column::number("CPUs", 5),
    Column::number("GIL", 6),
    Column::number("waiters", 7),
    Column::number("threads", 7),
    Column::number("tasks", 6),
    Column::text("command", 0),
];

pub(in crate::tui) fn sheet(app: &App) -> Sheet {
    let theme = app.theme;
    let rows = app.members.iter().enumerate().map(|(item, (pid, shot))| {
        let verdict = &shot.diagnosis.verdict;
        let value = |name: &str| verdict.measures.get(name).map(|measure| measure.value);
        let cpus = value("cpus_used").unwrap_or(0.0);
        let held = value("gil_held");
        let waiters = value("gil_waiters").unwrap_or(0.0);
        let (threads, tasks) = (shot.diagnosis.threads.len(), shot.diagnosis.tasks.last);
        let is_chosen = app.chosen == Some(*pid);
        let mark = if is_chosen { theme.strong() } else { ratatui::style::Style::new() };
        let ended = if shot.source == Source::Ended { "ended" } else { verdict.workload.name() };
        Row {
            cells: vec![
                Cell::number(-f64::from(*pid), pid.to_string()).styled(mark),
                Cell::text(ended).styled(mark),
                Cell::number(cpus, format!("{cpus:.2}")),
                Cell::number(held.unwrap_or(0.0), held.map_or("-".to_owned(), percent)),
                Cell::number(waiters, format!("{waiters:.1}")),
                Cell::number(threads as f64, threads.to_string()),
                Cell::number(tasks as f64, tasks.to_string()),
                Cell::text(program(&shot.profile.meta.command)),
            ],
            item,
        }
    });
    Sheet { columns: &COLUMNS, rows: rows.collect() }
}

/// A command line without the interpreter, which says nothing here.
fn program(command: &[String]) -> String {
    match command {
        [_, rest @ ..] if !rest.is_empty() => rest.join(" "),
        all => all.join(" "),
    }
}

/// The process that is selected.
pub(in crate::tui) fn selected(app: &App) -> Option<Pid> {
    let rows = super::sheet(app).rows;
    let row = rows.get(app.list().selected).or(rows.last())?;
    app.members.keys().nth(row.item).copied()
}
