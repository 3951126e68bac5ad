//! What stands out, with the full advice.

use ratatui::style::Style;

use crate::catalog::TopicKind;
use crate::diagnose::words::percent;
use crate::tui::app::App;
use crate::tui::sheet::{Cell, Column, Row, Sheet};
use crate::tui::shot::Shot;

use super::overview::tell;
use super::prose::Prose;

const COLUMNS: [Column; 4] = [
    Column::text("severity", 8),
    Column::number("share", 7),
    Column::text("finding", 0),
    Column::text("where", 0),
];

pub(in crate::tui) fn sheet(app: &App, shot: &Shot) -> Sheet {
    let rows = shot.diagnosis.findings.iter().enumerate().map(|(item, finding)| {
        let severity = finding.severity;
        let site = finding.site.as_ref().map_or_else(String::new, |site| {
            let file = site.file.rsplit('/').next().unwrap_or_default();
            format!("{file}:{} {}", site.line, site.function)
        });
        let cells = vec![
            Cell { number: Some(-f64::from(severity as u8)), ..Cell::text(severity.name()) }
                .styled(app.theme.severity(severity)),
            Cell::number(finding.share, percent(finding.share)),
            Cell::text(&finding.name),
            Cell::text(site).styled(app.theme.place()),
        ];
        Row { cells, item }
    });
    Sheet { columns: &COLUMNS, rows: rows.collect() }
}

pub(in crate::tui) fn details(app: &App, shot: &Shot, item: usize) -> Prose {
    let mut prose = Prose::default();
    let Some(finding) = shot.diagnosis.findings.get(item) else { return prose };
    tell(&mut prose, app, finding);
    let story = finding.evidence.get("story").and_then(|story| story.as_array());
    for sentence in story.into_iter().flatten().filter_map(|it| it.as_str()) {
        prose.foreign("        ", sentence, app.theme, Style::new());
    }
    prose.gap();
    let is_it = |kind, id: &str| kind == TopicKind::Finding && id == finding.id;
    let Some(topic) = app.topics.iter().find(|topic| is_it(topic.kind, &topic.id)) else {
        return prose;
    };
    prose.add("", &*topic.title, app.theme.strong());
    prose.plain("it means   ", &*topic.means);
    for (label, text) in [
        ("it may be  ", &topic.may_be),
        ("or else    ", &topic.or_else),
        ("do this    ", &topic.action),
        ("look next  ", &topic.look),
    ] {
        if let Some(text) = text {
            prose.plain(label, &**text);
        }
    }
    prose.gap();
    prose.add("", "evidence", app.theme.strong());
    for (name, value) in &finding.evidence {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        prose.foreign(&format!("{name}: "), &value, app.theme, app.theme.faint());
    }
    prose
}
