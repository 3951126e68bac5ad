//! Keys and what they do: one table for both the screen and its help.

use ratatui::crossterm::event::{
    KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

use super::action::Action;
use super::app::{App, Overlay, View};
use super::draw::{HEADER, layout};

/// Keys that do the same, or the opposite of each other.
pub(super) struct Binding {
    /// The keys as the help writes them.
    pub(super) keys: &'static str,
    /// What they do.
    pub(super) help: &'static str,
    /// The views that they belong to; none for all.
    pub(super) views: &'static [View],
    /// Whether they belong to a recording that is shown.
    pub(super) replay: bool,
    codes: &'static [(KeyCode, Action)],
}

const fn of(
    keys: &'static str,
    help: &'static str,
    codes: &'static [(KeyCode, Action)],
) -> Binding {
    Binding { keys, help, views: &[], replay: false, codes }
}

const fn c(char: char) -> KeyCode {
    KeyCode::Char(char)
}

/// Views that are tables.
const TABLES: &[View] =
    &[View::Threads, View::Functions, View::Tasks, View::Locks, View::Findings, View::Processes];

/// All keys. The first that fits is taken.
pub(super) const BINDINGS: [Binding; 21] = [
    of("q", "leave", &[(c('q'), Action::Quit)]),
    of("? F1", "these keys", &[(c('?'), Action::Help), (KeyCode::F(1), Action::Help)]),
    of(
        "1-8 tab",
        "another view",
        &[
            (c('1'), Action::Show(View::Overview)),
            (c('2'), Action::Show(View::Threads)),
            (c('3'), Action::Show(View::Functions)),
            (c('4'), Action::Show(View::Flame)),
            (c('5'), Action::Show(View::Tasks)),
            (c('6'), Action::Show(View::Locks)),
            (c('7'), Action::Show(View::Findings)),
            (c('8'), Action::Show(View::Processes)),
            (KeyCode::Tab, Action::NextView(true)),
            (KeyCode::BackTab, Action::NextView(false)),
        ],
    ),
    of(
        "j k arrows",
        "down, up",
        &[
            (c('j'), Action::Move(1)),
            (c('k'), Action::Move(-1)),
            (KeyCode::Down, Action::Move(1)),
            (KeyCode::Up, Action::Move(-1)),
        ],
    ),
    of(
        "PgUp PgDn",
        "a page up, down",
        &[(KeyCode::PageUp, Action::Page(-1)), (KeyCode::PageDown, Action::Page(1))],
    ),
    of(
        "g G",
        "first, last",
        &[
            (c('g'), Action::Edge(false)),
            (c('G'), Action::Edge(true)),
            (KeyCode::Home, Action::Edge(false)),
            (KeyCode::End, Action::Edge(true)),
        ],
    ),
    of("Enter", "details; in the flame graph zoom", &[(KeyCode::Enter, Action::Open)]),
    of("Esc", "back", &[(KeyCode::Esc, Action::Back), (KeyCode::Backspace, Action::Back)]),
    Binding {
        keys: "h l s",
        help: "sort by another column",
        views: TABLES,
        replay: false,
        codes: &[
            (c('l'), Action::Sort(true)),
            (c('s'), Action::Sort(true)),
            (c('h'), Action::Sort(false)),
        ],
    },
    Binding {
        keys: "S i",
        help: "the other way round",
        views: TABLES,
        replay: false,
        codes: &[(c('S'), Action::Reverse), (c('i'), Action::Reverse)],
    },
    Binding {
        keys: "h l left right",
        help: "to the neighbour",
        views: &[View::Flame],
        replay: false,
        codes: &[
            (c('l'), Action::Sort(true)),
            (c('h'), Action::Sort(false)),
            (KeyCode::Right, Action::Sort(true)),
            (KeyCode::Left, Action::Sort(false)),
        ],
    },
    Binding {
        keys: "i",
        help: "turn it over",
        views: &[View::Flame],
        replay: false,
        codes: &[(c('i'), Action::Invert)],
    },
    of("/", "filter by text", &[(c('/'), Action::Filter)]),
    Binding {
        keys: "space",
        help: "play, stop",
        views: &[],
        replay: true,
        codes: &[(c(' '), Action::Freeze)],
    },
    Binding {
        keys: "left right",
        help: "a second back, on; with < > ten",
        views: &[],
        replay: true,
        codes: &[
            (KeyCode::Left, Action::Seek(-1)),
            (KeyCode::Right, Action::Seek(1)),
            (c('<'), Action::Seek(-10)),
            (c('>'), Action::Seek(10)),
        ],
    },
    Binding {
        keys: "n",
        help: "next blocked loop or deadlock",
        views: &[],
        replay: true,
        codes: &[(c('n'), Action::NextTrouble)],
    },
    of("space", "freeze; recording goes on", &[(c(' '), Action::Freeze)]),
    of(
        "[ ]",
        "shorter, longer window",
        &[(c('['), Action::Window(false)), (c(']'), Action::Window(true))],
    ),
    of(
        "- +",
        "sample less, more often",
        &[
            (c('-'), Action::Rate(false)),
            (c('+'), Action::Rate(true)),
            (c('='), Action::Rate(true)),
        ],
    ),
    of("r", "begin the window anew", &[(c('r'), Action::Reset)]),
    of(
        "w e",
        "save a recording, a flame graph",
        &[(c('w'), Action::Save), (c('e'), Action::Export)],
    ),
];

impl Binding {
    /// Whether the present view knows these keys.
    pub(super) fn suits(&self, app: &App) -> bool {
        let live_only = matches!(self.keys, "- +" | "r") || self.help.starts_with("freeze");
        (self.views.is_empty() || self.views.contains(&app.view))
            && (!self.replay || app.replay.is_some())
            && (!live_only || app.replay.is_none())
    }
}

/// What a key asks for.
#[must_use]
pub fn action_of_key(app: &App, key: KeyEvent) -> Option<Action> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Action::Quit),
            KeyCode::Char('z') => Some(Action::Suspend),
            KeyCode::Char('l') => Some(Action::Redraw),
            _ => None,
        };
    }
    if app.overlay == Overlay::Filter {
        return match key.code {
            KeyCode::Enter => Some(Action::Accept),
            KeyCode::Esc => Some(Action::Back),
            KeyCode::Backspace => Some(Action::Erase),
            KeyCode::Char(char) => Some(Action::Type(char)),
            _ => None,
        };
    }
    let known = BINDINGS.iter().filter(|binding| binding.suits(app));
    let mut codes = known.flat_map(|binding| binding.codes);
    codes.find(|(code, _)| *code == key.code).map(|(_, action)| *action)
}

