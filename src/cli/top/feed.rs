//! What the screen shows is made here, away from it: one thread samples, another counts and judges.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use crate::catalog::Catalog;
use crate::cli::args::StackFormat;
use crate::cli::attach::Attached;
use crate::cli::export::write_stacks;
use crate::cli::failure::Failure;
use crate::cli::files::{Document, begin_recording, open_recording};
use crate::diagnose::diagnose;
use crate::model::Pid;
use crate::output::StackOptions;
use crate::profile::{Block, History, Profile};
use crate::session::{Ending, Observer};
use crate::tui::{Shot, Source};

/// What the thread that counts is told.
pub(super) enum Feed {
    /// A block was cut.
    Block(Box<Block>),
    /// There will be no more blocks.
    Ended(Ending),
    /// Sampling failed: why.
    Failed(String),
    /// Another stretch is wanted.
    Look(Look),
    /// To count from now on.
    Reset,
    /// It is sampled so often from now on.
    Rate(f64),
    /// To save a recording of all that is kept.
    Save,
    /// To save a flame graph of the window.
    Export,
    /// To end.
    Leave,
}

/// A stretch: a length, and of a recording where it ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) window: Duration,
    pub(super) end: Option<usize>,
}

/// What it says.
pub(super) enum Told {
    /// A snapshot of a process.
    Shot(Pid, Arc<Shot>),
    Message(String),
}

/// What the thread that samples is told.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// To stop: for good, or to go on at another rate.
    pub(super) stop: AtomicBool,
    pub(super) leave: AtomicBool,
    /// Samples a second, in thousandths.
    rate: AtomicU64,
}

impl Orders {
    /// Has it go on at another rate.
    pub(super) fn change_rate(&self, rate: f64) {
        self.rate.store((rate * 1e3) as u64, Ordering::Relaxed);
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Has it end.
    pub(super) fn end(&self) {
        self.leave.store(true, Ordering::Relaxed);
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Hands blocks on.
struct Forward<'a>(&'a Sender<Feed>);

impl Observer for Forward<'_> {
    fn block(&mut self, block: &Block, _: &Profile) -> std::io::Result<()> {
        // Whoever does not listen any more is about to end us.
        let _ = self.0.send(Feed::Block(Box::new(block.clone())));
        Ok(())
    }
}

/// Samples until it is told to end, or the target does; gives how it ended.
pub(super) fn sample(attached: &mut Attached<'_>, orders: &Orders, feed: &Sender<Feed>) -> Ending {
    loop {
        let outcome = attached.session.run(&orders.stop, &mut Forward(feed));
        let again = !orders.leave.load(Ordering::Relaxed);
        match outcome {
            Ok(Ending::Asked) if again => {
                let rate = orders.rate.load(Ordering::Relaxed) as f64 / 1e3;
                attached.session.set_rate(rate);
                orders.stop.store(false, Ordering::Relaxed);
            }
            Ok(ending) => {
                let _ = feed.send(Feed::Ended(ending));
                return ending;
            }
            Err(error) => {
                let _ = feed.send(Feed::Failed(error.to_string()));
                return Ending::Asked;
            }
        }
    }
}

/// The blocks of the last so much time before the block `end`, but none before `floor`.
pub(super) fn window_of(
    history: &History,
    end: usize,
    floor: usize,
    window: Duration,
) -> Range<usize> {
    let end = end.min(history.len());
    let starts: Vec<_> = history.beats().map(|beat| beat.start).collect();
    let last = starts.get(end.saturating_sub(1)).copied().unwrap_or_default();
    // The last block is about a second of it.
    let before = window.saturating_sub(Duration::from_millis(900));
    let is_in = |start: &crate::model::Nanos| last.since(*start).seconds() <= before.as_secs_f64();
    let start = starts.iter().position(is_in).unwrap_or(0);
    start.max(floor).min(end.saturating_sub(1))..end
}

/// Counts and judges what comes, and sends snapshots.
pub(super) struct Analyst<'c> {
    pub(super) pid: Pid,
    pub(super) history: History,
    pub(super) catalog: &'c Catalog,
    pub(super) look: Look,
    pub(super) source: Source,
    /// The first block of the window, counted from the recording's start.
    pub(super) floor: usize,
}

