//! Bad input: one line that names the cause and the fix, and the right exit code.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::machine::{is_root, left_out, shared, wait_for};
use super::program::Program;
use super::pyconc::{self, Run, exit};
use super::pythons::{self, Python};

/// The commands that look at a process, each as far as its pid.
const LOOKERS: [&[&str]; 3] = [&["report", "-d", "600"], &["record", "-d", "600"], &["dump"]];

/// Runs pyconc in a folder of its own, in which a run that fails leaves nothing behind.
fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Run {
    let folder = folder();
    let mut command = pyconc::command(arguments);
    command.current_dir(folder.path());
    let run = Run::of(pyconc::start(command));
    let left = std::fs::read_dir(folder.path()).expect("own folder").count();
    assert!(left == 0 || run.code == Some(exit::OK), "{left} files are left behind");
    run
}

/// Every command that looks at a process must fail on this one.
fn every_command_fails(pid: &str, code: i32, words: &[&str]) {
    for looker in LOOKERS {
        for target in [&["--pid", pid][..], &[pid]] {
            let arguments: Vec<_> = looker.iter().chain(target).collect();
            run(&arguments).fails(code, words);
        }
    }
}

/// Python that waits until it is killed.
fn waiting() -> Program {
    Program::inline(pythons::any(), "import time\nprint('ready', flush=True)\ntime.sleep(3600)")
}

/// A program that waits and is not Python, under a name of its own.
fn waiting_shell(folder: &Path, name: &str) -> Program {
    let path = folder.join(name);
    std::fs::copy("/bin/sh", &path).expect("the shell can be copied");
    let mut command = Command::new(&path);
    command.args(["-c", "echo ready; while :; do sleep 60; done"]).process_group(0);
    Program::run(command)
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Other users are to come in.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("own folder");
    folder
}

