//! Locks with those who wait for them, and who has them.

use ratatui::style::Style;
use serde_json::Value;

use crate::diagnose::words::{percent, seconds};
use crate::diagnose::{Finding, Severity, Site};
use crate::tui::app::App;
use crate::tui::sheet::{Cell, Column, Row, Sheet};
use crate::tui::shot::Shot;

use super::prose::Prose;

const COLUMNS: [Column; 7] = [
    Column::number("waiters", 8),
    Column::number("waited", 8),
    Column::number("longest", 8),
    Column::text("kind", 14),
    Column::text("lock", 0),
    Column::text("held by", 0),
    Column::text("since", 0),
];

/// The findings that tell of waits that never end.
const DEADLOCKS: [&str; 2] = ["deadlock", "async-deadlock"];

/// The rows of deadlocks come before those of locks.
pub(in crate::tui) fn sheet(app: &App, shot: &Shot) -> Sheet {
    let theme = app.theme;
    let mut rows = Vec::new();
    for (item, finding) in shot.diagnosis.findings.iter().enumerate() {
        if !DEADLOCKS.contains(&finding.id) {
            continue;
        }
        let style = theme.severity(finding.severity);
        let site = finding.site.as_ref().map_or_else(String::new, place);
        let cells = vec![
            Cell::number(f64::INFINITY, finding.count.to_string()).styled(style),
            Cell::number(f64::INFINITY, "for ever").styled(style),
            Cell::number(f64::INFINITY, ""),
            Cell::text(finding.id).styled(style),
            Cell::text(&finding.name).styled(style),
            Cell::text(finding.thread.clone().unwrap_or_default()),
            Cell::text(site).styled(theme.place()),
        ];
        rows.push(Row { cells, item });
    }
    let first = shot.diagnosis.findings.len();
    for (index, lock) in shot.diagnosis.locks.iter().enumerate() {
        let holder = lock.holders.first();
        let since = holder.and_then(|holder| holder.site.as_ref());
        let cells = vec![
            Cell::number(lock.mean_waiters, format!("{:.1}", lock.mean_waiters)),
            Cell::number(lock.wait_seconds, seconds(lock.wait_seconds)),
            Cell::number(lock.longest_seconds, seconds(lock.longest_seconds)),
            Cell::text(lock.kind),
            Cell::text(name(&lock.name, lock.object.as_deref())).styled(theme.strong()),
            Cell::text(holder.map_or("", |holder| &holder.thread)),
            Cell::text(since.map_or_else(String::new, place)).styled(theme.place()),
        ];
        rows.push(Row { cells, item: first + index });
    }
    Sheet { columns: &COLUMNS, rows }
}

fn name(name: &str, object: Option<&str>) -> String {
    match (name, object) {
        ("", Some(object)) => object.to_owned(),
        ("", None) => "?".to_owned(),
        (name, _) => name.to_owned(),
    }
}

fn place(site: &Site) -> String {
    let file = site.file.rsplit('/').next().unwrap_or_default();
    format!("{file}:{} {}", site.line, site.function)
}

/// The circle of a deadlock: each waits for what the next one has.
fn ring(prose: &mut Prose, app: &App, finding: &Finding) {
    let theme = app.theme;
    let Some(ring) = finding.evidence.get("ring").and_then(|ring| ring.as_array()) else { return };
    let text = |wait: &Value, key: &str| {
        wait.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (down, turn) = if theme.unicode { ("│", "└▶") } else { ("|", "+>") };
    prose.add("", "the circle", theme.strong());
    for wait in ring {
        prose.foreign("  ", &text(wait, "thread"), theme, theme.severity(Severity::Error));
        let lock = format!("waits for {} {}", text(wait, "kind"), text(wait, "name"));
        let since = wait.get("where").and_then(|site| {
            let file = site.get("file")?.as_str()?.rsplit('/').next()?.to_owned();
            Some(format!(" at {file}:{}", site.get("line")?))
        });
        let lock = lock + &since.unwrap_or_default();
        prose.foreign(&format!("  {down} "), &lock, theme, Style::new());
        let owner = format!("which {} has", text(wait, "owner"));
        prose.foreign(&format!("  {turn} "), &owner, theme, theme.faint());
    }
    prose.gap();
}

pub(in crate::tui) fn details(app: &App, shot: &Shot, item: usize) -> Prose {
    let theme = app.theme;
    let mut prose = Prose::default();
    if let Some(finding) = shot.diagnosis.findings.get(item) {
        ring(&mut prose, app, finding);
        prose.join(super::findings::details(app, shot, item));
        return prose;
    }
    let Some(lock) = shot.diagnosis.locks.get(item - shot.diagnosis.findings.len()) else {
        return prose;
    };
    let title = format!("{} {}", lock.kind, name(&lock.name, lock.object.as_deref()));
    prose.foreign("", &title, theme, theme.strong());
    prose.plain(
        "",
        format!(
            "{:.2} threads wait for it on average, {} in all, {} at the longest; {} waits were told apart",
            lock.mean_waiters,
            seconds(lock.wait_seconds),
            seconds(lock.longest_seconds),
            lock.waits
        ),
    );
    prose.gap();
    prose.add("", "who waits", theme.strong());
    for site in &lock.sites {
        let head = format!("    {:>6}  ", percent(site.share));
        prose.foreign(&head, &place(&site.site), theme, theme.place());
    }
    prose.gap();
    prose.add("", "who has it meanwhile", theme.strong());
    for holder in &lock.holders {
        let since =
            holder.site.as_ref().map_or_else(String::new, |it| format!(" since {}", place(it)));
        let head = format!("    {:>6}  ", percent(holder.share));
        prose.foreign(&head, &format!("{}{since}", holder.thread), theme, Style::new());
        for (cause, share) in &holder.meanwhile {
            prose.add("              ", format!("{cause} {}", percent(*share)), theme.faint());
        }
    }
    if lock.holders.is_empty() {
        prose.add("    ", "could not be told", theme.faint());
    }
    prose
}
