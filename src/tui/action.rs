//! What keys and the mouse ask for, and what the screen asks its caller to do.

use super::app::View;

/// What is asked of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Leaves.
    Quit,
    /// Gives the terminal back for a while.
    Suspend,
    /// Draws everything anew.
    Redraw,
    /// Shows the keys, or hides them.
    Help,
    /// Shows a view.
    Show(View),
    /// Shows the next view, or the one before.
    NextView(bool),
    /// Moves the selection by so many rows.
    Move(i32),
    /// Moves the selection by so many pages.
    Page(i32),
    /// Selects the first row, or the last.
    Edge(bool),
    /// Selects the row that is so many below the first one shown.
    Select(u16),
    /// Opens what is selected.
    Open,
    /// Closes what is open, or goes one step back.
    Back,
    /// Sorts by the next column, or by the one before.
    Sort(bool),
    /// Sorts by the column at this place of the screen's width.
    SortAt(u16),
    /// Sorts the other way round.
    Reverse,
    /// Begins to write a filter.
    Filter,
    /// Writes a character of it.
    Type(char),
    /// Takes the last one back.
    Erase,
    /// Takes the filter as it is written.
    Accept,
    /// Freezes the screen, or lets it go on; plays a recording, or stops it.
    Freeze,
    /// Looks at a longer time, or a shorter one.
    Window(bool),
    /// Begins the window anew.
    Reset,
    /// Samples more often, or less.
    Rate(bool),
    /// Turns the flame graph over.
    Invert,
    /// Saves a recording of what is kept.
    Save,
    /// Saves a flame graph of the window.
    Export,
    /// Goes to another moment of a recording, by so many blocks.
    Seek(i32),
    /// Goes to the next moment of a recording at which a loop was blocked or threads were deadlocked.
    NextTrouble,
}

/// What the screen asks its caller to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// To end.
    Quit,
    /// To give the terminal back until the user returns.
    Suspend,
    /// To clear the terminal first.
    Redraw,
    /// To send a snapshot of another stretch: see [`super::App::window`] and [`super::App::replay`].
    Look,
    /// To count from now on.
    Reset,
    /// To sample at the rate that [`super::App::rate`] says.
    Rate,
    /// To save a recording.
    Save,
    /// To save a flame graph.
    Export,
}
