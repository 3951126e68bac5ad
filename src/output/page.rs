//! Lines of styled text that never get wider than the page, whatever is written on them.

use std::io::{self, Write};

use crossterm::style::{Attribute, Color, ContentStyle};

use super::escape::{columns, cut, sanitise, sanitise_ascii, width};

/// How a text report is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextOptions {
    /// Columns of the page.
    pub width: usize,
    /// Whether to write the terminal's codes for colours.
    pub colour: bool,
    /// Whether the terminal shows more than ASCII.
    pub unicode: bool,
    /// How many findings are shown.
    pub findings: usize,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self { width: 80, colour: false, unicode: true, findings: 3 }
    }
}

/// The most columns that a paragraph takes of a text.
const LONGEST: usize = 2000;

/// How a piece of a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    Strong,
    Faint,
    In(Color),
}

impl Look {
    fn style(self) -> ContentStyle {
        let mut style = ContentStyle::new();
        match self {
            Self::Plain => {}
            Self::Strong => style.attributes.set(Attribute::Bold),
            Self::Faint => style.attributes.set(Attribute::Dim),
            Self::In(colour) => style.foreground_color = Some(colour),
        }
        style
    }
}

/// A piece of a line: text, which may come from a target, and its look.
pub(super) type Piece<'a> = (&'a str, Look);

/// A page that is being written.
pub(super) struct Page<'a> {
    w: &'a mut dyn Write,
    options: TextOptions,
}

impl<'a> Page<'a> {
    pub(super) fn new(w: &'a mut dyn Write, options: TextOptions) -> Self {
        Self { w, options }
    }

    pub(super) const fn options(&self) -> &TextOptions {
        &self.options
    }

    /// A target's text as this page may show it.
    pub(super) fn clean(&self, text: &str, most: usize) -> String {
        if self.options.unicode { sanitise(text, most) } else { sanitise_ascii(text, most) }
    }

    /// A target's text, of which the end matters most, as this page may show it.
    pub(super) fn tail(&self, text: &str, most: usize) -> String {
        let clean = self.clean(text, LONGEST);
        let too_many = columns(&clean).saturating_sub(most);
        if too_many == 0 {
            return clean;
        }
        let mut dropped = 0;
        let kept = clean.chars().skip_while(|&c| {
            let drop = dropped < too_many + 2;
            dropped += width(c);
            drop
        });
        std::iter::repeat_n('.', 2).chain(kept).collect()
    }

    /// A text brought to exactly so many columns, at the left or at the right of them.
    pub(super) fn cell(&self, text: &str, width: usize, right: bool) -> String {
        let clean = self.clean(text, width);
        let space = " ".repeat(width.saturating_sub(columns(&clean)));
        if right { space + &clean } else { clean + &space }
    }

    pub(super) fn empty(&mut self) -> io::Result<()> {
        writeln!(self.w)
    }

    /// A line. What does not fit is left out.
    pub(super) fn line(&mut self, pieces: &[Piece]) -> io::Result<()> {
        let mut left = self.options.width;
        let mut space = 0;
        for &(text, look) in pieces {
            let clean = self.clean(text, left.saturating_sub(space));
            let shown = clean.trim_end_matches(' ');
            if !shown.is_empty() {
                write!(self.w, "{}", " ".repeat(space))?;
                self.piece(shown, look)?;
                left = left.saturating_sub(space + columns(shown));
                space = 0;
            }
            // Space is written with what follows it, so that no line ends with it.
            space += clean.len() - shown.len();
        }
        writeln!(self.w)
    }

    fn piece(&mut self, text: &str, look: Look) -> io::Result<()> {
        if self.options.colour && look != Look::Plain {
            write!(self.w, "{}", look.style().apply(text))
        } else {
            write!(self.w, "{text}")
        }
    }

    /// A command to be copied: below its head where it does not fit beside it, and never broken.
    pub(super) fn command(&mut self, head: &str, command: &str) -> io::Result<()> {
        let clean = self.clean(command, LONGEST);
        if columns(head) + columns(&clean) <= self.options.width {
            return self.line(&[(head, Look::Plain), (&clean, Look::Strong)]);
        }
        self.line(&[(head, Look::Plain)])?;
        write!(self.w, "    ")?;
        self.piece(&clean, Look::Strong)?;
        writeln!(self.w)
    }

    /// A text over as many lines as it takes, the first after `head`, the others below it.
    pub(super) fn paragraph(&mut self, head: Piece, text: &str, look: Look) -> io::Result<()> {
        let indent = columns(head.0);
        let clean = self.clean(text, LONGEST);
        let room = self.options.width.saturating_sub(indent).max(1);
        let below = " ".repeat(indent);
        let mut head = head;
        for line in wrapped(&clean, room) {
            self.line(&[head, (&line, look)])?;
            head = (&below, Look::Plain);
        }
        Ok(())
    }
}

/// The lines of a clean text, broken between words; a word that is too long is cut.
pub(crate) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && columns(&line) + 1 + columns(word) > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&cut(word, room));
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::{Look, Page, TextOptions, columns, wrapped};

    fn written(options: TextOptions, write: impl Fn(&mut Page) -> std::io::Result<()>) -> String {
        let mut bytes = Vec::new();
        write(&mut Page::new(&mut bytes, options)).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn words_are_wrapped_and_long_ones_cut() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("incomprehensible it", 6), ["inco..", "it"]);
        assert_eq!(wrapped("", 6), [""]);
    }

    #[test]
    fn the_end_of_a_path_is_kept() {
        let mut bytes = Vec::new();
        let page = Page::new(&mut bytes, TextOptions::default());
        assert_eq!(page.tail("/srv/app/main.py", 16), "/srv/app/main.py");
        assert_eq!(page.tail("/srv/app/main.py", 10), "../main.py");
        assert!(columns(&page.tail("日本語日本語日本語", 7)) <= 7);
    }

    #[test]
    fn colours_come_only_when_asked_for() {
        let line = |page: &mut Page| page.line(&[("a", Look::Strong), ("  ", Look::Plain)]);
        assert_eq!(written(TextOptions::default(), line), "a\n");
        let coloured = TextOptions { colour: true, ..TextOptions::default() };
        assert!(written(coloured, line).starts_with("\u{1b}[1ma"));
    }

    #[test]
    fn a_paragraph_keeps_its_indentation_and_harmful_characters_out() {
        let options = TextOptions { width: 12, ..TextOptions::default() };
        let text = written(options, |page| {
            page.paragraph(("- ", Look::Plain), "ab\u{1b}[0m cd ef gh", Look::Plain)
        });
        assert_eq!(text, "- ab\\u{1b}..\n  cd ef gh\n");
    }
}
