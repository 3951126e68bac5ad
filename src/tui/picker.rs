//! The list of processes to choose from.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::header::line;
use super::sheet::{Cell, Column, Row, Sheet, Sorting};
use super::theme::Theme;

const COLUMNS: [Column; 6] = [
    Column::number("pid", 8),
    Column::text("python", 8),
    Column::number("threads", 7),
    Column::number("CPU", 6),
    Column::text("is at", 28),
    Column::text("command", 0),
];

/// A process that may be chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidate {
    /// Its number.
    pub pid: i32,
    /// Its version of Python; none when it may not be looked at.
    pub python: Option<String>,
    /// Its threads.
    pub threads: usize,
    /// The CPUs that it uses; none when that is not known yet.
    pub cpus: Option<f64>,
    /// What its threads are at; none when that is not known yet.
    pub does: Option<String>,
    /// Its command line.
    pub command: String,
}

/// Draws the processes with one of them selected.
pub fn draw_picker(frame: &mut Frame<'_>, all: &[Candidate], selected: usize, theme: Theme) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    let head = "Which process? j k move, Enter attaches, q leaves";
    line(buffer, area, head, theme.strong());
    let body =
        Rect { y: area.y + 2.min(area.height), height: area.height.saturating_sub(2), ..area };
    if all.is_empty() {
        return line(buffer, body, "no Python process was found", theme.faint());
    }
    let rows = all.iter().enumerate().map(|(item, it)| Row {
        cells: vec![
            Cell::text(it.pid.to_string()),
            Cell::text(it.python.as_deref().unwrap_or("denied")),
            Cell::text(it.threads.to_string()),
            Cell::text(it.cpus.map_or_else(String::new, |cpus| format!("{cpus:.2}"))),
            Cell::text(it.does.as_deref().unwrap_or_default()),
            Cell::text(&it.command),
        ],
        item,
    });
    let sheet = Sheet { columns: &COLUMNS, rows: rows.collect() };
    let room = usize::from(body.height.saturating_sub(1)).max(1);
    let offset = (selected + 1).saturating_sub(room);
    sheet.draw(buffer, body, (offset, selected), Sorting::default(), theme);
}
