//! How the screen's state follows what is asked of it.

use super::action::{Action, Effect};
use super::app::{App, Overlay, RATES, Replay, View, WINDOWS};
use super::draw::body_height;
use super::shot::Source;
use super::views;

impl App {
    /// Does what is asked; says what its caller has to do.
    pub fn apply(&mut self, action: Action) -> Option<Effect> {
        self.message.clear();
        match action {
            Action::Quit => return Some(Effect::Quit),
            Action::Suspend => return Some(Effect::Suspend),
            Action::Redraw => return Some(Effect::Redraw),
            Action::Save => return Some(Effect::Save),
            Action::Export => return Some(Effect::Export),
            Action::Help => self.toggle(Overlay::Help),
            Action::Show(view) => self.go_to(view),
            Action::NextView(on) => {
                let step = if on { 1 } else { View::ALL.len() - 1 };
                let next = (self.view as usize + step) % View::ALL.len();
                self.go_to(View::ALL.get(next).copied().unwrap_or_default());
            }
            Action::Move(by) => self.move_by(by),
            Action::Page(pages) => self.move_by(pages.saturating_mul(i32::from(body_height(self)))),
            Action::Edge(last) => self.move_by(if last { i32::MAX } else { i32::MIN }),
            Action::Select(line) => self.select(line),
            Action::Open => self.open(),
            Action::Back => self.back(),
            Action::Sort(on) if self.view == View::Flame => views::flame::sideways(self, on),
            Action::Sort(on) => self.sort_next(on),
            Action::SortAt(place) => self.sort_at(place),
            Action::Reverse => {
                if let Some(list) = self.list_mut() {
                    list.sorting.reversed = !list.sorting.reversed;
                }
            }
            Action::Filter => self.overlay = Overlay::Filter,
            Action::Type(char) => self.filter.push(char),
            Action::Erase => {
                self.filter.pop();
            }
            Action::Accept => self.overlay = Overlay::None,
            Action::Freeze => return self.freeze(),
            Action::Window(longer) => {
                self.seconds = neighbour(&WINDOWS, self.seconds, longer);
                return Some(Effect::Look);
            }
            Action::Reset => return Some(Effect::Reset),
            Action::Rate(more) => {
                self.rate = neighbour(&RATES, self.rate, more);
                return Some(Effect::Rate);
            }
            Action::Invert => {
                self.flame.inverted = !self.flame.inverted;
                self.flame.zoom.clear();
                self.flame.selected.clear();
            }
            Action::Seek(by) => return self.seek(by),
            Action::NextTrouble => return self.next_trouble(),
        }
        None
    }

    /// A moment has passed while a recording plays: goes on by a block.
    pub fn tick(&mut self) -> Option<Effect> {
        let replay = self.replay.filter(|replay| replay.playing)?;
        let last = self.shot.as_ref().map_or(0, |shot| shot.blocks.0);
        if replay.position >= last {
            self.replay = Some(Replay { playing: false, ..replay });
            return None;
        }
        self.replay = Some(Replay { position: replay.position + 1, ..replay });
        Some(Effect::Look)
    }

    fn toggle(&mut self, overlay: Overlay) {
        self.overlay = if self.overlay == overlay { Overlay::None } else { overlay };
        self.scroll = 0;
    }

    fn go_to(&mut self, view: View) {
        self.view = view;
        self.overlay = Overlay::None;
        self.scroll = 0;
    }

    /// Moves the selection, or what is written on too little room.
    fn move_by(&mut self, by: i32) {
        let scrolls = self.overlay != Overlay::None || self.view == View::Overview;
        if scrolls {
            let most = views::height(self).saturating_sub(usize::from(body_height(self)));
            let most = u16::try_from(most).unwrap_or(u16::MAX);
            self.scroll = step(usize::from(self.scroll), by, usize::from(most)) as u16;
            return;
        }
        if self.view == View::Flame {
            views::flame::deeper(self, by);
            return;
        }
        let last = views::sheet(self).rows.len().saturating_sub(1);
        let height = usize::from(body_height(self)).saturating_sub(1).max(1);
        if let Some(list) = self.list_mut() {
            list.selected = step(list.selected.min(last), by, last);
            list.offset =
                list.offset.min(list.selected).max((list.selected + 1).saturating_sub(height));
        }
    }

