//! What each thread does.

use std::cmp::Reverse;

use ratatui::style::Style;

use crate::diagnose::words::{percent, ratio, seconds};
use crate::model::{Cause, Tag, ThreadId};
use crate::profile::Row as Samples;
use crate::tui::app::App;
use crate::tui::sheet::{Cell, Column, Row, Sheet};
use crate::tui::shot::Shot;

use super::prose::Prose;

const COLUMNS: [Column; 10] = [
    Column::text("thread", 0),
    Column::number("tid", 8),
    Column::number("run", 6),
    Column::number("gil", 6),
    Column::number("wait", 6),
    Column::number("block", 6),
    Column::text("mostly", 9),
    Column::text("at", 0),
    Column::number("since", 8),
    Column::text("peer or file", 22),
];
/// How many of them a terminal of 80 columns has room for, and from how many on there is more.
const NARROW: usize = 8;
const WIDE: u16 = 110;

/// Stacks of a thread that are shown in its details, and frames of each.
const STACKS: usize = 4;
const FRAMES: usize = 24;

pub(in crate::tui) fn sheet(app: &App, shot: &Shot) -> Sheet {
    let theme = app.theme;
    let mut rows = Vec::new();
    for (item, thread) in shot.diagnosis.threads.iter().enumerate() {
        let share = |tag: Tag| {
            let share = thread.tag_shares.get(tag.name()).copied().unwrap_or(0.0);
            let text = if share > 0.0 { percent(share) } else { "-".to_owned() };
            Cell::number(share, text).styled(theme.tag(tag))
        };
        let mostly = thread.cause_shares.iter().max_by(|a, b| a.1.total_cmp(b.1));
        let cause = mostly.and_then(|(name, _)| Cause::ALL.iter().find(|it| it.name() == *name));
        let style = cause.map_or_else(Style::new, |cause| theme.cause(*cause));
        rows.push(Row {
            cells: vec![
                Cell::text(&thread.name),
                Cell::number(-f64::from(thread.tid), thread.tid.to_string()),
                share(Tag::Running),
                share(Tag::GilContended),
                share(Tag::IdleWaiting),
                share(Tag::EventLoopBlocking),
                Cell::text(mostly.map_or("", |(name, _)| name)).styled(style),
                Cell::text(
                    heaviest(shot, thread.tid).map_or_else(String::new, |row| top(shot, &row)),
                )
                .styled(theme.place()),
                since(shot, thread.tid),
                Cell::text(peer(shot, thread.tid)),
            ],
            item,
        });
    }
    // Those that do most come first.
    let waits = |row: &Row| row.cells.get(4).and_then(|cell| cell.number).unwrap_or(0.0);
    rows.sort_by(|a, b| waits(a).total_cmp(&waits(b)));
    let shown = if app.columns < WIDE { NARROW } else { COLUMNS.len() };
    Sheet { columns: COLUMNS.get(..shown).unwrap_or_default(), rows }
}

/// Since when the thread is in its last state.
fn since(shot: &Shot, tid: i32) -> Cell {
    let profile = thread_of(shot, tid).and_then(|id| shot.profile.threads.get(usize::from(id)));
    profile.and_then(|thread| thread.seen).map_or_else(Cell::default, |seen| {
        let length = seen.last.since(seen.since).seconds();
        Cell::number(length, seconds(length))
    })
}

/// What the thread's last state waits for: the other end of a connection, or a file.
fn peer(shot: &Shot, tid: i32) -> String {
    let tables = &shot.profile.tables;
    let profile = thread_of(shot, tid).and_then(|id| shot.profile.threads.get(usize::from(id)));
    let seen = profile.and_then(|thread| thread.seen);
    let state = seen.and_then(|seen| tables.states.get(seen.state));
    let descriptor = state.and_then(|state| tables.descriptors.get(state.descriptor?));
    descriptor.and_then(|it| it.target()).unwrap_or_default().to_owned()
}

/// The thread's id in the tables.
fn thread_of(shot: &Shot, tid: i32) -> Option<ThreadId> {
    let threads = &shot.profile.tables.threads;
    // A number that was used again belongs to the last thread that had it.
    threads.iter().rposition(|thread| thread.tid == tid).map(ThreadId::from)
}

/// The state that a thread was in most.
fn heaviest(shot: &Shot, tid: i32) -> Option<Samples<'_>> {
    shot.profile.rows_of(thread_of(shot, tid)?).max_by_key(|row| row.samples)
}

/// The innermost frame of a row.
fn top(shot: &Shot, row: &Samples<'_>) -> String {
    frames(shot, row).into_iter().next().unwrap_or_default()
}

/// `function (file:line)`, innermost first.
fn frames(shot: &Shot, row: &Samples<'_>) -> Vec<String> {
    let tables = &shot.profile.tables;
    let frames = tables.frames_of(row.state.stack).filter_map(|id| {
        let frame = tables.frames.get(id)?;
        let function = tables.functions.get(frame.function)?;
        let file = function.file.rsplit('/').next().unwrap_or_default();
        Some(format!("{} ({file}:{})", function.name, frame.line))
    });
    frames.collect()
}

pub(in crate::tui) fn details(app: &App, shot: &Shot, item: usize) -> Prose {
    let theme = app.theme;
    let mut prose = Prose::default();
    let Some(thread) = shot.diagnosis.threads.get(item) else { return prose };
    prose.foreign("thread ", &format!("{} ({})", thread.name, thread.tid), theme, theme.strong());
    prose.plain(
        "",
        format!(
            "{} samples; {} on a CPU, {} ready without one; had the GIL at {} of its samples",
            thread.samples,
            seconds(thread.cpu_seconds),
            seconds(thread.queued_seconds),
            percent(ratio(thread.gil_held as f64, thread.samples as f64)),
        ),
    );
    let causes =
        thread.cause_shares.iter().map(|(name, share)| format!("{name} {}", percent(*share)));
    prose.plain("", causes.collect::<Vec<_>>().join(", "));
    let Some(id) = thread_of(shot, thread.tid) else { return prose };
    if let Some(seen) = shot.profile.threads.get(usize::from(id)).and_then(|it| it.seen) {
        let length = seconds(seen.last.since(seen.since).seconds());
        prose.plain("", format!("in its last state since {length} at least"));
    }
    let mut rows: Vec<_> = shot.profile.rows_of(id).collect();
    rows.sort_by_key(|row| (Reverse(row.samples), row.id));
    for row in rows.iter().take(STACKS) {
        prose.gap();
        let share = percent(ratio(row.samples as f64, thread.samples as f64));
        let note = shot.profile.tables.note(row.state);
        let note = note.map_or_else(String::new, |note| format!(", {note}"));
        let peer = row.state.descriptor.and_then(|id| shot.profile.tables.descriptors.get(id));
        let peer =
            peer.and_then(|it| it.target()).map_or_else(String::new, |it| format!(", to {it}"));
        let head = format!("{share} {}{note}{peer}", row.state.cause.name());
        prose.foreign("", &head, theme, theme.cause(row.state.cause));
        let frames = frames(shot, row);
        for frame in frames.iter().take(FRAMES) {
            prose.foreign("    ", frame, theme, Style::new());
        }
        if frames.len() > FRAMES {
            prose.add("    ", format!("and {} more frames", frames.len() - FRAMES), theme.faint());
        }
    }
    prose
}
