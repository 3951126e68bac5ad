//! The flame graph as an icicle: callers above, what they call below.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::diagnose::words::{percent, ratio};
use crate::model::Cause;
use crate::tui::app::App;
use crate::tui::draw::layout;
use crate::tui::flame::{Bar, Flame};
use crate::tui::header::{line, pieces, put};
use crate::tui::shot::Shot;

/// The lines below the graph that tell of what is selected.
const LEGEND: u16 = 2;

fn flame<'a>(app: &App, shot: &'a Shot) -> &'a Flame {
    if app.flame.inverted { &shot.inverted } else { &shot.flame }
}

/// The bars that are shown on an area, with the one that is selected.
fn bars(app: &App, shot: &Shot, area: Rect) -> (Vec<Bar>, Option<Bar>) {
    let flame = flame(app, shot);
    let zoomed = flame.follow(&app.flame.zoom);
    let bars = flame.bars(zoomed, area.width, area.height.saturating_sub(LEGEND));
    let wanted = flame.follow(&app.flame.selected);
    let selected = bars.iter().find(|bar| bar.node == wanted).or(bars.first()).copied();
    (bars, selected)
}

pub(in crate::tui) fn draw(buffer: &mut Buffer, area: Rect, app: &App, shot: &Shot) {
    let theme = app.theme;
    let (bars, selected) = bars(app, shot, area);
    let flame = flame(app, shot);
    let wanted = app.filter.to_lowercase();
    for bar in &bars {
        let Some(node) = flame.nodes.get(bar.node) else { continue };
        let hit = wanted.is_empty() || node.name.to_lowercase().contains(&wanted);
        let cause = node.mostly();
        let mut style = theme.cause(cause);
        if theme.colour && hit {
            // A background makes the bar's extent plain.
            style = style.add_modifier(ratatui::style::Modifier::REVERSED);
        }
        if !hit {
            style = theme.faint();
        }
        if selected == Some(*bar) {
            style = theme.strong().add_modifier(
                ratatui::style::Modifier::REVERSED | ratatui::style::Modifier::UNDERLINED,
            );
        }
        // The edge at the left tells bars apart where there are no colours.
        let room = usize::from(bar.width);
        let edge = if theme.unicode { "▏" } else { "|" };
        // Where there are no colours a letter tells the cause.
        let cause = if theme.colour { String::new() } else { format!("{} ", letter(cause)) };
        let text = format!("{cause}{}", node.name);
        let text = if room > 1 { theme.clean(&text, room - 1) } else { String::new() };
        let rest = room.saturating_sub(1 + crate::output::columns(&text));
        let text = format!("{edge}{text}{}", " ".repeat(rest));
        put(buffer, (area.x + bar.left, area.y + bar.depth), &text, bar.width, style);
    }
    legend(buffer, area, app, shot, selected);
}

/// A cause in one letter.
const fn letter(cause: Cause) -> char {
    match cause {
        Cause::Python => 'P',
        Cause::Native => 'N',
        Cause::CpuWait => 'Q',
        Cause::Gil => 'G',
        Cause::Lock => 'L',
        Cause::Network => 'n',
        Cause::Disk => 'd',
        Cause::Pipe => 'p',
        Cause::Child => 'c',
        Cause::Sleep => 's',
        Cause::Parked => '.',
        Cause::Unknown => '?',
    }
}

/// What is selected, and the colours.
fn legend(buffer: &mut Buffer, area: Rect, app: &App, shot: &Shot, selected: Option<Bar>) {
    if area.height < LEGEND {
        return;
    }
    let theme = app.theme;
    let at = Rect { y: area.bottom() - LEGEND, height: 1, ..area };
    let flame = flame(app, shot);
    if let Some(node) = selected.and_then(|bar| flame.nodes.get(bar.node)) {
        let samples = shot.profile.quality.samples as f64;
        let all = flame.nodes.first().map_or(0, |root| root.samples);
        let text = format!(
            "{:.2} threads on average, {} of all that is not parked, mostly {}: {} {}",
            ratio(node.samples as f64, samples),
            percent(ratio(node.samples as f64, all as f64)),
            node.mostly().name(),
            node.name,
            node.place
        );
        line(buffer, at, &theme.clean(&text, usize::from(area.width)), theme.strong());
    }
    let root = flame.nodes.first();
    let met = Cause::ALL.into_iter().filter(|cause| {
        root.and_then(|root| root.causes.get(*cause as usize)).is_some_and(|samples| *samples > 0)
    });
    let told: Vec<_> = met
        .map(|cause| {
            let name = cause.name();
            let letter = if theme.colour { String::new() } else { format!("{} ", letter(cause)) };
            (format!("{letter}{name}  "), theme.cause(cause))
        })
        .collect();
    pieces(buffer, Rect { y: at.y + 1, ..at }, &told);
}

/// Selects so many levels further down, or up.
pub(in crate::tui) fn deeper(app: &mut App, by: i32) {
    choose(app, |bars, now| {
        let depth = i32::from(now.depth).saturating_add(by).max(0);
        let below = bars.iter().filter(|bar| {
            let overlaps = bar.left < now.left + now.width && now.left < bar.left + bar.width;
            overlaps && i32::from(bar.depth) <= depth.max(i32::from(now.depth))
        });
        // The nearest level to the one that is wanted, and there the widest.
        below.min_by_key(|bar| {
            ((i32::from(bar.depth) - depth).unsigned_abs(), std::cmp::Reverse(bar.width))
        })
    });
}

/// Selects the neighbour at the same level.
pub(in crate::tui) fn sideways(app: &mut App, right: bool) {
    choose(app, |bars, now| {
        let level = bars.iter().filter(|bar| bar.depth == now.depth);
        if right {
            level.filter(|bar| bar.left > now.left).min_by_key(|bar| bar.left)
        } else {
            level.filter(|bar| bar.left < now.left).max_by_key(|bar| bar.left)
        }
    });
}

/// Selects the widest bar of a line.
pub(in crate::tui) fn select_row(app: &mut App, row: u16) {
    choose(app, |bars, _| bars.iter().filter(|bar| bar.depth == row).max_by_key(|bar| bar.width));
}

fn choose(app: &mut App, choice: impl Fn(&[Bar], Bar) -> Option<&Bar>) {
    let Some(shot) = app.shot.clone() else { return };
    let area = layout(app.columns, app.rows).body;
    let (bars, now) = bars(app, &shot, area);
    let Some(chosen) = now.and_then(|now| choice(&bars, now)) else { return };
    app.flame.selected = flame(app, &shot).path(chosen.node);
}
