//! The screen as its user sees it: every view at three sizes, every key, hostile names.

use std::sync::Arc;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::keys::BINDINGS;
use super::{Action, App, Effect, Shot, Source, Theme, View, action_of_key, draw};
use crate::catalog::{Catalog, topics};
use crate::diagnose::diagnose;
use crate::diagnose::fixture::{Doing, Fixture};
use crate::model::{Cause, Nanos, Tag};
use crate::profile::Beat;

/// Ten seconds of four workers that queue for the GIL, and an event loop that `time.sleep` blocks.
fn fixture() -> Fixture {
    let mut fixture = Fixture::blocked_by_sleep();
    fixture.profile.meta.age = Nanos(90 * Nanos::SECOND.0);
    for index in 0..4 {
        let worker = fixture.thread(&format!("worker-{index}"));
        let stack = ["/srv/shop/jobs.py:run:20", "/srv/shop/jobs.py:score:7"];
        fixture.spend(worker, 20, &Doing::new(Cause::Python, &stack));
        fixture.spend(worker, 60, &Doing::new(Cause::Gil, &stack));
        let waits = ["/srv/shop/jobs.py:run:20", "/srv/shop/api.py:ask:33"];
        fixture.spend(worker, 20, &Doing::new(Cause::Network, &waits).peer("10.0.0.7:5432"));
    }
    fixture.cpus(0.98, 0.05);
    fixture
}

fn shot(fixture: &Fixture, source: Source) -> Arc<Shot> {
    let diagnosis = diagnose(&fixture.profile, &Catalog::default());
    let beat = |index: u64| {
        let mut beat = Beat { start: Nanos(index * Nanos::SECOND.0), ..Beat::default() };
        beat.tags[Tag::Running as usize] = 10 * (index % 7);
        beat.tags[Tag::IdleWaiting as usize] = 60;
        beat.blocked = index == 20;
        beat
    };
    let beats = (0..30).map(beat).collect();
    Arc::new(Shot::new(fixture.profile.clone(), diagnosis, source, beats).at(30, 30.0))
}

fn app(theme: Theme) -> App {
    App::new(theme, topics().unwrap(), Duration::from_secs(10), 100.0)
}

fn showing(fixture: &Fixture, theme: Theme) -> App {
    let mut app = app(theme);
    app.receive(4242, shot(fixture, Source::Live));
    app
}

/// The screen's lines.
fn screen(app: &mut App, (columns, rows): (u16, u16)) -> String {
    app.resize(columns, rows);
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let drawn = terminal.draw(|frame| draw(frame, app)).unwrap().buffer.clone();
    let line = |y| (0..columns).map(|x| drawn[(x, y)].symbol()).collect::<String>();
    (0..rows).map(|y| line(y).trim_end().to_owned() + "\n").collect()
}

fn press(app: &mut App, code: KeyCode) -> Option<Effect> {
    let action = action_of_key(app, KeyEvent::new(code, KeyModifiers::NONE));
    app.apply(action.unwrap_or_else(|| panic!("{code:?} does nothing in {:?}", app.view)))
}

const SIZE: (u16, u16) = (80, 24);

#[test]
fn every_view_at_three_sizes() {
    let fixture = fixture();
    for size in [SIZE, (120, 40), (200, 60)] {
        for view in View::ALL {
            let mut app = showing(&fixture, Theme::default()).showing(view);
            let name = format!("{}-{}x{}", view.name(), size.0, size.1);
            insta::assert_snapshot!(name, screen(&mut app, size));
        }
    }
}

#[test]
fn the_details_of_what_is_selected() {
    let fixture = fixture();
    for view in [View::Threads, View::Functions, View::Tasks, View::Findings] {
        let mut app = showing(&fixture, Theme::default()).showing(view);
        press(&mut app, KeyCode::Enter);
        insta::assert_snapshot!(format!("{}-details", view.name()), screen(&mut app, SIZE));
        press(&mut app, KeyCode::Esc);
        let table = screen(&mut app, SIZE);
        assert_eq!(table, screen(&mut showing(&fixture, Theme::default()).showing(view), SIZE));
    }
}

#[test]
fn a_plain_terminal_gets_ascii_without_colours() {
    let theme = Theme { colour: false, unicode: false };
    for view in View::ALL {
        let mut app = showing(&fixture(), theme).showing(view);
        let text = screen(&mut app, SIZE);
        assert!(text.is_ascii(), "{text}");
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let drawn = terminal.draw(|frame| draw(frame, &app)).unwrap();
        assert!(drawn.buffer.content().iter().all(|cell| cell.fg == ratatui::style::Color::Reset));
    }
}

