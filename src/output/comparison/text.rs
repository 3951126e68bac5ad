//! A comparison as text: the sentence first, then what it rests on.

use std::io::{self, Write};

use crossterm::style::Color;

use crate::compare::{AdviceTaken, Change, Comparison, FoundOnce, OneSided, Outcome, SideSummary};
use crate::diagnose::{percent, seconds};
use crate::output::page::{Look, Page, TextOptions};

use super::{Cells, counted, shown};

/// Functions and lines that are shown, each.
const MOST_CODE: usize = 8;
/// Stacks that are shown of each side.
const MOST_STACKS: usize = 4;
/// The functions of a stack that are shown: the innermost.
const MOST_FUNCTIONS: usize = 4;

/// Writes a comparison as text.
///
/// # Errors
/// When writing fails.
pub fn comparison_text(
    w: &mut dyn Write,
    comparison: &Comparison,
    options: &TextOptions,
) -> io::Result<()> {
    let page = &mut Page::new(w, *options);
    let colour = match comparison.outcome {
        Outcome::Improved => Look::In(Color::Green),
        Outcome::Regressed => Look::In(Color::Red),
        Outcome::BetterAndWorse => Look::In(Color::Yellow),
        Outcome::Changed | Outcome::Unchanged => Look::Strong,
    };
    let outcome = comparison.outcome.name().to_uppercase();
    page.paragraph((&format!("{outcome}: "), colour), &comparison.sentence, Look::Strong)?;
    for (head, reasons) in [("better: ", &comparison.better), ("worse:  ", &comparison.worse)] {
        for reason in reasons {
            page.paragraph((head, Look::Plain), reason, Look::Plain)?;
        }
    }
    page.empty()?;
    side(page, "BEFORE ", &comparison.before)?;
    side(page, "AFTER  ", &comparison.after)?;
    for warning in &comparison.warnings {
        page.paragraph(("note: ", Look::In(Color::Yellow)), warning, Look::Plain)?;
    }
    changes(page, comparison)?;
    findings(page, comparison)?;
    code(page, "Functions", &comparison.code.functions)?;
    code(page, "Lines of the program's own", &comparison.code.lines)?;
    stacks(page, "Stacks that are gone", &comparison.code.gone)?;
    stacks(page, "Stacks that are new", &comparison.code.new)?;
    if let Some(advice) = &comparison.advice {
        taken(page, advice)?;
    }
    page.empty()?;
    page.paragraph(("Method: ", Look::Faint), comparison.method, Look::Faint)
}

fn side(page: &mut Page<'_>, head: &str, side: &SideSummary) -> io::Result<()> {
    let files = match side.files.as_slice() {
        [one] => one.clone(),
        files => format!("{} recordings", files.len()),
    };
    let text = format!(
        "{files}: {} ({:.2}), {:.1} s at {:.0} Hz, Python {}, {:.0} threads",
        side.verdict.name(),
        side.confidence,
        side.seconds,
        side.rate,
        side.python,
        side.threads,
    );
    page.paragraph((head, Look::Strong), &text, Look::Plain)
}

fn changes(page: &mut Page<'_>, comparison: &Comparison) -> io::Result<()> {
    let list = shown(&comparison.changes);
    page.empty()?;
    if list.is_empty() {
        return page.paragraph(
            ("", Look::Plain),
            &format!("{}.", counted(comparison)),
            Look::Plain,
        );
    }
    head(page, "Measure")?;
    for change in list {
        row(page, change)?;
    }
    if let Some(steps) = comparison.steps.as_ref().filter(|it| it.significant) {
        let cells = Cells {
            name: "event loop: p99 of its steps".to_owned(),
            before: seconds(steps.before.p99),
            after: seconds(steps.after.p99),
            difference: format!("x{:.2}", steps.after.p99 / steps.before.p99.max(1e-6)),
            interval: steps
                .ratio_low
                .zip(steps.ratio_high)
                .map_or_else(String::new, |(low, high)| format!("x{low:.2}…x{high:.2}")),
            p: String::new(),
        };
        write_cells(page, &cells)?;
    }
    page.line(&[(&counted(comparison), Look::Faint)])
}

