//! The live screen: keys in, snapshots in, pictures out.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::Shown;
use super::feed::{Analyst, Feed, Look, Orders, Told, sample};
use super::picker;
use super::terminal::Screen;
use crate::catalog::Catalog;
use crate::cli::attach::{Attached, Subject};
use crate::cli::failure::Failure;
use crate::cli::files::open;
use crate::profile::{History, read_history};
use crate::session::{Ending, Options};
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
    catalog: &Catalog,
    stop: &AtomicBool,
) -> Result<ExitCode, Failure> {
    let subject = match shown {
        Shown::File(file) => {
            let (history, note) = read_history(open(&file)?)?;
            let mut app = app.replaying(history.len());
            if let Some(note) = note {
                app.say(note);
            }
            return replay(history, app, catalog, stop);
        }
        Shown::Process(subject) => subject,
        Shown::Unchosen => {
            let chosen = picker::choose(&mut take()?, app.theme(), stop)?;
            let Some(pid) = chosen else { return Ok(ExitCode::SUCCESS) };
            Subject::Pid(pid)
        }
    };
    // What can be wrong is told before the screen is taken.
    let mut attached = Attached::new(&subject, catalog, options, stop)?;
    let most = usize::try_from(keep.as_secs()).unwrap_or(usize::MAX).max(1);
    let history = History::new(attached.session.profile().meta.clone(), most);
    let analyst = analyst(history, &app, catalog, Source::Live);
    let orders = Orders::default();
    let (feed, fed) = channel();
    let (tell, told) = channel();
    let ending = std::thread::scope(|scope| -> Result<Ending, Failure> {
        let (orders, blocks) = (&orders, feed.clone());
        let attached = &mut attached;
        let sampler = scope.spawn(move || sample(attached, orders, &blocks));
        scope.spawn(move || analyst.run(&fed, &tell));
        let outcome = show(app, &told, &feed, Some(orders), stop);
        orders.end();
        let ending =
            sampler.join().map_err(|_| anyhow::anyhow!("the sampling thread has failed"))?;
        let _ = feed.send(Feed::Leave);
        outcome.map(|()| ending)
    })?;
    Ok(attached.finish(ending))
}

fn replay(
    history: History,
    app: App,
    catalog: &Catalog,
    stop: &AtomicBool,
) -> Result<ExitCode, Failure> {
    let analyst = analyst(history, &app, catalog, Source::File);
    let (feed, fed) = channel();
    let (tell, told) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || analyst.run(&fed, &tell));
        let _ = feed.send(Feed::Look(look(&app)));
        let outcome = show(app, &told, &feed, None, stop);
        let _ = feed.send(Feed::Leave);
        outcome
    })?;
    Ok(ExitCode::SUCCESS)
}

fn analyst<'c>(history: History, app: &App, catalog: &'c Catalog, source: Source) -> Analyst<'c> {
    Analyst { history, catalog, look: look(app), source, floor: 0 }
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
    feed: &Sender<Feed>,
    orders: Option<&Orders>,
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
                Told::Shot(shot) => app.receive(shot),
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
                perform(effect, &app, feed, orders, &mut screen)?;
                dirty = true;
            }
        }
        if !event::poll(FRAME / 2).context("reading keys")? {
            continue;
        }
        let action = match event::read().context("reading keys")? {
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
            Some(effect) => perform(effect, &app, feed, orders, &mut screen)?,
            None => {}
        }
    }
}

/// Does what the screen asks for. That nobody listens any more shows elsewhere.
fn perform(
    effect: Effect,
    app: &App,
    feed: &Sender<Feed>,
    orders: Option<&Orders>,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let order = match effect {
        Effect::Quit => return Ok(()),
        Effect::Suspend => return Ok(screen.suspend().context("taking the terminal again")?),
        Effect::Redraw => return Ok(screen.terminal.clear().context("clearing the screen")?),
        Effect::Look => Feed::Look(look(app)),
        Effect::Reset => Feed::Reset,
        Effect::Rate => {
            if let Some(orders) = orders {
                orders.change_rate(app.rate());
            }
            Feed::Rate(app.rate())
        }
        Effect::Save => Feed::Save,
        Effect::Export => Feed::Export,
    };
    let _ = feed.send(order);
    Ok(())
}
