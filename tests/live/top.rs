//! The live screen in a real terminal, by its keys.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::machine::{LIMIT, alone, say};
use super::program::{Program, repository};
use super::pyconc;
use super::pythons;

/// How often the screen is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A terminal of 80x24 that runs the screen, on a server of its own.
struct Terminal {
    server: String,
    folder: tempfile::TempDir,
}

impl Terminal {
    fn start(arguments: &[&str]) -> Self {
        // What is printed after the end shows that the terminal was given back.
        let program = env!("CARGO_BIN_EXE_pyconc");
        Self::run(&format!("{program} top {}; echo left with $?; exec cat", arguments.join(" ")))
    }

    fn run(command: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let name = folder.path().file_name().expect("a name").to_string_lossy().into_owned();
        let terminal = Self { server: format!("pyconc{name}"), folder };
        let folder = terminal.folder.path().to_string_lossy().into_owned();
        let options = ["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24"];
        terminal.tmux(&[&options[..], &["-c", &folder, command]].concat());
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-u", "-L", &self.server]).args(arguments).env("LANG", "C.UTF-8");
        let output = command.stdin(Stdio::null()).output().expect("tmux runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"][..], keys].concat());
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    fn wait(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if holds(&screen) {
                return screen;
            }
            assert!(began.elapsed() < LIMIT, "{what} is not there:\n{screen}");
            std::thread::sleep(LOOK);
        }
    }

    #[track_caller]
    fn shows(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// The number of the program that shows the screen.
    fn pid(&self) -> Pid {
        let shell = self.tmux(&["list-panes", "-F", "#{pane_pid}"]);
        let shell = shell.trim();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        let children = children.expect("the shell runs");
        let first = children.split_whitespace().next().expect("a child");
        Pid::from_raw(first.parse().expect("a number"))
    }

    /// The files that were written, by their suffix.
    fn written(&self, suffix: &str) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.extension().is_some_and(|it| it == suffix)).collect()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let _ = command.args(["-L", &self.server, "kill-server"]).output();
    }
}

fn blocked() -> Program {
    let script = repository("examples/loop_blocked_by_sleep.py");
    Program::start(pythons::any(), &script, &["600"])
}

#[test]
fn the_line_that_blocks_a_loop_is_shown_and_each_key_does_what_it_says() {
    let _alone = alone();
    let program = blocked();
    let began = Instant::now();
    let terminal = Terminal::start(&[&program.pid()]);
    terminal.shows("loop_blocked_by_sleep.py:31");
    say(&format!("the line is there after {:.1} s", began.elapsed().as_secs_f64()));
    terminal.shows("verdict: event-loop-blocked");
    for (key, text) in [
        ("2", "thread                tid"),
        ("3", "PaymentClient.charge"),
        ("4", "of all that is not parked"),
        ("5", "OrderService.handle"),
        ("6", "no thread waited for a lock"),
        ("7", "severity   share finding"),
        ("Tab", "pid verdict"),
        ("Tab", "thread samples"),
        ("?", "keys of the view"),
        ("Escape", "[blocked-event-loop]"),
    ] {
        terminal.keys(&[key]);
        terminal.shows(text);
    }
    terminal.keys(&["7"]);
    terminal.shows("severity");
    terminal.keys(&["Enter"]);
    terminal.shows("it means");
    terminal.keys(&["Escape", "2", "/", "n", "o", "n", "e", "Enter"]);
    terminal.shows("nothing has this text");
    terminal.keys(&["Escape"]);
    terminal.shows("MainThread");
    terminal.keys(&["Space"]);
    terminal.shows("FROZEN");
    terminal.keys(&["Space"]);
    terminal.shows("LIVE");
    terminal.keys(&["+"]);
    terminal.shows("of 200 samples a second");
    terminal.keys(&["e"]);
    terminal.shows(".svg written");
    terminal.keys(&["w"]);
    terminal.shows(".pyconc written");
    assert_eq!(terminal.written("svg").len(), 1);
    let saved = terminal.written("pyconc").pop().expect("a recording");
    let report = pyconc::json(&["report", "-f", "json", &saved.to_string_lossy()]);
    assert_eq!(report["verdict"]["workload"], "event-loop-blocked");
    terminal.keys(&["q"]);
    terminal.shows("left with 0");
}

#[test]
fn a_smaller_terminal_a_stop_and_the_end_of_the_process_are_survived() {
    let _alone = alone();
    let program = blocked();
    let terminal = Terminal::start(&["--pid", &program.pid(), "--view", "threads"]);
    terminal.shows("MainThread");
    for (columns, rows) in [("30", "8"), ("200", "50"), ("80", "24")] {
        terminal.tmux(&["resize-window", "-x", columns, "-y", rows]);
        terminal.wait("the screen", |screen| {
            screen.contains("pid ") && screen.lines().count() >= rows.parse().unwrap_or(0)
        });
    }
    drop(program);
    terminal.shows("ENDED");
    terminal.keys(&["w"]);
    terminal.shows(".pyconc written");
    terminal.keys(&["C-c"]);
    terminal.shows("left with");
}

