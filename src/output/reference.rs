//! An explanation of one word of a report, for a terminal or as a part of a reference.

use std::io::{self, Write};

use super::escape::columns;
use super::page::{Look, Page, TextOptions};

/// Columns that labels take.
const LABELS: usize = 14;

/// A word of a report, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// What it says, in a few words.
    pub title: String,
    /// Its stable name.
    pub id: String,
    /// What the name belongs to: `finding`, `probe`, and so on.
    pub kind: &'static str,
    /// The explanation: each part by its label.
    pub prose: Vec<(&'static str, String)>,
    /// What is written as code: each part by its label.
    pub code: Vec<(&'static str, String)>,
}

/// Writes it as text that is nowhere wider than the page.
///
/// # Errors
/// When writing fails.
pub fn explained_text(w: &mut dyn Write, it: &Explained, options: &TextOptions) -> io::Result<()> {
    let page = &mut Page::new(w, *options);
    page.paragraph(("", Look::Plain), &it.title, Look::Strong)?;
    page.paragraph((&label("id"), Look::Faint), &it.id, Look::Plain)?;
    page.paragraph((&label("is a"), Look::Faint), it.kind, Look::Plain)?;
    for (name, text) in &it.prose {
        page.paragraph((&label(name), Look::Faint), text, Look::Plain)?;
    }
    let room = options.width.saturating_sub(LABELS).max(1);
    for (name, text) in &it.code {
        page.paragraph((&label(name), Look::Faint), &broken(text, room), Look::Plain)?;
    }
    Ok(())
}

/// Writes it as a section of a Markdown page.
///
/// # Errors
/// When writing fails.
pub fn explained_markdown(w: &mut dyn Write, it: &Explained) -> io::Result<()> {
    writeln!(w, "### `{}`\n\n**{}**\n", it.id, it.title)?;
    for (name, text) in &it.prose {
        writeln!(w, "- *{name}*: {text}")?;
    }
    for (name, text) in &it.code {
        writeln!(w, "- *{name}*: `{text}`")?;
    }
    writeln!(w)
}

fn label(name: &str) -> String {
    format!("{name:<LABELS$}")
}

/// A text in which no word is wider than `room`: names are broken behind a dot, a colon or an
/// underscore where there is one, since a name that is cut is of no use.
fn broken(text: &str, room: usize) -> String {
    let mut words = Vec::new();
    for mut word in text.split(' ') {
        while columns(word) > room {
            let fits = |(index, _): &(usize, char)| *index <= room;
            let is_joint = |(_, c): &(usize, char)| matches!(c, '.' | ':' | '_');
            let joint = word.char_indices().take_while(fits).filter(is_joint).last();
            let end = joint.map_or_else(
                || word.char_indices().nth(room).map_or(word.len(), |(index, _)| index),
                |(index, _)| index.max(1),
            );
            let (head, rest) = word.split_at(end);
            words.push(head);
            word = rest;
        }
        words.push(word);
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Explained, broken, explained_markdown, explained_text};
    use crate::output::TextOptions;

    fn example() -> Explained {
        Explained {
            title: "time.sleep on the event loop".into(),
            id: "time-sleep-on-loop".into(),
            kind: "probe",
            prose: vec![("why", "No other task runs until it returns. ".repeat(4))],
            code: vec![("hit", format!("app:{} > app:f", "long_name.".repeat(12)))],
        }
    }

    #[test]
    fn nothing_is_cut_and_nothing_is_wider_than_the_page() {
        for width in [30, 80] {
            let mut bytes = Vec::new();
            let options = TextOptions { width, ..TextOptions::default() };
            explained_text(&mut bytes, &example(), &options).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.lines().all(|line| line.len() <= width), "{text}");
            assert!(text.starts_with("time.sleep on the event loop\nid            time-sleep"));
            let joined: String = text.split_whitespace().collect();
            assert!(joined.contains(&"long_name.".repeat(12)), "{text}");
        }
    }

    #[test]
    fn a_long_name_is_broken_at_its_joints() {
        assert_eq!(broken("aaa.bbb:ccc d", 8), "aaa.bbb :ccc d");
        assert_eq!(broken("aaaaaaaaaa", 4), "aaaa aaaa aa");
        assert_eq!(broken("short", 80), "short");
    }

    #[test]
    fn markdown_has_a_heading_and_a_line_for_each_part() {
        let mut bytes = Vec::new();
        explained_markdown(&mut bytes, &example()).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("### `time-sleep-on-loop`\n\n**time.sleep on"), "{text}");
        assert!(text.contains("- *why*: No other") && text.contains("- *hit*: `app:"), "{text}");
    }
}
