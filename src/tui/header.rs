//! What always stands above and below the view.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::diagnose::words::{counted, percent, seconds};
use crate::model::Tag;
use crate::output::{columns, quality_brief};
use crate::profile::Beat;

use super::app::{App, Overlay, View};
use super::keys::tab;
use super::shot::{Shot, Source};

/// Writes a text at a place of the screen, in at most so many columns; nothing where there is no such
/// place.
pub(super) fn put(buffer: &mut Buffer, (x, y): (u16, u16), text: &str, room: u16, style: Style) {
    let room = room.min(buffer.area.right().saturating_sub(x));
    if room > 0 && buffer.area.contains((x, y).into()) {
        buffer.set_stringn(x, y, text, usize::from(room), style);
    }
}

/// Writes a text in one line of `area`, its first.
pub(super) fn line(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    if area.height > 0 {
        put(buffer, (area.x, area.y), text, area.width, style);
    }
}

/// Writes texts one behind the other in one line.
pub(super) fn pieces(buffer: &mut Buffer, area: Rect, pieces: &[(String, Style)]) {
    let mut x = area.x;
    for (text, style) in pieces {
        let room = area.right().saturating_sub(x);
        if room == 0 || area.height == 0 {
            return;
        }
        put(buffer, (x, area.y), text, room, *style);
        x = x.saturating_add(columns(text) as u16);
    }
}

fn row(area: Rect, index: u16) -> Rect {
    let y = area.y.saturating_add(index);
    Rect { y, height: u16::from(index < area.height), ..area }
}

pub(super) fn draw(buffer: &mut Buffer, area: Rect, app: &App) {
    tabs(buffer, row(area, 5), app);
    let Some(shot) = &app.shot else { return };
    target(buffer, row(area, 0), app, shot);
    numbers(buffer, row(area, 1), app, shot);
    verdict(buffer, row(area, 2), app);
    trail(buffer, row(area, 3), app, shot);
    quality(buffer, row(area, 4), app, shot);
}

/// `pid 42  Python 3.13.5  up 3 min  LIVE  last 10 s    python app.py`.
fn target(buffer: &mut Buffer, area: Rect, app: &App, shot: &Shot) {
    let meta = &shot.profile.meta;
    let build = if meta.free_threaded { "t" } else { "" };
    let state = match (shot.source, app.frozen, app.replay) {
        (Source::Live, false, _) => "LIVE",
        (Source::Live, true, _) => "FROZEN",
        (Source::Ended, ..) => "ENDED",
        (Source::File, _, Some(replay)) if replay.playing => "PLAYING",
        (Source::File, ..) => "RECORDING",
    };
    let up = meta.age.seconds() + shot.position;
    let up = if up < 1e9 { format!("  up {}", length(up)) } else { String::new() };
    let span = shot.profile.quality.elapsed.seconds();
    let about = format!(
        "pid {}  Python {}{build}{up}  {state}  last {}  ",
        meta.pid,
        meta.python,
        seconds(span)
    );
    let room = usize::from(area.width).saturating_sub(about.len());
    let command = app.theme.tail(&meta.command.join(" "), room);
    pieces(buffer, area, &[(about, app.theme.faint()), (command, app.theme.strong())]);
}

/// A long time: `45 s`, `12 min`, `3.5 h`, `2 d`.
fn length(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.0} d", s / 86_400.0),
    }
}

fn numbers(buffer: &mut Buffer, area: Rect, app: &App, shot: &Shot) {
    let measures = &shot.diagnosis.verdict.measures;
    let value = |name: &str| measures.get(name).map(|measure| measure.value);
    let used = value("cpus_used").unwrap_or(0.0);
    let mut told = vec![format!("CPUs {used:.2} of {:.1}", shot.profile.meta.usable_cpus)];
    if app.members.len() > 1 {
        let all = app.members.values().filter(|it| it.source == Source::Live);
        let used = all.filter_map(|it| it.diagnosis.verdict.measures.get("cpus_used"));
        let sum: f64 = used.map(|measure| measure.value).sum();
        told.push(format!("all {} processes {sum:.2}", app.members.len()));
    }
    if let Some(held) = value("gil_held") {
        let waiters = value("gil_waiters").unwrap_or(0.0);
        told.push(format!("GIL held {}, {waiters:.1} wait", percent(held)));
    }
    told.push(counted(shot.diagnosis.threads.len() as u64, "thread"));
    if shot.diagnosis.tasks.looks > 0 {
        told.push(counted(shot.diagnosis.tasks.last, "task"));
    }
    let lag = shot.diagnosis.loops.iter().map(|it| it.steps.p99).max_by(f64::total_cmp);
    told.extend(lag.map(|lag| format!("loop p99 {}", seconds(lag))));
    line(buffer, area, &told.join("   "), app.theme.strong());
}

