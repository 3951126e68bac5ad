//! Tables: rows of cells with a heading that can be sorted, filtered and scrolled.

use std::cmp::Ordering;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::header::put;
use super::theme::Theme;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// The columns of the terminal that it takes; 0 for what the others leave.
    pub(super) width: u16,
    /// Whether it stands at the right of them.
    pub(super) right: bool,
}

impl Column {
    pub(super) const fn text(title: &'static str, width: u16) -> Self {
        Self { title, width, right: false }
    }

    pub(super) const fn number(title: &'static str, width: u16) -> Self {
        Self { title, width, right: true }
    }
}

/// What a cell says, and what it is sorted by.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) number: Option<f64>,
    pub(super) style: Style,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(super) fn number(number: f64, text: impl Into<String>) -> Self {
        Self { text: text.into(), number: Some(number), ..Self::default() }
    }

    pub(super) fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }
}

/// A row: its cells, and the place of what it stands for among all of its kind.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    pub(super) item: usize,
}

/// A table.
#[derive(Debug, Clone, Default)]
pub(super) struct Sheet {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Row>,
}

/// How a table is sorted; none leaves it as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sorting {
    pub(super) column: Option<usize>,
    pub(super) reversed: bool,
}

impl Sheet {
    /// The rows that have `filter` in some cell, sorted.
    pub(super) fn arranged(mut self, filter: &str, sorting: Sorting) -> Self {
        if !filter.is_empty() {
            let wanted = filter.to_lowercase();
            self.rows
                .retain(|row| row.cells.iter().any(|it| it.text.to_lowercase().contains(&wanted)));
        }
        if let Some(column) = sorting.column {
            self.rows.sort_by(|a, b| compare(a.cells.get(column), b.cells.get(column)));
        }
        if sorting.reversed {
            self.rows.reverse();
        }
        self
    }

    /// How wide each column is on a terminal of so many columns.
    pub(super) fn widths(&self, columns: u16) -> Vec<u16> {
        let fixed: u16 = self.columns.iter().map(|it| it.width).sum();
        let gaps = (self.columns.len() as u16).saturating_sub(1);
        let growing = self.columns.iter().filter(|it| it.width == 0).count() as u16;
        let left = columns.saturating_sub(fixed + gaps);
        let each = left.checked_div(growing).unwrap_or(0);
        self.columns.iter().map(|it| if it.width == 0 { each } else { it.width }).collect()
    }

    /// The column at a place of the terminal's width.
    pub(super) fn column_at(&self, columns: u16, place: u16) -> Option<usize> {
        let mut end = 0;
        self.widths(columns).into_iter().position(|width| {
            end += width + 1;
            place < end
        })
    }

    /// Draws it with the rows from `offset` on.
    pub(super) fn draw(
        &self,
        buffer: &mut Buffer,
        area: Rect,
        (offset, selected): (usize, usize),
        sorting: Sorting,
        theme: Theme,
    ) {
        let widths = self.widths(area.width);
        let mut heads = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            let mark = match (sorting.column == Some(index), sorting.reversed) {
                (false, _) => "",
                (true, false) if theme.unicode => "▾",
                (true, true) if theme.unicode => "▴",
                (true, false) => "v",
                (true, true) => "^",
            };
            heads.push(Cell::text(format!("{}{mark}", column.title)).styled(theme.strong()));
        }
        self.line(buffer, area, &widths, &heads, None, theme);
        let rows = self.rows.iter().enumerate().skip(offset);
        for (line, (index, row)) in (1..area.height).zip(rows) {
            let place = Rect { y: area.y + line, height: 1, ..area };
            let style = (index == selected).then(|| theme.selected());
            self.line(buffer, place, &widths, &row.cells, style, theme);
        }
    }

    fn line(
        &self,
        buffer: &mut Buffer,
        area: Rect,
        widths: &[u16],
        cells: &[Cell],
        selected: Option<Style>,
        theme: Theme,
    ) {
        let mut x = area.x;
        for ((column, &width), cell) in self.columns.iter().zip(widths).zip(cells) {
            let room = width.min(area.right().saturating_sub(x));
            let text = theme.clean(&cell.text, usize::from(room));
            let taken = crate::output::columns(&text) as u16;
            let indent = if column.right { room.saturating_sub(taken) } else { 0 };
            put(buffer, (x + indent, area.y), &text, room - indent, cell.style);
            x = x.saturating_add(width + 1);
        }
        if let Some(style) = selected {
            buffer.set_style(Rect { height: 1, ..area }.intersection(buffer.area), style);
        }
    }
}

/// Numbers from the largest down, texts from the smallest up.
fn compare(a: Option<&Cell>, b: Option<&Cell>) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else { return Ordering::Equal };
    match (a.number, b.number) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.text.cmp(&b.text),
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Column, Row, Sheet, Sorting};

    const COLUMNS: [Column; 2] = [Column::text("name", 0), Column::number("share", 6)];

    fn sheet() -> Sheet {
        let row = |(item, (name, share)): (usize, (&str, f64))| Row {
            cells: vec![Cell::text(name), Cell::number(share, format!("{share}"))],
            item,
        };
        let rows = [("pool", 0.1), ("main", 0.7), ("Mailer", 0.2)];
        Sheet { columns: &COLUMNS, rows: rows.into_iter().enumerate().map(row).collect() }
    }

    fn items(filter: &str, column: Option<usize>, reversed: bool) -> Vec<usize> {
        let arranged = sheet().arranged(filter, Sorting { column, reversed });
        arranged.rows.iter().map(|row| row.item).collect()
    }

    #[test]
    fn rows_are_filtered_and_sorted() {
        assert_eq!(items("", None, false), [0, 1, 2]);
        assert_eq!(items("MA", None, false), [1, 2]);
        assert_eq!(items("", Some(1), false), [1, 2, 0], "numbers from the largest down");
        assert_eq!(items("", Some(0), false), [2, 1, 0], "texts from the smallest up");
        assert_eq!(items("", Some(1), true), [0, 2, 1]);
    }

    #[test]
    fn one_column_takes_what_the_others_leave() {
        assert_eq!(sheet().widths(40), [33, 6]);
        assert_eq!(sheet().widths(3), [0, 6]);
        assert_eq!(sheet().column_at(40, 10), Some(0));
        assert_eq!(sheet().column_at(40, 36), Some(1));
    }
}
