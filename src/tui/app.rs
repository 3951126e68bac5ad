//! The state of the screen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::Topic;
use crate::diagnose::Verdict;
use crate::model::Pid;

use super::sheet::Sorting;
use super::shot::{Shot, Source};
use super::theme::Theme;

/// The views, in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// Tags, causes, findings and advice.
    #[default]
    Overview,
    /// What each thread does.
    Threads,
    /// Which functions take the time.
    Functions,
    /// The flame graph.
    Flame,
    /// Event loops and tasks.
    Tasks,
    /// Locks with those who wait for them.
    Locks,
    /// What stands out.
    Findings,
    /// The processes that are looked at.
    Processes,
}

impl View {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Overview,
        Self::Threads,
        Self::Functions,
        Self::Flame,
        Self::Tasks,
        Self::Locks,
        Self::Findings,
        Self::Processes,
    ];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Threads => "threads",
            Self::Functions => "functions",
            Self::Flame => "flame",
            Self::Tasks => "tasks",
            Self::Locks => "locks",
            Self::Findings => "findings",
            Self::Processes => "processes",
        }
    }
}

/// What lies over the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Overlay {
    #[default]
    None,
    Help,
    /// The details of what is selected.
    Details,
    /// A filter that is being written.
    Filter,
}

/// A table's state: what is selected in it, and how it is sorted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct List {
    pub(super) selected: usize,
    pub(super) offset: usize,
    pub(super) sorting: Sorting,
}

/// A recording that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// The blocks before the end of the stretch that is shown.
    pub position: usize,
    /// Whether it goes on by itself.
    pub playing: bool,
}

/// The flame graph's state.
#[derive(Debug, Clone, Default)]
pub(super) struct FlameState {
    pub(super) inverted: bool,
    /// The names from the root to what is zoomed into.
    pub(super) zoom: Vec<String>,
    /// The names from the root to what is selected.
    pub(super) selected: Vec<String>,
}

/// The state of the screen.
#[derive(Debug)]
pub struct App {
    pub(super) theme: Theme,
    /// What the words of a report mean.
    pub(super) topics: Vec<Topic>,
    pub(super) view: View,
    pub(super) overlay: Overlay,
    pub(super) lists: [List; View::ALL.len()],
    pub(super) scroll: u16,
    pub(super) filter: String,
    pub(super) flame: FlameState,
    pub(super) shot: Option<Arc<Shot>>,
    /// The last snapshot of each process, and the one that all views but one are about.
    pub(super) members: BTreeMap<Pid, Arc<Shot>>,
    pub(super) chosen: Option<Pid>,
    /// What came while the screen was frozen.
    pub(super) unseen: Option<Arc<Shot>>,
    pub(super) frozen: bool,
    /// The verdict that is shown, and another one that the last snapshot has.
    pub(super) verdict: Option<Verdict>,
    pub(super) doubted: bool,
    pub(super) message: String,
    pub(super) seconds: u64,
    pub(super) rate: f64,
    pub(super) replay: Option<Replay>,
    /// The area of the terminal, as it was drawn last.
    pub(super) columns: u16,
    pub(super) rows: u16,
}

/// The lengths of the window that can be chosen, in seconds.
pub(super) const WINDOWS: [u64; 8] = [2, 5, 10, 30, 60, 120, 300, 600];
/// The rates that can be chosen.
pub(super) const RATES: [f64; 7] = [10.0, 25.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

impl App {
    /// A screen that shows the last so many seconds of what is sampled so often.
    #[must_use]
    pub fn new(theme: Theme, topics: Vec<Topic>, window: Duration, rate: f64) -> Self {
        Self {
            theme,
            topics,
            view: View::default(),
            overlay: Overlay::None,
            lists: [List::default(); View::ALL.len()],
            scroll: 0,
            filter: String::new(),
            flame: FlameState::default(),
            shot: None,
            members: BTreeMap::new(),
            chosen: None,
            unseen: None,
            frozen: false,
            verdict: None,
            doubted: false,
            message: String::new(),
            seconds: window.as_secs().max(1),
            rate,
            replay: None,
            columns: 80,
            rows: 24,
        }
    }

    /// The same for a recording of so many blocks, at its end.
    #[must_use]
    pub fn replaying(self, blocks: usize) -> Self {
        Self { replay: Some(Replay { position: blocks, playing: false }), ..self }
    }

    /// Shows a view.
    #[must_use]
    pub fn showing(self, view: View) -> Self {
        Self { view, ..self }
    }

    /// What the terminal can show.
    #[must_use]
    pub const fn theme(&self) -> Theme {
        self.theme
    }

    /// How long the window is.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The samples a second that are wanted.
    #[must_use]
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// Which moment of a recording is shown; none of a process that runs.
    #[must_use]
    pub const fn replay(&self) -> Option<Replay> {
        self.replay
    }

    /// The snapshot that is shown.
    #[must_use]
    pub const fn shot(&self) -> Option<&Arc<Shot>> {
        self.shot.as_ref()
    }

    /// Says something below the view until the next key.
    pub fn say(&mut self, message: impl Into<String>) {
        self.message = message.into();
    }

    /// Takes the size of the terminal.
    pub const fn resize(&mut self, columns: u16, rows: u16) {
        self.columns = columns;
        self.rows = rows;
    }

    /// The process that all views but that of processes are about: the first one, or the one that was
    /// chosen.
    #[must_use]
    pub const fn chosen(&self) -> Option<Pid> {
        self.chosen
    }

    /// Takes a snapshot of a process. A frozen screen shows it when it goes on; the end of the process
    /// is shown at once.
    pub fn receive(&mut self, pid: Pid, shot: Arc<Shot>) {
        self.members.insert(pid, Arc::clone(&shot));
        if *self.chosen.get_or_insert(pid) != pid {
            return;
        }
        if self.frozen && shot.source == Source::Live {
            self.unseen = Some(shot);
            return;
        }
        self.show(shot);
    }

    /// Has the views be about another process.
    pub(super) fn choose(&mut self, pid: Pid) {
        let Some(shot) = self.members.get(&pid).cloned() else { return };
        if self.chosen.replace(pid) != Some(pid) {
            self.lists = [List::default(); View::ALL.len()];
            (self.verdict, self.unseen, self.frozen) = (None, None, false);
            self.flame = FlameState::default();
            self.show(shot);
        }
    }

    pub(super) fn show(&mut self, shot: Arc<Shot>) {
        // One window may differ by chance: a verdict changes when two in turn say so.
        let new = &shot.diagnosis.verdict;
        let same = self.verdict.as_ref().is_some_and(|shown| shown.workload == new.workload);
        if same || self.doubted || self.verdict.is_none() || shot.source != Source::Live {
            self.verdict = Some(new.clone());
            self.doubted = false;
        } else {
            self.doubted = true;
        }
        self.shot = Some(shot);
    }

    pub(super) fn list(&self) -> List {
        self.lists.get(self.view as usize).copied().unwrap_or_default()
    }

    pub(super) fn list_mut(&mut self) -> Option<&mut List> {
        self.lists.get_mut(self.view as usize)
    }
}