#[test]
fn no_name_breaks_the_screen_or_reaches_it_raw() {
    let evil = [
        "\u{1b}[2J\u{9b}31m",
        "\u{202e}\u{2066}gnp.exe",
        &"x".repeat(10_000),
        &"日本語".repeat(200),
        "a\u{300}\u{301}\u{302}e\u{fe0f}👩\u{200d}👩\u{200d}👧",
        "line\nbreak\ttab\r",
    ];
    let mut fixture = Fixture::new(5);
    for name in evil {
        let thread = fixture.thread(name);
        let clean = name.replace(':', "");
        let frame = format!("/srv/{clean}.py:{clean}:7");
        fixture.spend(thread, 50, &Doing::new(Cause::Python, &[&frame]));
        fixture.spend(thread, 50, &Doing::new(Cause::Gil, &[&frame]));
    }
    fixture.profile.meta.command = evil.map(str::to_owned).to_vec();
    for size in [(1, 1), (7, 3), (20, 10), SIZE, (200, 60)] {
        for view in View::ALL {
            let mut app = showing(&fixture, Theme::default()).showing(view);
            for open in [false, true] {
                if open {
                    app.apply(Action::Open);
                }
                let text = screen(&mut app, size);
                let raw = text.chars().find(|c| c.is_control() && *c != '\n');
                assert_eq!(raw, None, "{view:?} {size:?}");
                assert!(!text.contains(['\u{202e}', '\u{2066}', '\u{200d}', '\u{fe0f}']));
                // A wide character's second cell is empty: the lines are as wide as the screen.
                assert_eq!(text.lines().count(), usize::from(size.1));
            }
        }
    }
}

#[test]
fn each_key_of_the_help_does_something() {
    let fixture = fixture();
    for replay in [false, true] {
        for view in View::ALL {
            let mut app = showing(&fixture, Theme::default()).showing(view);
            if replay {
                app = app.replaying(30);
            }
            let known: Vec<_> = BINDINGS.iter().filter(|binding| binding.suits(&app)).collect();
            let help = {
                press(&mut app, KeyCode::Char('?'));
                screen(&mut app, (120, 60))
            };
            for binding in known {
                assert!(help.contains(binding.help), "{}: {help}", binding.help);
            }
            press(&mut app, KeyCode::Char('?'));
        }
    }
}

#[test]
fn keys_move_sort_and_filter() {
    let mut app = showing(&fixture(), Theme::default());
    press(&mut app, KeyCode::Char('2'));
    let names = |app: &mut App| -> Vec<String> {
        let text = screen(app, SIZE);
        let rows = text.lines().skip(7).take_while(|line| !line.is_empty());
        rows.map(|line| line.split_whitespace().next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names(&mut app).len(), 5);
    press(&mut app, KeyCode::Char('s'));
    assert_eq!(names(&mut app), ["MainThread", "worker-0", "worker-1", "worker-2", "worker-3"]);
    press(&mut app, KeyCode::Char('S'));
    assert_eq!(names(&mut app)[0], "worker-3");
    press(&mut app, KeyCode::Char('G'));
    press(&mut app, KeyCode::Enter);
    assert!(screen(&mut app, SIZE).contains("thread MainThread"));
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Char('/'));
    "er-2".chars().for_each(|c| assert_eq!(press(&mut app, KeyCode::Char(c)), None));
    press(&mut app, KeyCode::Enter);
    assert_eq!(names(&mut app), ["worker-2"]);
    assert!(screen(&mut app, SIZE).contains("filter: er-2"));
    press(&mut app, KeyCode::Esc);
    assert_eq!(names(&mut app).len(), 5);
}

#[test]
fn a_frozen_screen_stays_and_the_end_is_shown_at_once() {
    let mut app = showing(&fixture(), Theme::default());
    press(&mut app, KeyCode::Char(' '));
    assert!(screen(&mut app, SIZE).contains("FROZEN"));
    app.receive(4242, shot(&Fixture::new(5), Source::Live));
    assert!(screen(&mut app, SIZE).contains("event-loop-blocked"), "what came is not shown");
    press(&mut app, KeyCode::Char(' '));
    assert!(screen(&mut app, SIZE).contains("LIVE"));
    app.receive(4242, shot(&Fixture::new(5), Source::Ended));
    let text = screen(&mut app, SIZE);
    assert!(text.contains("ENDED") && text.contains("w saves the recording"), "{text}");
}