#[test]
fn a_stopped_screen_comes_back_and_an_ended_one_gives_the_terminal_back() {
    let _alone = alone();
    let program = blocked();
    // A shell with job control, as a user has it.
    let terminal = Terminal::run("exec bash --norc --noprofile -i");
    let command =
        format!("{} top {}; echo left with $?", env!("CARGO_BIN_EXE_pyconc"), program.pid());
    terminal.keys(&["-l", &command]);
    terminal.keys(&["Enter"]);
    terminal.shows("verdict:");
    terminal.keys(&["C-z"]);
    terminal.shows("Stopped");
    terminal.keys(&["fg", "Enter"]);
    terminal.shows("verdict:");
    terminal.keys(&["2"]);
    terminal.shows("MainThread");
    let pid = terminal.pid();
    kill(pid, Signal::SIGTERM).expect("it lives");
    let screen = terminal.wait("the shell", |screen| !screen.contains("verdict:"));
    assert!(!screen.contains("verdict:"), "{screen}");
}

#[test]
fn a_recording_is_replayed_and_a_process_is_chosen() {
    let _alone = alone();
    let program = blocked();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.pyconc").to_string_lossy().into_owned();
    assert_eq!(pyconc::run(&["record", "-d", "4", "-o", &file, &program.pid()]).code, Some(0));
    let terminal = Terminal::start(&[&file]);
    terminal.shows("RECORDING");
    terminal.shows("loop_blocked_by_sleep.py:31");
    terminal.keys(&["<", "n"]);
    terminal.shows("verdict: event-loop-blocked");
    terminal.keys(&["Space"]);
    terminal.shows("PLAYING");
    terminal.keys(&["q"]);
    terminal.shows("left with 0");

    let terminal = Terminal::start(&[]);
    terminal.shows("Which process?");
    terminal.shows(&program.pid());
    terminal.keys(&["q"]);
    terminal.shows("left with 0");
}

#[test]
fn one_screen_is_printed_as_text_and_as_json() {
    let _alone = alone();
    for python in pythons::all() {
        let script = repository("examples/loop_blocked_by_sleep.py");
        let program = Program::start(python, &script, &["600"]);
        let pid = program.pid();
        let run = pyconc::run(&["top", "--once", "-w", "2", &pid]);
        let lines: Vec<_> = run.stdout.lines().collect();
        assert_eq!(lines.len(), 24, "{}", run.stdout);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{}", run.stdout);
        let version = &python.version;
        assert!(run.stdout.contains("verdict: event-loop-blocked"), "{version} {}", run.stdout);
        let json = pyconc::json(&["top", "--json", "-w", "1", &pid]);
        assert_eq!(json["schema"], "pyconc.report/1");
    }
    let nothing = pyconc::run(&["top"]);
    assert_eq!(nothing.code, Some(2), "{}", nothing.stderr);
}

/// Starts two children, one that computes and one that sleeps, and says their numbers. They end with it,
/// however it ends.
const PARENT: &str = r#"
import json, subprocess, sys, time
begin = "import os, time\nparent = os.getppid()\nwhile os.getppid() == parent: "
code = [begin + "sum(range(1000))", begin + "time.sleep(0.01)"]
children = [subprocess.Popen([sys.executable, "-c", text]) for text in code]
print(json.dumps({"children": [child.pid for child in children]}))
print("ready", flush=True)
time.sleep(600)
"#;

#[test]
fn child_processes_are_shown_each_with_its_verdict() {
    let _alone = alone();
    let program = Program::inline(pythons::any(), PARENT);
    let children = program.announced()["children"].clone();
    let children: Vec<i64> =
        children.as_array().expect("a list").iter().filter_map(serde_json::Value::as_i64).collect();
    let terminal = Terminal::start(&["--subprocesses", "--view", "processes", &program.pid()]);
    let screen = terminal.wait("each child", |screen| {
        children.iter().all(|pid| screen.contains(&pid.to_string())) && screen.contains("cpu-bound")
    });
    assert!(screen.contains("all 3 processes"), "{screen}");
    terminal.keys(&["/", "c", "p", "u", "-", "b", "Enter", "Enter"]);
    terminal.shows(&format!("pid {}", children[0]));
    terminal.keys(&["q"]);
    terminal.shows("left with 0");
}

#[test]
fn a_screen_whose_terminal_goes_away_ends() {
    let _alone = alone();
    let program = blocked();
    let terminal = Terminal::start(&[&program.pid()]);
    terminal.shows("verdict:");
    let pid = terminal.pid();
    drop(terminal);
    let began = Instant::now();
    while kill(pid, None).is_ok() {
        assert!(began.elapsed() < LIMIT, "it goes on without a terminal");
        std::thread::sleep(LOOK);
    }
}
