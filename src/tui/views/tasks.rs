//! Event loops and their tasks, by who awaits whom.

use ratatui::style::Style;

use crate::diagnose::words::{percent, seconds};
use crate::diagnose::{GroupMeasures, Site};
use crate::tui::app::App;
use crate::tui::sheet::{Cell, Column, Row, Sheet};
use crate::tui::shot::Shot;

use super::prose::Prose;

const COLUMNS: [Column; 6] = [
    Column::number("tasks", 7),
    Column::number("oldest", 8),
    Column::text("state", 9),
    Column::text("awaits", 10),
    Column::text("task", 0),
    Column::text("where", 0),
];

/// The rows of loops come before those of tasks.
pub(in crate::tui) fn sheet(app: &App, shot: &Shot) -> Sheet {
    let theme = app.theme;
    let mut rows = Vec::new();
    for (item, it) in shot.diagnosis.loops.iter().enumerate() {
        let kind = it.kind.map_or("event loop", |kind| kind.name());
        let blocked = it.blocked_share + it.briefly_blocked_share;
        let told = format!(
            "{kind} on {}: step p50 {}, p99 {}, longest {}",
            it.thread,
            seconds(it.steps.p50),
            seconds(it.steps.p99),
            seconds(it.steps.max)
        );
        let style = theme.strong();
        let tasks = it.tasks.map_or_else(String::new, |tasks| tasks.to_string());
        let cells = vec![
            Cell::number(f64::INFINITY, tasks).styled(style),
            Cell::number(f64::INFINITY, ""),
            Cell::text("loop").styled(style),
            Cell::text(format!("blocked {}", percent(blocked))).styled(style),
            Cell::text(told).styled(style),
            Cell::text(format!("{} long steps", it.blocking_steps)),
        ];
        rows.push(Row { cells, item });
    }
    let first = rows.len();
    let groups = &shot.diagnosis.tasks.groups;
    for (index, depth) in tree(shot) {
        let Some(group) = groups.get(index) else { continue };
        let name = group.coroutine.as_ref().map_or("?", |site| &site.function);
        let cells = vec![
            Cell::number(group.mean, format!("{:.0}", group.mean.max(1.0))),
            Cell::number(group.oldest_seconds, seconds(group.oldest_seconds)),
            Cell::text(group.state.name()),
            Cell::text(group.awaits.map_or("", |awaits| awaits.name())),
            Cell::text(format!("{}{name}", "  ".repeat(depth))),
            Cell::text(group.site.as_ref().map_or_else(String::new, place)).styled(theme.place()),
        ];
        rows.push(Row { cells, item: first + index });
    }
    Sheet { columns: &COLUMNS, rows }
}

fn place(site: &Site) -> String {
    let file = site.file.rsplit('/').next().unwrap_or_default();
    format!("{file}:{}", site.line)
}

/// The groups with their depths: those that nobody awaits first, each with those below it that it
/// awaits.
fn tree(shot: &Shot) -> Vec<(usize, usize)> {
    const DEEPEST: usize = 16;
    let groups = &shot.diagnosis.tasks.groups;
    let is_awaited_by = |child: &GroupMeasures, parent: &GroupMeasures| {
        child.awaiter.is_some() && child.awaiter == parent.coroutine
    };
    let is_root = |child: &GroupMeasures| !groups.iter().any(|it| is_awaited_by(child, it));
    let mut told = vec![false; groups.len()];
    let mut found = Vec::new();
    let roots = groups.iter().enumerate().filter(|(_, group)| is_root(group)).map(|(at, _)| at);
    let mut stack: Vec<(usize, usize)> = roots.map(|at| (at, 0)).collect();
    stack.reverse();
    loop {
        while let Some((at, depth)) = stack.pop() {
            if std::mem::replace(told.get_mut(at).unwrap_or(&mut true), true) {
                continue;
            }
            found.push((at, depth));
            let Some(parent) = groups.get(at).filter(|_| depth < DEEPEST) else { continue };
            let children = groups.iter().enumerate().filter(|(_, it)| is_awaited_by(it, parent));
            let children: Vec<_> = children.map(|(child, _)| (child, depth + 1)).collect();
            stack.extend(children.into_iter().rev());
        }
        // Those that await each other have no root.
        match told.iter().position(|told| !told) {
            Some(rest) => stack.push((rest, 0)),
            None => return found,
        }
    }
}

