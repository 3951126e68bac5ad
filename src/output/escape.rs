//! Text that comes from a target is untrusted: no control character of it reaches a terminal.

use std::fmt::Write;

/// Whether a character could move the cursor, change colours, or make text look like other text.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control() || is_format(c)
}

/// Characters of Unicode's category `Cf` and its like that change how others are shown: direction,
/// joining, invisible tags, line and paragraph separators, the replacement of objects.
const fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}'
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}' | '\u{e000}'..='\u{f8ff}')
}

/// A target's text, fit for one line of a terminal: unsafe characters are spelt as `\u{1b}`, and what
/// takes more than `most` columns is cut short.
#[must_use]
pub fn sanitise(text: &str, most: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(most));
    let mut used = 0;
    for c in text.chars() {
        let start = clean.len();
        if is_unsafe(c) {
            // Writing to a string cannot fail.
            let _ = write!(clean, "{}", c.escape_unicode());
        } else {
            clean.push(c);
        }
        used += clean.get(start..).map_or(0, columns);
        if used > most {
            return cut(&clean, most);
        }
    }
    clean
}

/// The same for a terminal that may show nothing but ASCII.
#[must_use]
pub(crate) fn sanitise_ascii(text: &str, most: usize) -> String {
    let ascii: String = text
        .chars()
        .take(most.saturating_add(1))
        .map(|c| if c.is_ascii() { c.to_string() } else { c.escape_unicode().to_string() })
        .collect();
    sanitise(&ascii, most)
}

/// The first columns of a clean text, with a mark when some are left out.
pub(super) fn cut(clean: &str, most: usize) -> String {
    if columns(clean) <= most {
        return clean.to_owned();
    }
    let mark = "..".get(..most.min(2)).unwrap_or_default();
    let mut used = mark.len();
    let mut short: String = clean
        .chars()
        .take_while(|&c| {
            used += width(c);
            used <= most
        })
        .collect();
    short.push_str(mark);
    short
}

/// How many columns of a terminal a clean text takes at most.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// The columns of a character, never too few: beyond the scripts that are known to be narrow two
/// are taken, which is right for CJK and emoji. Combining marks count one.
pub(super) const fn width(c: char) -> usize {
    match c {
        '\0'..='\u{10ff}' | '\u{2000}'..='\u{2319}' | '\u{2500}'..='\u{259f}' => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::{columns, sanitise, sanitise_ascii};

    #[test]
    fn control_and_format_characters_are_spelt() {
        assert_eq!(sanitise("a\u{1b}[31mb", 80), "a\\u{1b}[31mb");
        assert_eq!(sanitise("x\u{202e}cod.exe", 80), "x\\u{202e}cod.exe");
        assert_eq!(sanitise("line\nbreak\u{9b}\u{7f}", 80), "line\\u{a}break\\u{9b}\\u{7f}");
        assert_eq!(sanitise("größe_日本", 80), "größe_日本");
        assert_eq!(sanitise_ascii("größe", 80), "gr\\u{f6}\\u{df}e");
    }

    #[test]
    fn long_text_is_cut_to_its_columns() {
        assert_eq!(sanitise(&"x".repeat(100), 10), "xxxxxxxx..");
        assert_eq!(sanitise("exactly ten", 11), "exactly ten");
        for most in 0..12 {
            assert!(columns(&sanitise("日本語\u{1b}日本語日本語", most)) <= most);
        }
        assert!(sanitise(&"\u{1b}".repeat(1_000_000), 40).len() <= 40);
    }
}