/// What the mouse asks for.
#[must_use]
pub fn action_of_mouse(app: &App, mouse: MouseEvent) -> Option<Action> {
    match mouse.kind {
        MouseEventKind::ScrollDown => Some(Action::Move(3)),
        MouseEventKind::ScrollUp => Some(Action::Move(-3)),
        MouseEventKind::Down(MouseButton::Left) if app.overlay != Overlay::None => {
            Some(Action::Back)
        }
        MouseEventKind::Down(MouseButton::Left) => {
            let areas = layout(app.columns, app.rows);
            if mouse.row + 1 == HEADER {
                return view_at(mouse.column).map(Action::Show);
            }
            let line = mouse.row.checked_sub(areas.body.y)?;
            if mouse.row >= areas.body.bottom() {
                return None;
            }
            match (TABLES.contains(&app.view), line) {
                (true, 0) => Some(Action::SortAt(mouse.column)),
                (true, line) => Some(Action::Select(line - 1)),
                (false, line) => Some(Action::Select(line)),
            }
        }
        _ => None,
    }
}

/// The view whose name stands at a place of the line of views.
fn view_at(column: u16) -> Option<View> {
    let mut end = 0;
    View::ALL.into_iter().find(|view| {
        end += tab(*view).len() as u16;
        column < end
    })
}

/// A view's name with its key.
pub(super) fn tab(view: View) -> String {
    format!("{} {} ", view as usize + 1, view.name())
}