#[test]
fn wrong_usage() {
    let _shared = shared();
    for arguments in [
        &["frobnicate"][..],
        &["report"],
        &["report", "--pid", "python"],
        &["report", "--pid", "1", "--rate", "0"],
        &["report", "--pid", "1", "--rate", "fast"],
        &["record", "--pid", "1", "-d", "soon"],
        &["report", "--pid", "1", "-f", "papyrus"],
        &["record", "--pid", "1", "--", "true"],
    ] {
        let run = self::run(arguments);
        assert_eq!(run.code, Some(exit::USAGE), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{arguments:?}");
        assert!(run.stderr.starts_with("error: "), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn no_such_process() {
    let _shared = shared();
    let mut child = Command::new("true").spawn().expect("`true` runs");
    child.wait().expect("a child can be waited for");
    every_command_fails(&child.id().to_string(), exit::NO_SUCH_PROCESS, &["no process", "no such"]);
}

#[test]
fn a_zombie() {
    let _shared = shared();
    let mut child = Command::new("true").spawn().expect("`true` runs");
    let stat = format!("/proc/{}/stat", child.id());
    wait_for("a zombie", || {
        let stat = std::fs::read_to_string(&stat).ok()?;
        stat.rsplit_once(") ")?.1.starts_with('Z').then_some(())
    });
    every_command_fails(&child.id().to_string(), exit::NO_SUCH_PROCESS, &["ended", "zombie"]);
    child.wait().expect("a child can be waited for");
}

#[test]
fn not_python() {
    let _shared = shared();
    let folder = folder();
    let shell = waiting_shell(folder.path(), "shell");
    every_command_fails(&shell.pid(), exit::NOT_PYTHON, &["not python", "not cpython"]);
}

/// PyPy is told by its name here: what runs is a shell.
#[test]
fn pypy() {
    let _shared = shared();
    let folder = folder();
    let shell = waiting_shell(folder.path(), "pypy3");
    every_command_fails(&shell.pid(), exit::NOT_PYTHON, &["pypy"]);
}

/// A copy of an interpreter that says that it is 3.99: in its text, and in the table of offsets
/// that CPython publishes for debuggers (a cookie, then the version).
#[test]
fn a_python_of_an_unknown_version() {
    let _shared = shared();
    let Some(python) = pythons::all().iter().find(|python| python.version == "3.15") else {
        return left_out("an unknown version, made from 3.15");
    };
    let folder = folder();
    let copy = folder.path().join("python3.99");
    let image = std::fs::read(&python.path).expect("an interpreter can be read");
    std::fs::write(&copy, renumbered(image, python)).expect("own folder");
    std::fs::set_permissions(&copy, Permissions::from_mode(0o755)).expect("own file");
    let mut command = Command::new(&copy);
    command.args(["-S", "-c", "import time\nprint('ready', flush=True)\ntime.sleep(3600)"]);
    let home = python.path.parent().and_then(Path::parent).expect("bin/ has a parent");
    command.env("PYTHONHOME", home);
    every_command_fails(&Program::run(command).pid(), exit::NOT_PYTHON, &["3.99"]);
}

/// An interpreter's image with its minor version replaced by 99.
fn renumbered(mut image: Vec<u8>, python: &Python) -> Vec<u8> {
    let say = "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.hexversion)";
    let said = Command::new(&python.path).args(["-c", say]).output().expect("it runs").stdout;
    let said = String::from_utf8(said).expect("a version is ASCII");
    let (text, number) = said.trim_end().split_once(' ').expect("text and number");
    let published = |number: u64| [&b"xdebugpy"[..], &number.to_le_bytes()].concat();
    let number: u64 = number.parse().expect("a number");
    for (from, to) in [
        (text.as_bytes().to_vec(), text.replace(".15.", ".99.").into_bytes()),
        (published(number), published((number & 0xff00_ffff) | (99 << 16))),
    ] {
        assert!(
            replace(&mut image, &from, &to) > 0,
            "{from:?} is not in {}",
            python.path.display()
        );
    }
    image
}

/// Replaces all occurrences of some bytes by as many others, and counts them.
fn replace(image: &mut [u8], from: &[u8], to: &[u8]) -> usize {
    assert_eq!(from.len(), to.len());
    let found: Vec<usize> = image
        .windows(from.len())
        .enumerate()
        .filter(|(_, at)| *at == from)
        .map(|(i, _)| i)
        .collect();
    for start in &found {
        image[*start..*start + to.len()].copy_from_slice(to);
    }
    found.len()
}

#[test]
fn a_process_of_another_user() {
    let _shared = shared();
    let nobody = 65534;
    if !is_root() {
        return left_out("a process of another user, which takes two users");
    }
    let folder = folder();
    let copy = folder.path().join("pyconc");
    std::fs::copy(env!("CARGO_BIN_EXE_pyconc"), &copy).expect("the program can be copied");
    let target = waiting();
    assert_ne!(std::fs::metadata(format!("/proc/{}", target.pid())).expect("alive").uid(), nobody);
    for looker in LOOKERS {
        let mut command = Command::new(&copy);
        command.args(looker).args(["--pid", &target.pid()]);
        command.uid(nobody).gid(nobody).current_dir(folder.path());
        let run = Run::of(pyconc::start(command));
        run.fails(exit::PERMISSION, &["permi"]);
        assert!(run.stderr.contains("hint: "), "permission has a fix: {}", run.stderr);
    }
}

#[test]
fn a_command_that_cannot_be_run() {
    let _shared = shared();
    let folder = folder();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no program").expect("own folder");
    let text = text.to_string_lossy().into_owned();
    for command in ["no-such-command-anywhere", "/no/such/command", &text] {
        for looker in ["report", "record"] {
            run(&[looker, "--", command]).fails(exit::ERROR, &[command]);
        }
    }
}

/// Each would sample for ten minutes, so that one that ends has said so before sampling.
#[test]
fn an_output_that_cannot_be_written_is_told_before_sampling() {
    let _shared = shared();
    let folder = folder();
    let target = waiting();
    let missing = folder.path().join("missing/out.pyconc").to_string_lossy().into_owned();
    let is_folder = folder.path().to_string_lossy().into_owned();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "Dear diary").expect("own folder");
    let below_file = file.join("out.pyconc").to_string_lossy().into_owned();
    for output in [&missing, &is_folder, &below_file] {
        for looker in ["record", "report"] {
            run(&[looker, "--pid", &target.pid(), "-d", "600", "-o", output])
                .fails(exit::ERROR, &[output]);
        }
    }
    assert!(!Path::new(&missing).exists());
}

#[test]
fn a_suffix_or_format_that_is_not_known_is_told_before_sampling() {
    let _shared = shared();
    let folder = folder();
    let target = waiting();
    let output = folder.path().join("out.papyrus");
    let name = output.to_string_lossy().into_owned();
    let run = run(&["record", "--pid", &target.pid(), "-d", "600", "-f", "papyrus", "-o", &name]);
    assert_eq!(run.code, Some(exit::USAGE), "{}", run.stderr);
    assert!(!output.exists(), "nothing is left behind");
}

#[test]
fn a_file_that_is_no_recording() {
    let _shared = shared();
    let folder = folder();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    for (name, content) in [
        ("empty.pyconc", &b""[..]),
        ("text.pyconc", b"Dear diary,\ntoday nothing was recorded.\n"),
        ("short.pyconc", b"p"),
        ("zeros.pyconc", &[0; 5000]),
        ("noise.pyconc", &[0xa5; 5000]),
    ] {
        std::fs::write(path(name), content).expect("own folder");
        run(&["report", &path(name)]).fails(exit::ERROR, &["recording", "recorded"]);
        let output = path("out.svg");
        run(&["export", &path(name), "-f", "flamegraph", "-o", &output])
            .fails(exit::ERROR, &["recording", "recorded"]);
        assert!(!Path::new(&output).exists(), "nothing is left behind");
    }
    let missing = path("missing.pyconc");
    run(&["report", &missing]).fails(exit::ERROR, &["missing.pyconc"]);
    run(&["report", &folder.path().to_string_lossy()]).fails(exit::ERROR, &["directory", "folder"]);
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let _shared = shared();
    let target = waiting();
    let mut command = pyconc::command(&["dump", "--pid", &target.pid()]);
    command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("pyconc runs");
    drop(child.stdout.take());
    let run = Run::of(child);
    assert_eq!(run.stderr, "", "code {:?}", run.code);
}
