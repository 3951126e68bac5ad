//! Texts of the target, made harmless: it chose them, and they must not steer a terminal.

use std::borrow::Cow;

/// The longest text that is shown, in characters.
const LONGEST: usize = 1024;

/// A text with every control character, and every character that turns the direction of writing,
/// replaced; and cut when it is too long.
#[must_use]
pub fn sanitise(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST && text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let harmless = |char| if is_harmless(char) { char } else { char::REPLACEMENT_CHARACTER };
    let mut clean: String = text.chars().take(LONGEST).map(harmless).collect();
    if text.chars().nth(LONGEST).is_some() {
        clean.push('…');
    }
    Cow::Owned(clean)
}

fn is_harmless(char: char) -> bool {
    let directs = matches!(char,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // The last two are not allowed in XML.
    !char.is_control() && !directs && !matches!(char, '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, sanitise};

    #[test]
    fn what_steers_a_terminal_is_replaced() {
        assert_eq!(sanitise("plain text, ümläut, 日本"), "plain text, ümläut, 日本");
        assert_eq!(sanitise("a\x1b[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(sanitise("x\u{202e}y\u{2066}"), "x\u{fffd}y\u{fffd}");
        assert_eq!(sanitise(&"é".repeat(2 * LONGEST)).chars().count(), LONGEST + 1);
    }
}
