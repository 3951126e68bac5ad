//! Chooses a process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::crossterm::event::{Event, KeyCode, KeyModifiers};

use super::glance::Glances;
use super::terminal::{Keys, Screen};
use crate::catalog::Catalog;
use crate::cli::failure::Failure;
use crate::cli::ps;
use crate::model::{Nanos, Pid};
use crate::target::Process;
use crate::tui::{Candidate, Theme, draw_picker};

/// How often the list is made anew.
const REFRESH: Duration = Duration::from_millis(1000);
const POLL: Duration = Duration::from_millis(100);

/// Has the user choose a process; `None` when none was chosen.
pub(super) fn choose(
    screen: &mut Screen,
    keys: &Keys,
    (theme, catalog): (Theme, &Catalog),
    stop: &AtomicBool,
) -> Result<Option<Pid>, Failure> {
    let glances = Glances::default();
    std::thread::scope(|scope| {
        let _looking = glances.start(scope, catalog);
        choose_from(screen, keys, (theme, &glances), stop)
    })
}

fn choose_from(
    screen: &mut Screen,
    keys: &Keys,
    (theme, glances): (Theme, &Glances),
    stop: &AtomicBool,
) -> Result<Option<Pid>, Failure> {
    let mut before: Vec<(Pid, Nanos)> = Vec::new();
    let (mut all, mut read_at) = (list(&mut before, None)?, Instant::now());
    let mut selected = 0usize;
    loop {
        glances.want(all.iter().filter(|it| it.python.is_some()).map(|it| it.pid));
        for candidate in &mut all {
            candidate.does = glances.of(candidate.pid);
        }
        let draw = |frame: &mut ratatui::Frame<'_>| draw_picker(frame, &all, selected, theme);
        screen.terminal.draw(draw).context("drawing the screen")?;
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if let Some(event) = keys.next(POLL).context("the terminal has gone away")? {
            let Event::Key(key) = event else { continue };
            let control = key.modifiers.contains(KeyModifiers::CONTROL);
            match key.code {
                KeyCode::Char('c') if control => return Ok(None),
                KeyCode::Char('z') if control => screen.suspend().context("taking the terminal")?,
                KeyCode::Char('q') | KeyCode::Esc => return Ok(None),
                KeyCode::Char('j') | KeyCode::Down => selected += 1,
                KeyCode::Char('k') | KeyCode::Up => selected = selected.saturating_sub(1),
                KeyCode::Enter => {
                    let chosen = all.get(selected).filter(|it| it.python.is_some());
                    if let Some(chosen) = chosen {
                        return Ok(Some(chosen.pid));
                    }
                }
                _ => {}
            }
            selected = selected.min(all.len().saturating_sub(1));
        }
        if read_at.elapsed() >= REFRESH {
            let chosen = all.get(selected).map(|it| it.pid);
            all = list(&mut before, Some(read_at.elapsed()))?;
            read_at = Instant::now();
            // The list moves below the selection, not the other way round.
            let place = all.iter().position(|it| Some(it.pid) == chosen);
            selected = place.unwrap_or(selected).min(all.len().saturating_sub(1));
        }
    }
}

/// The processes, with the CPUs that they used since the last time.
fn list(
    before: &mut Vec<(Pid, Nanos)>,
    elapsed: Option<Duration>,
) -> Result<Vec<Candidate>, Failure> {
    let mut now = Vec::new();
    let mut all = Vec::new();
    for row in ps::rows()? {
        let used = Process::open(row.pid).ok().map(|process| process.cpu_time());
        now.extend(used.map(|used| (row.pid, used)));
        let then = before.iter().find(|(pid, _)| *pid == row.pid).map(|(_, then)| *then);
        let cpus = used.zip(then).zip(elapsed).map(|((used, then), elapsed)| {
            used.since(then).seconds() / elapsed.as_secs_f64().max(1e-3)
        });
        all.push(Candidate {
            pid: row.pid,
            python: row.version,
            threads: row.threads,
            cpus,
            does: None,
            command: row.command,
        });
    }
    *before = now;
    Ok(all)
}
