//! The screen as a whole: what stands where.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::app::{App, Overlay, View};
use super::{header, overlay, views};

/// The lines of the header, the line of views among them.
pub(super) const HEADER: u16 = 6;

/// Where the parts of the screen are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Areas {
    pub(super) header: Rect,
    pub(super) body: Rect,
    pub(super) footer: Rect,
}

/// The parts of a screen of that size.
pub(super) fn layout(columns: u16, rows: u16) -> Areas {
    let header = HEADER.min(rows);
    let footer = u16::from(rows > header);
    let body = rows - header - footer;
    Areas {
        header: Rect::new(0, 0, columns, header),
        body: Rect::new(0, header, columns, body),
        footer: Rect::new(0, header + body, columns, footer),
    }
}

/// How many lines the view has.
pub(super) fn body_height(app: &App) -> u16 {
    layout(app.columns, app.rows).body.height.max(1)
}

/// Draws the screen.
pub fn draw(frame: &mut Frame<'_>, app: &App) {
    let area = frame.area();
    let areas = layout(area.width, area.height);
    let buffer = frame.buffer_mut();
    header::draw(buffer, areas.header, app);
    header::footer(buffer, areas.footer, app);
    let body = areas.body;
    let Some(shot) = &app.shot else {
        header::line(buffer, body, "sampling...", app.theme.faint());
        return;
    };
    match (app.overlay, app.view) {
        (Overlay::Help, _) => overlay::help(buffer, body, app),
        (Overlay::Details, _) => overlay::details(buffer, body, app, shot),
        (_, View::Overview) => views::overview::draw(buffer, body, app, shot),
        (_, View::Flame) => views::flame::draw(buffer, body, app, shot),
        _ => views::draw_sheet(buffer, body, app),
    }
}
