//! One window as text, or as JSON.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::feed::window_of;
use super::{Shown, sampling, theme, view};
use crate::catalog::{Catalog, topics};
use crate::cli::args::Top;
use crate::cli::attach::Attached;
use crate::cli::failure::Failure;
use crate::cli::files::{Document, open};
use crate::diagnose::diagnose;
use crate::output::report_json;
use crate::profile::{Profile, read_history};
use crate::session::Options;
use crate::tui::{App, Shot, Source, draw};

/// The size of the screen where there is none.
const SIZE: (u16, u16) = (80, 24);

pub(super) fn run(
    options: &Top,
    shown: Shown,
    catalog: &Catalog,
    stop: &AtomicBool,
) -> Result<ExitCode, Failure> {
    let (profile, source, code) = match shown {
        Shown::Unchosen => {
            return Err(Failure::usage(
                "nothing to look at",
                "name a process (--pid N, or just N), a recording, or a command after --",
            ));
        }
        Shown::File(file) => {
            let (history, _) = read_history(open(&file)?)?;
            let range = window_of(&history, history.len(), 0, options.window);
            (history.profile(range), Source::File, ExitCode::SUCCESS)
        }
        Shown::Process(subject) => {
            let sampling = Options { duration: Some(options.window), ..sampling(options) };
            let mut attached = Attached::new(&subject, catalog, sampling, stop)?;
            let ending = attached.session.run(stop, &mut ())?;
            let profile: Profile = attached.session.profile().clone();
            (profile, Source::Live, attached.finish(ending))
        }
    };
    let diagnosis = diagnose(&profile, catalog);
    if options.json {
        Document::Stdout.write(|out| report_json(out, &profile, &diagnosis))?;
        return Ok(code);
    }
    let (columns, rows) = crossterm::terminal::size().unwrap_or(SIZE);
    let mut app = App::new(theme(options, false), topics()?, options.window, options.rate)
        .showing(view(options.view));
    app.resize(columns, rows);
    let pid = profile.meta.pid;
    app.receive(pid, Arc::new(Shot::new(profile, diagnosis, source, Vec::new())));
    let mut terminal =
        Terminal::new(TestBackend::new(columns, rows)).context("preparing the screen")?;
    let screen =
        terminal.draw(|frame| draw(frame, &app)).context("drawing the screen")?.buffer.clone();
    Document::Stdout.write(|out| {
        for y in 0..rows {
            let line: String = (0..columns)
                .filter_map(|x| screen.cell((x, y)))
                .map(|cell| cell.symbol())
                .collect();
            writeln!(out, "{}", line.trim_end())?;
        }
        out.flush()
    })?;
    Ok(code)
}
