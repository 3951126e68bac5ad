//! What lies over a view: the keys, and the details of what is selected.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::App;
use super::keys::BINDINGS;
use super::shot::Shot;
use super::views;
use super::views::prose::Prose;

/// The keys that the present view knows.
pub(super) fn help_text(app: &App) -> Prose {
    let mut prose = Prose::default();
    let name = app.view.name();
    prose.add("", format!("keys of the view `{name}`; any view has its own"), app.theme.strong());
    for binding in BINDINGS.iter().filter(|binding| binding.suits(app)) {
        prose.plain(&format!("  {:<14}", binding.keys), binding.help);
    }
    prose.gap();
    prose.plain("", "The mouse selects, scrolls, and sorts by the heading that it hits.");
    prose.plain(
        "",
        "The line `busy` has the last minutes: how many threads do not wait, in the colour of what most of \
         them do (without colours: R running, G wanting the GIL, B blocking a loop; small below half).",
    );
    prose.plain(
        "",
        "Shares are of thread samples in the window. A verdict changes when two windows in turn say so.",
    );
    prose
}

pub(super) fn help(buffer: &mut Buffer, area: Rect, app: &App) {
    help_text(app).draw(buffer, area, app.scroll);
}

pub(super) fn details(buffer: &mut Buffer, area: Rect, app: &App, shot: &Shot) {
    views::details(app, shot).draw(buffer, area, app.scroll);
}
