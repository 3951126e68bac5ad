//! The live screen: keys in, snapshots in, pictures out.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::crossterm::event::{Event, KeyEventKind};

use super::Shown;
use super::family::{Family, Plan};
use super::feed::{Analyst, Feed, Look, Told};
use super::picker;
use super::terminal::{Keys, Screen};
use crate::catalog::Catalog;
use crate::cli::attach::{Attached, Subject};
use crate::cli::failure::Failure;
use crate::cli::files::open;
use crate::profile::{History, read_history};
use crate::session::Options;
use crate::tui::{App, Effect, Source, action_of_key, action_of_mouse, draw};

/// The screen is drawn no more often than this.
const FRAME: Duration = Duration::from_millis(100);
/// How fast a recording plays: a block, which is about a second, each time.
const PLAY: Duration = Duration::from_millis(500);

pub(super) fn run(
    shown: Shown,
    app: App,
    options: Options,
    keep: Duration,
    subprocesses: bool,
    catalog: &Catalog,
    stop: &AtomicBool,
) -> Result<ExitCode, Failure> {
    let keys = Keys::read();
    let subject = match shown {
        Shown::File(file) => {
            let (history, note) = read_history(open(&file)?)?;
            let mut app = app.replaying(history.len());
            if let Some(note) = note {
                app.say(note);
            }
            return replay(history, app, catalog, &keys, stop);
        }
        Shown::Process(subject) => subject,
        Shown::Unchosen => {
            let chosen = picker::choose(&mut take()?, &keys, (app.theme(), catalog), stop)?;
            let Some(pid) = chosen else { return Ok(ExitCode::SUCCESS) };
            Subject::Pid(pid)
        }
    };
    // What can be wrong is told before the screen is taken.
    let attached = Attached::new(&subject, catalog, options, stop)?;
    let root = attached.session.profile().meta.pid;
    let most = usize::try_from(keep.as_secs()).unwrap_or(usize::MAX).max(1);
    let (tell, told) = channel();
    let family = Family::new(Plan { catalog, options, most, window: app.window() }, tell);
    std::thread::scope(|scope| {
        let sampled = family.add(scope, attached);
        if subprocesses {
            scope.spawn(|| family.follow(scope, root));
        }
        // Whatever happens here, the threads must not be waited for in vain.
        let threads = Threads(&family);
        let outcome = show(app, &told, &Sink::Family(&family), &keys, stop);
        drop(threads);
        let joined = sampled.join().map_err(|_| anyhow::anyhow!("the sampling thread has failed"));
        outcome?;
        let (attached, ending) = joined?;
        Ok(attached.finish(ending))
    })
}

/// Has the threads of a family end when it is dropped.
struct Threads<'a, 'c>(&'a Family<'c>);

impl Drop for Threads<'_, '_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Who does what the screen asks for.
enum Sink<'a, 'c> {
    /// Processes that are sampled.
    Family(&'a Family<'c>),
    /// A recording.
    File(&'a Sender<Feed>),
}

impl Sink<'_, '_> {
    fn send(&self, app: &App, feed: Feed) {
        match self {
            Self::Family(family) => {
                if let Some(pid) = app.chosen() {
                    family.send(pid, feed);
                }
            }
            // That nobody listens any more shows elsewhere.
            Self::File(sender) => drop(sender.send(feed)),
        }
    }
}

fn replay(
    history: History,
    app: App,
    catalog: &Catalog,
    keys: &Keys,
    stop: &AtomicBool,
) -> Result<ExitCode, Failure> {
    let pid = history.whole().meta.pid;
    let analyst =
        Analyst { pid, history, catalog, look: look(&app), source: Source::File, floor: 0 };
    let (feed, fed) = channel();
    let (tell, told) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || analyst.run(&fed, &tell));
        let _ = feed.send(Feed::Look(look(&app)));
        let outcome = show(app, &told, &Sink::File(&feed), keys, stop);
        let _ = feed.send(Feed::Leave);
        outcome
    })?;
    Ok(ExitCode::SUCCESS)
}

fn look(app: &App) -> Look {
    Look { window: app.window(), end: app.replay().map(|replay| replay.position) }
}

fn take() -> Result<Screen, Failure> {
    Ok(Screen::take().context("taking the terminal")?)
}

/// Shows the screen until the user leaves.
fn show(
    mut app: App,
    told: &Receiver<Told>,
    sink: &Sink<'_, '_>,
    keys: &Keys,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let mut screen = take()?;
    let size = screen.terminal.size().context("reading the terminal's size")?;
    app.resize(size.width, size.height);
    let mut dirty = true;
    let mut drawn: Option<Instant> = None;
    let mut played = Instant::now();
    loop {
        while let Ok(news) = told.try_recv() {
            match news {
                Told::Shot(pid, shot) => app.receive(pid, shot),
                Told::Message(message) => app.say(message),
            }
            dirty = true;
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        if dirty && drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
            screen.terminal.draw(|frame| draw(frame, &app)).context("drawing the screen")?;
            (dirty, drawn) = (false, Some(Instant::now()));
        }
        if played.elapsed() >= PLAY {
            played = Instant::now();
            if let Some(effect) = app.tick() {
                perform(effect, &app, sink, &mut screen)?;
                dirty = true;
            }
        }
        let Some(event) = keys.next(FRAME / 2).context("the terminal has gone away")? else {
            continue;
        };
        let action = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => action_of_key(&app, key),
            Event::Mouse(mouse) => action_of_mouse(&app, mouse),
            Event::Resize(columns, rows) => {
                app.resize(columns, rows);
                dirty = true;
                None
            }
            _ => None,
        };
        let Some(action) = action else { continue };
        dirty = true;
        match app.apply(action) {
            Some(Effect::Quit) => return Ok(()),
            Some(effect) => perform(effect, &app, sink, &mut screen)?,
            None => {}
        }
    }
}

/// Does what the screen asks for.
fn perform(
    effect: Effect,
    app: &App,
    sink: &Sink<'_, '_>,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match (effect, sink) {
        (Effect::Quit, _) => {}
        (Effect::Suspend, _) => screen.suspend().context("taking the terminal again")?,
        (Effect::Redraw, _) => screen.clear().context("clearing the screen")?,
        (Effect::Look, Sink::Family(family)) => family.look(look(app)),
        (Effect::Look, Sink::File(_)) => sink.send(app, Feed::Look(look(app))),
        (Effect::Rate, Sink::Family(family)) => family.change_rate(app.rate()),
        // A recording was sampled when it was made.
        (Effect::Rate, Sink::File(_)) => {}
        (Effect::Reset, _) => sink.send(app, Feed::Reset),
        (Effect::Save, _) => sink.send(app, Feed::Save),
        (Effect::Export, _) => sink.send(app, Feed::Export),
    }
    Ok(())
}
