//! The views: each a function of the screen's state.

pub(super) mod findings;
pub(super) mod flame;
pub(super) mod functions;
pub(super) mod locks;
pub(super) mod overview;
pub(super) mod processes;
pub(super) mod prose;
pub(super) mod tasks;
pub(super) mod threads;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::{App, View};
use super::header;
use super::sheet::Sheet;
use super::shot::Shot;
use prose::Prose;

/// The table of the present view, filtered and sorted; empty where it is none.
pub(super) fn sheet(app: &App) -> Sheet {
    let Some(shot) = &app.shot else { return Sheet::default() };
    let sheet = match app.view {
        View::Threads => threads::sheet(app, shot),
        View::Functions => functions::sheet(app, shot),
        View::Tasks => tasks::sheet(app, shot),
        View::Locks => locks::sheet(app, shot),
        View::Findings => findings::sheet(app, shot),
        View::Processes => processes::sheet(app),
        View::Overview | View::Flame => return Sheet::default(),
    };
    sheet.arranged(&app.filter, app.list().sorting)
}

/// The details of what is selected in the present view.
pub(super) fn details(app: &App, shot: &Shot) -> Prose {
    let selected = app.list().selected;
    let rows = sheet(app).rows;
    let Some(item) = rows.get(selected).or(rows.last()).map(|row| row.item) else {
        return Prose::default();
    };
    match app.view {
        View::Threads => threads::details(app, shot, item),
        View::Functions => functions::details(app, shot, item),
        View::Tasks => tasks::details(app, shot, item),
        View::Locks => locks::details(app, shot, item),
        View::Findings => findings::details(app, shot, item),
        View::Overview | View::Flame | View::Processes => Prose::default(),
    }
}

/// How many lines what is written has, where the view can be scrolled.
pub(super) fn height(app: &App) -> usize {
    use super::app::Overlay;
    let Some(shot) = &app.shot else { return 0 };
    let columns = app.columns;
    match app.overlay {
        Overlay::Help => super::overlay::help_text(app).height(columns),
        Overlay::Details => details(app, shot).height(columns),
        _ if app.view == View::Overview => {
            overview::text(app, shot).height(columns) + overview::BARS
        }
        _ => 0,
    }
}

/// Draws the table of the present view, with what stands above it.
pub(super) fn draw_sheet(buffer: &mut Buffer, area: Rect, app: &App) {
    let sheet = sheet(app);
    let list = app.list();
    if sheet.rows.is_empty() {
        let text = match app.view {
            _ if !app.filter.is_empty() => "nothing has this text; Esc ends the filter",
            View::Tasks => "no event loop was met",
            View::Locks => "no thread waited for a lock",
            View::Findings => "nothing stands out",
            _ => "nothing was seen",
        };
        return header::line(buffer, area, text, app.theme.faint());
    }
    let last = sheet.rows.len() - 1;
    let selected = list.selected.min(last);
    // A smaller screen, or fewer rows, must not hide what is selected.
    let room = usize::from(area.height.saturating_sub(1)).max(1);
    let offset = list.offset.min(selected).max((selected + 1).saturating_sub(room));
    sheet.draw(buffer, area, (offset, selected), list.sorting, app.theme);
}
