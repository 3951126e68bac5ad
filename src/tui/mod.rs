//! The live screen. Invariant: sees snapshots only; views are functions of `&App`; touches neither the
//! clock nor the file system nor the terminal, which its caller does.

mod action;
mod app;
mod draw;
mod flame;
mod functions;
mod header;
mod keys;
mod overlay;
mod picker;
mod sheet;
mod shot;
#[cfg(test)]
mod tests;
mod theme;
mod update;
mod views;

pub use self::action::{Action, Effect};
pub use self::app::{App, Replay, View};
pub use self::draw::draw;
pub use self::keys::{action_of_key, action_of_mouse};
pub use self::picker::{Candidate, draw_picker};
pub use self::shot::{Shot, Source};
pub use self::theme::Theme;
