//! Colours and characters: what a terminal can show.

use ratatui::style::{Color, Modifier, Style};

use crate::diagnose::Severity;
use crate::model::{Cause, Tag};
use crate::output::{columns, sanitise, sanitise_ascii};

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Whether it may have colours; nothing is told by them alone.
    pub colour: bool,
    /// Whether it shows more than ASCII.
    pub unicode: bool,
}

impl Default for Theme {
    fn default() -> Self {
        Self { colour: true, unicode: true }
    }
}

/// The longest text that is looked at.
const LONGEST: usize = 1024;

/// Columns from empty to full.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const LEVELS: [char; 9] = [' ', '.', ':', '-', '=', '+', '*', '%', '#'];

impl Theme {
    /// A target's text as it may be shown, in at most so many columns.
    pub(super) fn clean(self, text: &str, most: usize) -> String {
        if self.unicode { sanitise(text, most) } else { sanitise_ascii(text, most) }
    }

    /// A target's text of which the end matters most, in at most so many columns.
    pub(super) fn tail(self, text: &str, most: usize) -> String {
        let clean = self.clean(text, LONGEST);
        let too_many = columns(&clean).saturating_sub(most);
        if too_many == 0 {
            return clean;
        }
        let left_out = |count: usize| clean.chars().skip(count).collect::<String>();
        // A character takes one column or two.
        let kept = (too_many + 2..).map(left_out).find(|kept| columns(kept) + 2 <= most.max(2));
        format!("..{}", kept.unwrap_or_default())
    }

    fn coloured(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn faint(self) -> Style {
        if self.colour { Style::new().fg(Color::DarkGray) } else { Style::new() }
    }

    pub(super) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn place(self) -> Style {
        self.coloured(Color::Cyan)
    }

    pub(super) fn tag(self, tag: Tag) -> Style {
        self.coloured(match tag {
            Tag::EventLoopBlocking => Color::Red,
            Tag::GilContended => Color::Magenta,
            Tag::IdleWaiting => Color::Blue,
            Tag::Running => Color::Green,
        })
    }

    pub(super) fn cause(self, cause: Cause) -> Style {
        self.coloured(match cause {
            Cause::Python => Color::Green,
            Cause::Native => Color::LightGreen,
            Cause::CpuWait => Color::Yellow,
            Cause::Gil => Color::Magenta,
            Cause::Lock => Color::LightRed,
            Cause::Network => Color::Blue,
            Cause::Disk => Color::LightBlue,
            Cause::Pipe => Color::Cyan,
            Cause::Child => Color::LightCyan,
            Cause::Sleep | Cause::Parked | Cause::Unknown => Color::DarkGray,
        })
    }

    pub(super) fn severity(self, severity: Severity) -> Style {
        self.coloured(match severity {
            Severity::Error => Color::Red,
            Severity::Warning => Color::Yellow,
            Severity::Info => Color::Blue,
        })
    }

    /// A column of one cell for a share between 0 and 1; a share that is not zero always shows.
    pub(super) fn column(self, share: f64) -> char {
        let levels = if self.unicode { EIGHTHS } else { LEVELS };
        let index = (share.clamp(0.0, 1.0) * 8.0).round() as usize;
        let index = if share > 0.0 { index.max(1) } else { 0 };
        levels.get(index).copied().unwrap_or(' ')
    }

    /// A bar for a share between 0 and 1 in exactly so many columns.
    pub(super) fn bar(self, share: f64, columns: usize) -> String {
        let bar = crate::output::bar(share, columns, self.unicode);
        let missing = columns.saturating_sub(bar.chars().count());
        bar + &" ".repeat(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::Theme;

    #[test]
    fn of_a_command_the_end_is_kept() {
        let theme = Theme::default();
        assert_eq!(theme.tail("python app.py", 13), "python app.py");
        assert_eq!(theme.tail("python app.py", 9), ".. app.py");
        for most in 0..12 {
            assert!(crate::output::columns(&theme.tail("日本語日本語", most)) <= most.max(2));
        }
    }

    #[test]
    fn a_share_that_is_not_zero_shows() {
        let theme = Theme { colour: false, unicode: false };
        assert_eq!(
            [0.0, 0.001, 0.5, 1.0, 7.0].map(|it| theme.column(it)),
            [' ', '.', '=', '#', '#']
        );
        assert_eq!(Theme::default().bar(0.5, 4), "██  ");
        assert_eq!(theme.bar(0.5, 4), "##  ");
    }
}
