//! The findings of a report as text.

use std::io;

use crossterm::style::Color;

use crate::diagnose::words::percent;
use crate::diagnose::{Finding, Severity, Site};

use super::page::{Look, Page};

/// Writes the gravest findings of a recording of so many seconds.
pub(super) fn findings(page: &mut Page, findings: &[Finding], elapsed: f64) -> io::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let most = page.options().findings;
    page.line(&[("findings", Look::Strong)])?;
    for finding in findings.iter().take(most) {
        let severity = finding.severity;
        let title = format!("{}  [{}]", finding.name, finding.id);
        let head = format!("  {}", page.cell(severity.name(), 8, false));
        page.paragraph((&head, Look::In(colour(severity))), &title, Look::Strong)?;
        let indent = ("          ", Look::Plain);
        if let Some(site) = &finding.site {
            let place = place(page, site, finding.thread.as_deref());
            page.paragraph(indent, &place, Look::In(Color::Cyan))?;
        }
        if let Some(source) = &finding.source {
            page.line(&[indent, (&page.clean(source, 60), Look::Faint)])?;
        }
        let story = finding.evidence.get("story").and_then(|story| story.as_array());
        for sentence in story.into_iter().flatten().filter_map(|it| it.as_str()) {
            page.paragraph(indent, sentence, Look::Plain)?;
        }
        page.paragraph(indent, &extent(finding, elapsed), Look::Plain)?;
        page.paragraph(indent, &finding.advice, Look::Plain)?;
    }
    if findings.len() > most {
        let more = format!("  and {} more, which --all shows", findings.len() - most);
        page.line(&[(&more, Look::Faint)])?;
    }
    page.empty()
}

/// How much a finding concerns, with what it is a share and a count of.
fn extent(finding: &Finding, elapsed: f64) -> String {
    let text =
        |key: &str| finding.evidence.get(key).and_then(|value| value.as_str()).unwrap_or("all");
    let longest = finding.evidence.get("longest_seconds").and_then(serde_json::Value::as_f64);
    let longest =
        longest.map_or_else(String::new, |longest| format!(", the longest {longest:.2} s"));
    let things = text("count_of");
    let things = if finding.count == 1 { singular(things) } else { things.to_owned() };
    // Several threads, or tasks, at once.
    let unit = if finding.seconds > 1.05 * elapsed { "s, added up" } else { "s" };
    format!(
        "{} of {}; {:.1} {unit}, {} {things}{longest}",
        percent(finding.share),
        text("share_of"),
        finding.seconds,
        finding.count,
    )
}

/// `steps of the loop` as `step of the loop`: the first plural of a phrase is its noun.
fn singular(phrase: &str) -> String {
    let mut words: Vec<_> = phrase.split(' ').collect();
    if let Some(noun) = words.iter_mut().find(|word| word.ends_with('s')) {
        *noun = noun.trim_end_matches('s');
    }
    words.join(" ")
}

/// `file:line in function, thread name`, each part shortened to leave room for the others.
fn place(page: &Page, site: &Site, thread: Option<&str>) -> String {
    let file = page.tail(&site.file, 48);
    let function = page.clean(&site.function, 40);
    let thread =
        thread.map_or_else(String::new, |name| format!(", thread {}", page.clean(name, 24)));
    format!("{file}:{} in {function}{thread}", site.line)
}

const fn colour(severity: Severity) -> Color {
    match severity {
        Severity::Error => Color::Red,
        Severity::Warning => Color::Yellow,
        Severity::Info => Color::Blue,
    }
}