fn verdict(buffer: &mut Buffer, area: Rect, app: &App) {
    let Some(verdict) = &app.verdict else { return };
    let confidence = format!("  {} sure; ", percent(verdict.confidence));
    let taken = "verdict: ".len() + verdict.workload.name().len() + confidence.len();
    let room = usize::from(area.width).saturating_sub(taken);
    let meaning = app.theme.clean(verdict.workload.meaning(), room);
    pieces(
        buffer,
        area,
        &[
            ("verdict: ".to_owned(), Style::new()),
            (verdict.workload.name().to_owned(), app.theme.strong()),
            (confidence, app.theme.faint()),
            (meaning, Style::new()),
        ],
    );
}

/// The tags over the last minutes: a column for each stretch of time, as high as the share of what is
/// no waiting, in the colour of what most of that is. Of a recording, the moment that is shown.
fn trail(buffer: &mut Buffer, area: Rect, app: &App, shot: &Shot) {
    const LABEL: &str = "busy ";
    line(buffer, area, LABEL, app.theme.faint());
    let room = usize::from(area.width).saturating_sub(LABEL.len());
    if room == 0 || shot.beats.is_empty() || area.height == 0 {
        return;
    }
    let stride = shot.beats.len().div_ceil(room).max(1);
    for (index, beats) in shot.beats.chunks(stride).enumerate() {
        let x = area.x + LABEL.len() as u16 + index as u16;
        let (share, tag) = busy(beats);
        let mut style = app.theme.tag(tag);
        let shown = app.replay.is_some_and(|replay| {
            (index * stride..(index + 1) * stride).contains(&(replay.position.saturating_sub(1)))
        });
        if shown {
            style = app.theme.selected();
        }
        let shown = if app.theme.colour { app.theme.column(share) } else { letter(share, tag) };
        put(buffer, (x, area.y), &shown.to_string(), 1, style);
    }
}

/// The same without colours: the tag's letter, a capital where it is half of all or more.
const fn letter(share: f64, tag: Tag) -> char {
    if share <= 0.0 {
        return '.';
    }
    match (tag, share >= 0.5) {
        (Tag::EventLoopBlocking, true) => 'B',
        (Tag::EventLoopBlocking, false) => 'b',
        (Tag::GilContended, true) => 'G',
        (Tag::GilContended, false) => 'g',
        (_, true) => 'R',
        (_, false) => 'r',
    }
}

/// The share of thread samples that are no waiting, and what most of those are.
fn busy(beats: &[Beat]) -> (f64, Tag) {
    let sum = |index: usize| -> u64 { beats.iter().filter_map(|beat| beat.tags.get(index)).sum() };
    let sums: Vec<(Tag, u64)> =
        Tag::ALL.iter().enumerate().map(|(index, tag)| (*tag, sum(index))).collect();
    let all: u64 = sums.iter().map(|(_, samples)| samples).sum();
    let busy = || sums.iter().filter(|(tag, _)| *tag != Tag::IdleWaiting);
    let most = busy().max_by_key(|(_, samples)| *samples).map_or(Tag::Running, |(tag, _)| *tag);
    let share: u64 = busy().map(|(_, samples)| samples).sum();
    (if all > 0 { share as f64 / all as f64 } else { 0.0 }, most)
}

fn quality(buffer: &mut Buffer, area: Rect, app: &App, shot: &Shot) {
    line(buffer, area, &quality_brief(&shot.profile), app.theme.faint());
}

fn tabs(buffer: &mut Buffer, area: Rect, app: &App) {
    let named = View::ALL.map(|view| {
        let shown = view == app.view;
        (tab(view), if shown { app.theme.selected() } else { app.theme.faint() })
    });
    pieces(buffer, area, &named);
}

pub(super) fn footer(buffer: &mut Buffer, area: Rect, app: &App) {
    let theme = app.theme;
    if app.overlay == Overlay::Filter {
        let text = format!("/{}_", theme.clean(&app.filter, usize::from(area.width)));
        return line(buffer, area, &text, theme.strong());
    }
    if !app.message.is_empty() {
        let text = theme.clean(&app.message, usize::from(area.width));
        return line(buffer, area, &text, theme.strong());
    }
    let ended = app.shot.as_ref().is_some_and(|shot| shot.source == Source::Ended);
    let mut text = String::new();
    if ended {
        text.push_str("the process has ended; w saves the recording  ");
    }
    if !app.filter.is_empty() {
        text.push_str(&format!("filter: {}  (Esc ends it)  ", theme.clean(&app.filter, 20)));
    }
    text.push_str("? keys  q leave  / filter  space freeze  Enter details");
    line(buffer, area, &text, theme.faint());
}