fn head(page: &mut Page<'_>, what: &str) -> io::Result<()> {
    let line = format!(
        "{what:<31}{:>8} {:>8} {:>10}  {:<13}{:>6}",
        "before", "after", "change", "95 % CI", "p"
    );
    page.line(&[(&line, Look::Strong)])
}

fn row(page: &mut Page<'_>, change: &Change) -> io::Result<()> {
    write_cells(page, &Cells::of(change))
}

fn write_cells(page: &mut Page<'_>, cells: &Cells) -> io::Result<()> {
    let name = page.cell(&cells.name, 31, false);
    let rest = format!(
        "{:>8} {:>8} {:>10}  {:<13}{:>6}",
        cells.before, cells.after, cells.difference, cells.interval, cells.p
    );
    page.line(&[(&name, Look::Plain), (&rest, Look::Plain)])
}

fn findings(page: &mut Page<'_>, comparison: &Comparison) -> io::Result<()> {
    let (gone, new) = (&comparison.findings.gone, &comparison.findings.new);
    if gone.is_empty() && new.is_empty() {
        return Ok(());
    }
    page.empty()?;
    page.line(&[("Findings", Look::Strong)])?;
    let mut all = |head: &str, list: &[FoundOnce]| -> io::Result<()> {
        for finding in list {
            let doubt = if finding.certain { "" } else { " (by a narrow margin)" };
            let place = finding.site.as_ref().map_or_else(String::new, |site| {
                format!(", {}:{} in {}", site.file, site.line, site.function)
            });
            let text = format!(
                "{} {}: {}{place}{doubt}",
                finding.severity.name(),
                finding.id,
                finding.name
            );
            page.paragraph((head, Look::Plain), &text, Look::Plain)?;
        }
        Ok(())
    };
    all("  gone  ", gone)?;
    all("  new   ", new)
}

fn code(page: &mut Page<'_>, title: &str, changes: &[Change]) -> io::Result<()> {
    let list: Vec<_> = changes.iter().filter(|it| it.significant).collect();
    if list.is_empty() {
        return Ok(());
    }
    page.empty()?;
    head(page, title)?;
    for change in list.iter().take(MOST_CODE) {
        row(page, change)?;
    }
    let left = list.len().saturating_sub(MOST_CODE);
    if left > 0 {
        page.line(&[(&format!("and {left} more: -f json has all"), Look::Faint)])?;
    }
    Ok(())
}

fn stacks(page: &mut Page<'_>, title: &str, list: &[OneSided]) -> io::Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    page.empty()?;
    page.line(&[(title, Look::Strong)])?;
    for stack in list.iter().take(MOST_STACKS) {
        let left = stack.functions.len().saturating_sub(MOST_FUNCTIONS);
        let inner: Vec<_> = stack.functions.iter().skip(left).map(String::as_str).collect();
        let more = if left > 0 { ".. > " } else { "" };
        let share = format!("{:>8}  ", percent(stack.share));
        page.paragraph(
            (&share, Look::Plain),
            &format!("{more}{}", inner.join(" > ")),
            Look::Plain,
        )?;
    }
    Ok(())
}

fn taken(page: &mut Page<'_>, advice: &AdviceTaken) -> io::Result<()> {
    page.empty()?;
    let followed = match advice.followed {
        Some(true) => "seems to be followed",
        Some(false) => "is not followed",
        None => "may be followed",
    };
    let head = format!("Advice: {} ", advice.model.name());
    page.paragraph(
        (&head, Look::Strong),
        &format!("{followed}: {}.", advice.evidence),
        Look::Plain,
    )?;
    let Some(gain) = &advice.predicted else { return Ok(()) };
    let measured = match (advice.measured, advice.as_predicted) {
        (Some(value), Some(true)) => format!("measured {value:.3}, as predicted"),
        (Some(value), _) => format!("measured {value:.3}, not as predicted"),
        (None, _) => "not measured".to_owned(),
    };
    let text = format!(
        "{:.3} to {:.3} {}; {measured}: {}.",
        gain.low, gain.high, gain.unit, advice.arithmetic
    );
    page.paragraph(("  predicted ", Look::Plain), &text, Look::Plain)
}
