//! A differential flame graph: what grew is red, what shrank blue.

use std::io::{self, Write};

use inferno::differential;
use inferno::flamegraph::{Direction, Options, TextTruncateDirection, from_reader};

use crate::compare::{Comparison, Run};
use crate::output::StackOptions;
use crate::output::folded::{clean, folded};

/// Whose widths the frames have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// Those of BEFORE: what is gone can be seen, what is new cannot.
    Before,
    /// Those of AFTER: what is new can be seen, what is gone cannot.
    After,
}

/// Writes a differential flame graph as an SVG. Both sides are brought to the same number of
/// samples, so that neither length nor rate matters.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] when a side has no sample to draw; else when `out` cannot be
/// written.
pub fn comparison_flamegraph(
    out: &mut dyn Write,
    (before, after): (&[Run], &[Run]),
    comparison: &Comparison,
    width: Width,
) -> io::Result<()> {
    // Lines move when code is changed; functions keep their names.
    let options = StackOptions { line_numbers: false, ..StackOptions::default() };
    let stacks = |side: &[Run]| -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        side.iter().try_for_each(|run| folded(&mut text, &run.profile, &options))?;
        if text.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "one side has no sample to draw: its threads were idle by design all the time",
            ));
        }
        Ok(text)
    };
    let (one, other) = (stacks(before)?, stacks(after)?);
    let (narrow, wide) = match width {
        Width::Before => (other, one),
        Width::After => (one, other),
    };
    let normalised = differential::Options { normalize: true, ..differential::Options::default() };
    let mut lines = Vec::new();
    differential::from_readers(normalised, &narrow[..], &wide[..], &mut lines)?;
    let mut settings = Options::default();
    settings.title = clean(&format!("{}: {}", comparison.outcome.name(), comparison.sentence));
    let missing = match width {
        Width::Before => "widths of BEFORE; what is new is not drawn",
        Width::After => "widths of AFTER; what is gone is not drawn",
    };
    settings.subtitle = Some(format!("red grew, blue shrank; {missing}"));
    settings.direction = Direction::Inverted;
    settings.text_truncate_direction = TextTruncateDirection::Right;
    settings.negate_differentials = width == Width::Before;
    from_reader(&mut settings, &lines[..], out)
}
