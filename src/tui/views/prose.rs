//! Text with headings and paragraphs, wrapped to the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::output::wrapped;
use crate::tui::header;
use crate::tui::theme::Theme;

/// A paragraph: what it begins with, and its text.
#[derive(Debug, Clone, Default)]
struct Paragraph {
    head: String,
    text: String,
    style: Style,
}

/// Paragraphs, one below the other.
#[derive(Debug, Clone, Default)]
pub(in crate::tui) struct Prose {
    paragraphs: Vec<Paragraph>,
}

/// The longest text of a paragraph that is shown.
const LONGEST: usize = 4096;

impl Prose {
    /// Adds a paragraph; a target's text in it must be clean.
    pub(in crate::tui) fn add(&mut self, head: &str, text: impl Into<String>, style: Style) {
        let text = text.into();
        self.paragraphs.push(Paragraph { head: head.to_owned(), text, style });
    }

    /// Adds a paragraph of plain text.
    pub(in crate::tui) fn plain(&mut self, head: &str, text: impl Into<String>) {
        self.add(head, text, Style::new());
    }

    /// Adds a target's text.
    pub(in crate::tui) fn foreign(&mut self, head: &str, text: &str, theme: Theme, style: Style) {
        self.add(head, theme.clean(text, LONGEST), style);
    }

    /// Adds what another one has.
    pub(in crate::tui) fn join(&mut self, more: Self) {
        self.paragraphs.extend(more.paragraphs);
    }

    /// Adds an empty line.
    pub(in crate::tui) fn gap(&mut self) {
        self.paragraphs.push(Paragraph::default());
    }

    /// The lines on a screen of so many columns.
    fn lines(&self, columns: u16) -> impl Iterator<Item = (String, Style)> + '_ {
        let columns = usize::from(columns);
        self.paragraphs.iter().flat_map(move |paragraph| {
            let indent = crate::output::columns(&paragraph.head);
            let room = columns.saturating_sub(indent).max(1);
            let lines = wrapped(&paragraph.text, room).into_iter().enumerate();
            lines.map(move |(index, line)| {
                let head = if index == 0 { paragraph.head.clone() } else { " ".repeat(indent) };
                (head + &line, paragraph.style)
            })
        })
    }

    /// How many lines it has on a screen of so many columns.
    pub(in crate::tui) fn height(&self, columns: u16) -> usize {
        self.lines(columns).count()
    }

    /// Draws it from its line `scroll` on.
    pub(in crate::tui) fn draw(&self, buffer: &mut Buffer, area: Rect, scroll: u16) {
        let lines = self.lines(area.width).skip(usize::from(scroll));
        for (y, (line, style)) in (area.y..area.bottom()).zip(lines) {
            header::line(buffer, Rect { y, height: 1, ..area }, &line, style);
        }
    }
}