impl Analyst<'_> {
    /// Works until it is told to leave, or nobody listens.
    pub(super) fn run(mut self, feed: &Receiver<Feed>, tell: &Sender<Told>) {
        let mut pending = None;
        while let Some(next) = pending.take().or_else(|| feed.recv().ok()) {
            let told = match next {
                Feed::Block(block) => match self.history.push(*block) {
                    Ok(()) => None,
                    Err(error) => Some(Told::Message(format!("a block makes no sense: {error}"))),
                },
                Feed::Ended(Ending::Target(_)) => {
                    self.source = Source::Ended;
                    None
                }
                Feed::Ended(_) => None,
                Feed::Failed(why) => Some(Told::Message(why)),
                Feed::Look(look) => {
                    self.look = look;
                    None
                }
                Feed::Reset => {
                    self.floor = self.history.dropped() + self.history.len();
                    continue;
                }
                Feed::Rate(rate) => {
                    self.history.change_rate(rate);
                    self.floor = self.history.dropped() + self.history.len();
                    continue;
                }
                Feed::Save => Some(Told::Message(self.save())),
                Feed::Export => Some(Told::Message(self.export())),
                Feed::Leave => return,
            };
            // What is outdated before it is made need not be made.
            pending = feed.try_recv().ok();
            let told = match (told, &pending) {
                (Some(told), _) => told,
                (None, Some(Feed::Block(_) | Feed::Look(_))) => continue,
                (None, _) => Told::Shot(self.pid, Arc::new(self.shot())),
            };
            if tell.send(told).is_err() {
                return;
            }
        }
    }

    fn range(&self) -> Range<usize> {
        let end = self.look.end.unwrap_or(usize::MAX);
        let floor = self.floor.saturating_sub(self.history.dropped());
        window_of(&self.history, end, floor, self.look.window)
    }

    pub(super) fn shot(&self) -> Shot {
        let range = self.range();
        let profile = self.history.profile(range.clone());
        let diagnosis = diagnose(&profile, self.catalog);
        let beats: Vec<_> = self.history.beats().copied().collect();
        let origin = self.history.whole().meta.origin;
        let last = beats.get(range.end.saturating_sub(1)).map_or(origin, |beat| beat.start);
        let position = last.since(origin).seconds() + 1.0;
        Shot::new(profile, diagnosis, self.source, beats).at(range.end, position)
    }

    /// Saves a recording of all that is kept; says where, or why not.
    fn save(&self) -> String {
        let path = self.path("pyconc");
        let write = || -> Result<(), Failure> {
            let file = open_recording(&path)?;
            let mut writer = begin_recording(file.file)?;
            self.history.save(&mut writer, 0..self.history.len())?;
            Ok(writer.flush()?)
        };
        told(&path, write())
    }

    /// Saves a flame graph of the window; says where, or why not.
    fn export(&self) -> String {
        let path = self.path("svg");
        let write = || -> Result<(), Failure> {
            let document = Document::create(Some(&path))?;
            let profile = self.history.profile(self.range());
            let options = StackOptions::default();
            write_stacks(document, StackFormat::Flamegraph, &profile, self.catalog, options)
        };
        told(&path, write())
    }

    fn path(&self, suffix: &str) -> PathBuf {
        let pid = self.history.whole().meta.pid;
        let time = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S");
        PathBuf::from(format!("pyconc-{pid}-{time}.{suffix}"))
    }
}

fn told(path: &Path, outcome: Result<(), Failure>) -> String {
    match outcome {
        Ok(()) => format!("{} written", path.display()),
        Err(failure) => format!("{:#}", failure.error),
    }
}