    fn select(&mut self, line: u16) {
        if self.view == View::Flame {
            return views::flame::select_row(self, line);
        }
        let last = views::sheet(self).rows.len().saturating_sub(1);
        if let Some(list) = self.list_mut() {
            list.selected = (list.offset + usize::from(line)).min(last);
        }
    }

    fn open(&mut self) {
        match (self.overlay, self.view) {
            (Overlay::None, View::Flame) => self.flame.zoom.clone_from(&self.flame.selected),
            (Overlay::None, View::Overview) => self.go_to(View::Findings),
            (Overlay::None, View::Processes) => {
                if let Some(pid) = views::processes::selected(self) {
                    self.choose(pid);
                    self.go_to(View::Overview);
                }
            }
            (Overlay::None, _) if !views::sheet(self).rows.is_empty() => {
                self.toggle(Overlay::Details);
            }
            _ => self.overlay = Overlay::None,
        }
    }

    fn back(&mut self) {
        match self.overlay {
            Overlay::None if self.view == View::Flame && !self.flame.zoom.is_empty() => {
                self.flame.zoom.pop();
            }
            Overlay::None | Overlay::Filter => self.filter.clear(),
            Overlay::Help | Overlay::Details => {}
        }
        self.overlay = Overlay::None;
        self.scroll = 0;
    }

    fn sort_next(&mut self, on: bool) {
        let count = views::sheet(self).columns.len();
        if let Some(list) = self.list_mut().filter(|_| count > 0) {
            list.sorting.column = Some(match (list.sorting.column, on) {
                (None, true) => 0,
                (None, false) => count - 1,
                (Some(column), true) => (column + 1) % count,
                (Some(column), false) => (column + count - 1) % count,
            });
        }
    }

    fn sort_at(&mut self, place: u16) {
        let Some(column) = views::sheet(self).column_at(self.columns, place) else { return };
        if let Some(list) = self.list_mut() {
            let again = list.sorting.column == Some(column);
            list.sorting.reversed = again && !list.sorting.reversed;
            list.sorting.column = Some(column);
        }
    }

    fn freeze(&mut self) -> Option<Effect> {
        if let Some(replay) = &mut self.replay {
            replay.playing = !replay.playing;
            let last = self.shot.as_ref().map_or(0, |shot| shot.blocks.0);
            // From the end it plays from the start.
            if replay.playing && replay.position >= last {
                replay.position = 1;
                return Some(Effect::Look);
            }
            return None;
        }
        let live = self.shot.as_ref().is_some_and(|shot| shot.source == Source::Live);
        self.frozen = live && !self.frozen;
        if let Some(shot) = self.unseen.take().filter(|_| !self.frozen) {
            self.show(shot);
        }
        None
    }

    fn seek(&mut self, by: i32) -> Option<Effect> {
        let last = self.shot.as_ref().map_or(0, |shot| shot.blocks.0);
        let replay = self.replay.as_mut()?;
        replay.position = step(replay.position, by, last).max(1.min(last));
        Some(Effect::Look)
    }

    fn next_trouble(&mut self) -> Option<Effect> {
        let shot = self.shot.as_ref()?;
        let position = self.replay?.position;
        let later = shot.beats.iter().enumerate().skip(position);
        let next = later.into_iter().find(|(_, beat)| beat.blocked || beat.deadlocked);
        let Some((index, _)) = next else {
            self.say("no blocked event loop and no deadlock after this moment");
            return None;
        };
        self.seek(i32::try_from(index + 1 - position).unwrap_or(i32::MAX))
    }
}

/// A place so many steps from another, between 0 and `last`.
fn step(from: usize, by: i32, last: usize) -> usize {
    let far = by.unsigned_abs() as usize;
    if by < 0 { from.saturating_sub(far) } else { from.saturating_add(far).min(last) }
}

/// The value beside the one that is nearest to `now`.
fn neighbour<T: Copy + PartialOrd>(all: &[T], now: T, up: bool) -> T {
    if up {
        all.iter().copied().find(|it| *it > now).unwrap_or(now)
    } else {
        all.iter().rev().copied().find(|it| *it < now).unwrap_or(now)
    }
}