pub(in crate::tui) fn details(app: &App, shot: &Shot, item: usize) -> Prose {
    let theme = app.theme;
    let mut prose = Prose::default();
    if let Some(it) = shot.diagnosis.loops.get(item) {
        prose.foreign("event loop on ", &it.thread, theme, theme.strong());
        let steps = &it.steps;
        for (name, length) in
            [("p50", steps.p50), ("p90", steps.p90), ("p99", steps.p99), ("longest", steps.max)]
        {
            let bar = theme.bar(if steps.max > 0.0 { length / steps.max } else { 0.0 }, 40);
            prose.plain("    ", format!("{name:<8}{bar} {}", seconds(length)));
        }
        prose.plain(
            "",
            format!(
                "{} steps were seen; {} were at least as long as the threshold; a callback is {} late on average",
                steps.count,
                it.blocking_steps,
                seconds(it.mean_delay_seconds)
            ),
        );
        prose.gap();
        prose.add("", "its steps by length", theme.strong());
        histogram(&mut prose, app, shot, it.tid);
        prose.gap();
        prose.add("", "steps that blocked it, in the order of time", theme.strong());
        for episode in &it.episodes {
            let site = episode.site.as_ref().map_or_else(String::new, place);
            let task = episode.task.as_deref().unwrap_or("");
            let text = format!(
                "at {:.2} s for {}: {} {site} {task}",
                episode.start,
                seconds(episode.seconds),
                episode.cause.map_or("", |cause| cause.name())
            );
            prose.foreign("    ", &text, theme, Style::new());
        }
        return prose;
    }
    let index = item - shot.diagnosis.loops.len();
    let Some(group) = shot.diagnosis.tasks.groups.get(index) else { return prose };
    let name = group.coroutine.as_ref().map_or("?", |site| &site.function);
    prose.foreign("", name, theme, theme.strong());
    prose.plain(
        "",
        format!(
            "{:.1} tasks on average, {} at most; the oldest is {} old; {} in all",
            group.mean,
            group.most,
            seconds(group.oldest_seconds),
            seconds(group.seconds)
        ),
    );
    prose.plain("", format!("{} {}", group.state.name(), group.awaits.map_or("", |it| it.name())));
    if let Some((relation, by)) = group.awaited_by.zip(group.awaiter.as_ref()) {
        let head = format!("awaited ({}) by ", relation.name());
        prose.foreign(&head, &by.function, theme, Style::new());
    }
    prose.gap();
    prose.add("", "its await chain, outermost first", theme.strong());
    for line in chain(shot, group) {
        prose.foreign("    ", &line, theme, Style::new());
    }
    prose
}

/// How many steps of a thread's loop took how long.
fn histogram(prose: &mut Prose, app: &App, shot: &Shot, tid: i32) {
    const WIDTH: usize = 40;
    let threads = &shot.profile.tables.threads;
    let index = threads.iter().rposition(|thread| thread.tid == tid);
    let thread = index.and_then(|index| shot.profile.threads.get(index));
    let Some(event_loop) = thread.and_then(|thread| thread.event_loop.as_ref()) else { return };
    let buckets: Vec<_> = event_loop.steps.doublings().collect();
    let most = buckets.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    for (bound, count) in buckets {
        let bar = app.theme.bar(count as f64 / most as f64, WIDTH);
        prose.plain("    ", format!("up to {:<8}{bar} {count}", seconds(bound.seconds())));
    }
}

/// The frames of the await chain of a group's tasks, outermost first.
fn chain(shot: &Shot, group: &GroupMeasures) -> Vec<String> {
    let tables = &shot.profile.tables;
    let lines = tables.frames_of(group.chain).filter_map(|id| {
        let frame = tables.frames.get(id)?;
        let function = tables.functions.get(frame.function)?;
        let file = function.file.rsplit('/').next().unwrap_or_default();
        Some(format!("{} ({file}:{})", function.name, frame.line))
    });
    let mut lines: Vec<String> = lines.collect();
    lines.reverse();
    lines
}
