//! What the threads do, what stands out, what to do about it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::diagnose::words::percent;
use crate::diagnose::{Finding, Share};
use crate::model::{Cause, Tag};
use crate::tui::app::App;
use crate::tui::header::pieces;
use crate::tui::shot::Shot;

use super::prose::Prose;

/// The lines of the bars.
pub(in crate::tui) const BARS: usize = 5;
/// How many findings are told.
const FINDINGS: usize = 3;

pub(in crate::tui) fn draw(buffer: &mut Buffer, area: Rect, app: &App, shot: &Shot) {
    let scroll = usize::from(app.scroll);
    let shown = BARS.saturating_sub(scroll).min(usize::from(area.height)) as u16;
    bars(buffer, Rect { height: shown, ..area }, app, shot, BARS - usize::from(shown));
    let rest = Rect { y: area.y + shown, height: area.height - shown, ..area };
    text(app, shot).draw(buffer, rest, scroll.saturating_sub(BARS) as u16);
}

/// Tags at the left, causes at the right, each with its share of all thread samples.
fn bars(buffer: &mut Buffer, area: Rect, app: &App, shot: &Shot, skipped: usize) {
    let theme = app.theme;
    let totals = &shot.diagnosis.totals;
    let share = |share: Option<&Share>| share.map_or(0.0, |share| share.share);
    let mut causes: Vec<(Cause, f64)> =
        Cause::ALL.iter().map(|it| (*it, share(totals.causes.get(it.name())))).collect();
    causes.retain(|(_, share)| *share > 0.0);
    causes.sort_by(|a, b| b.1.total_cmp(&a.1));
    let half = area.width / 2;
    let room = usize::from(half.saturating_sub(29));
    for (line, index) in (0..area.height).zip(skipped..) {
        let left = Rect { y: area.y + line, height: 1, width: half, ..area };
        let right = Rect { x: area.x + half, width: area.width - half, ..left };
        let mut cells = |at: Rect, name: &str, share: f64, style: Style| {
            let told = [
                (format!("{name:<20}"), Style::new()),
                (theme.bar(share, room), style),
                (format!(" {:>6}", percent(share)), Style::new()),
            ];
            pieces(buffer, at, &told);
        };
        if let Some(tag) = Tag::ALL.get(index) {
            cells(left, tag.name(), share(totals.tags.get(tag.name())), theme.tag(*tag));
        }
        if let Some((cause, share)) = causes.get(index) {
            cells(right, cause.name(), *share, theme.cause(*cause));
        }
    }
}

/// The verdict's reasons, the gravest findings, the recommendation.
pub(in crate::tui) fn text(app: &App, shot: &Shot) -> Prose {
    let theme = app.theme;
    let mut prose = Prose::default();
    let of = shot.diagnosis.totals.thread_samples;
    prose.add("", format!("of {of} thread samples"), theme.faint());
    for finding in shot.diagnosis.findings.iter().take(FINDINGS) {
        tell(&mut prose, app, finding);
    }
    let more = shot.diagnosis.findings.len().saturating_sub(FINDINGS);
    if more > 0 {
        prose.add("", format!("and {more} more: 7"), theme.faint());
    }
    if let Some(verdict) = &app.verdict {
        verdict.why.iter().for_each(|why| prose.foreign("- ", why, theme, Style::new()));
    }
    let advice = &shot.diagnosis.recommendation;
    let head = format!("do: {}; ", advice.model.name());
    prose.add(&head, advice.model.meaning(), theme.strong());
    advice.why.iter().for_each(|why| prose.foreign("    - ", why, theme, Style::new()));
    if let Some(gain) = &advice.gain {
        let precision = if gain.high < 1.0 { 3 } else { 2 };
        let text = format!("{:.precision$} to {:.precision$} {}", gain.low, gain.high, gain.unit);
        prose.add("    gain: ", text, theme.strong());
    }
    for step in &advice.steps {
        if let (Some(before), Some(after)) = (&step.before, &step.after)
            && !after.contains('\n')
        {
            prose.foreign("    instead of  ", before, theme, theme.faint());
            prose.foreign("    write       ", after, theme, theme.strong());
        }
    }
    prose
}

/// A finding with its place and its advice.
pub(super) fn tell(prose: &mut Prose, app: &App, finding: &Finding) {
    let theme = app.theme;
    let head = format!("{:<8}", finding.severity.name());
    let title = format!("{}  [{}]", finding.name, finding.id);
    prose.foreign(&head, &title, theme, theme.severity(finding.severity));
    if let Some(site) = &finding.site {
        let thread = finding.thread.as_deref().map_or_else(String::new, |it| format!(", {it}"));
        let place = format!("{}:{} in {}{thread}", site.file, site.line, site.function);
        prose.foreign("        ", &place, theme, theme.place());
    }
    if let Some(source) = &finding.source {
        prose.foreign("        ", source, theme, theme.faint());
    }
    let of = finding.evidence.get("share_of").and_then(|of| of.as_str()).unwrap_or("all");
    prose.plain("        ", format!("{} of {of}", percent(finding.share)));
    prose.foreign("        ", &finding.advice, theme, Style::new());
}
