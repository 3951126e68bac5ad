//! `pyconc top`.

mod family;
mod feed;
mod glance;
mod once;
mod picker;
mod screen;
mod terminal;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{Top, TopView};
use super::attach::{Subject, stop_flag};
use super::catalogue;
use super::failure::Failure;
use super::report::{locale_is_utf8, refuses_colour};
use crate::catalog::topics;
use crate::session::Options;
use crate::tui::{App, Theme, View};

pub(super) fn run(options: &Top) -> Result<ExitCode, Failure> {
    let catalog = catalogue::load(options.catalogue.probes.as_deref())?;
    let stop = stop_flag()?;
    let subject = subject(options)?;
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if options.once || options.json {
        return once::run(options, subject, &catalog, &stop);
    }
    if !terminal {
        return Err(Failure::usage(
            "the live screen needs a terminal",
            "--once prints one screen as text, --json one report",
        ));
    }
    let theme = theme(options, true);
    let app = App::new(theme, topics()?, options.window, options.rate).showing(view(options.view));
    let sampling = sampling(options);
    screen::run(subject, app, sampling, options.keep, options.subprocesses, &catalog, &stop)
}

/// What is shown.
pub(super) enum Shown {
    /// A process, or a command that is run.
    Process(Subject),
    /// A recording.
    File(PathBuf),
    /// A process that is still to be chosen.
    Unchosen,
}

/// A file that is there goes before a process with its name.
fn subject(options: &Top) -> Result<Shown, Failure> {
    let named = options.subject.as_ref();
    if named.is_none() && options.target.pid.is_none() && options.target.launch.is_empty() {
        return Ok(Shown::Unchosen);
    }
    let positional = match named {
        None => None,
        Some(name) if Path::new(name).exists() => return Ok(Shown::File(name.into())),
        Some(name) => match name.to_str().and_then(|name| name.parse().ok()) {
            Some(pid) => Some(pid),
            None => return Ok(Shown::File(name.into())),
        },
    };
    Subject::of(positional, &options.target).map(Shown::Process)
}

const fn sampling(options: &Top) -> Options {
    Options {
        rate: options.rate,
        duration: None,
        threshold: options.threshold,
        blocking: options.blocking,
        launched: false,
    }
}

fn theme(options: &Top, terminal: bool) -> Theme {
    Theme {
        colour: terminal && !options.no_color && !refuses_colour(),
        unicode: !terminal || locale_is_utf8(),
    }
}

const fn view(view: TopView) -> View {
    match view {
        TopView::Overview => View::Overview,
        TopView::Threads => View::Threads,
        TopView::Functions => View::Functions,
        TopView::Flame => View::Flame,
        TopView::Tasks => View::Tasks,
        TopView::Locks => View::Locks,
        TopView::Findings => View::Findings,
        TopView::Processes => View::Processes,
    }
}