#[test]
fn one_window_alone_does_not_change_the_verdict() {
    let mut app = showing(&fixture(), Theme::default());
    let told = |app: &mut App| screen(app, SIZE).lines().nth(2).unwrap_or_default().to_owned();
    assert!(told(&mut app).contains("event-loop-blocked"));
    let quiet = Fixture::new(5);
    app.receive(4242, shot(&quiet, Source::Live));
    assert!(told(&mut app).contains("event-loop-blocked"));
    app.receive(4242, shot(&quiet, Source::Live));
    assert!(!told(&mut app).contains("event-loop-blocked"), "{}", told(&mut app));
}

#[test]
fn another_process_is_chosen() {
    let mut app = showing(&fixture(), Theme::default());
    let mut child = Fixture::new(5);
    child.profile.meta.pid = 5000;
    child.profile.meta.command = vec!["python3".into(), "worker.py".into()];
    let thread = child.thread("MainThread");
    child.spend(thread, 100, &Doing::new(Cause::Python, &["worker.py:work:1"]));
    child.cpus(1.0, 0.0);
    app.receive(5000, shot(&child, Source::Live));
    let text = screen(&mut app, SIZE);
    assert!(text.contains("pid 4242") && text.contains("all 2 processes 1.98"), "{text}");
    press(&mut app, KeyCode::Char('8'));
    let text = screen(&mut app, SIZE);
    assert!(text.contains("cpu-bound") && text.contains("worker.py"), "{text}");
    press(&mut app, KeyCode::Char('G'));
    press(&mut app, KeyCode::Enter);
    assert_eq!(app.chosen(), Some(5000));
    assert!(screen(&mut app, SIZE).contains("pid 5000"));
}

#[test]
fn effects_are_asked_for() {
    let mut app = showing(&fixture(), Theme::default());
    assert_eq!(press(&mut app, KeyCode::Char(']')), Some(Effect::Look));
    assert_eq!(app.window(), Duration::from_secs(30));
    assert_eq!(press(&mut app, KeyCode::Char('+')), Some(Effect::Rate));
    assert_eq!(app.rate(), 200.0);
    for (key, effect) in
        [('r', Effect::Reset), ('w', Effect::Save), ('e', Effect::Export), ('q', Effect::Quit)]
    {
        assert_eq!(press(&mut app, KeyCode::Char(key)), Some(effect));
    }
}

#[test]
fn a_recording_is_scrubbed_and_played() {
    let mut app = app(Theme::default()).replaying(30);
    app.receive(4242, shot(&fixture(), Source::File));
    assert_eq!(app.tick(), None, "it does not play by itself");
    assert_eq!(press(&mut app, KeyCode::Char('<')), Some(Effect::Look));
    assert_eq!(app.replay().map(|it| it.position), Some(20));
    assert_eq!(press(&mut app, KeyCode::Char('n')), Some(Effect::Look));
    assert_eq!(app.replay().map(|it| it.position), Some(21), "the blocked second");
    assert_eq!(press(&mut app, KeyCode::Char('n')), None);
    assert!(screen(&mut app, SIZE).contains("no blocked event loop"));
    press(&mut app, KeyCode::Char(' '));
    assert_eq!(app.tick(), Some(Effect::Look));
    assert_eq!(app.replay().map(|it| it.position), Some(22));
    assert!(screen(&mut app, SIZE).contains("PLAYING"));
    (0..20).for_each(|_| {
        app.tick();
    });
    assert!(screen(&mut app, SIZE).contains("RECORDING"), "it stops at the end");
    // A fresh recording begins at its end, and plays from the start.
    press(&mut app, KeyCode::Char(' '));
    assert_eq!(app.replay().map(|it| it.position), Some(1));
}

#[test]
fn the_flame_graph_is_walked_and_zoomed() {
    let mut app = showing(&fixture(), Theme::default()).showing(View::Flame);
    screen(&mut app, SIZE);
    press(&mut app, KeyCode::Char('j'));
    press(&mut app, KeyCode::Char('j'));
    let before = screen(&mut app, SIZE);
    press(&mut app, KeyCode::Enter);
    let zoomed = screen(&mut app, SIZE);
    assert_ne!(before, zoomed);
    assert!(!zoomed.contains("▏all"), "{zoomed}");
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Esc);
    assert!(screen(&mut app, SIZE).contains("▏all"));
    press(&mut app, KeyCode::Char('i'));
    assert_ne!(screen(&mut app, SIZE), before);
}
