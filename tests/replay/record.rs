//! Recording an image: run by `tests/images/record.sh`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pyconc::sampler::monotonic_now;
use pyconc::target::{Image, LiveMemory, Process, RecordedMemory, Recorder};

use super::moment::moment;

/// How often it is tried to see all threads at rest: one that waits for the GIL wakes at times.
const ATTEMPTS: usize = 100;

/// Ends the program with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "writes tests/images; run by record.sh there"]
fn record() {
    let (python, name) = (variable("PYCONC_IMAGE_PYTHON"), variable("PYCONC_IMAGE"));
    let program = start(&python, &variable("PYCONC_IMAGE_PROGRAM"));
    let process = Process::open(program.0.id() as i32).expect("the program runs");
    let (image, text) = (0..ATTEMPTS)
        .find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            take(&process)
        })
        .expect("all threads are at rest at some time");
    let path = Path::new(super::IMAGES).join(format!("{name}.image"));
    image.save(File::create(&path).expect("it can be written")).expect("it can be written");
    std::fs::write(path.with_extension("expected"), &text).expect("it can be written");
    assert_eq!(super::replay(&path), text, "the image is not the process");
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn start(python: &str, script: &str) -> Program {
    let mut command = Command::new(python);
    // Images are public: nothing of this machine's environment may be in them.
    command.args(["-X", "utf8", "-B", script]).env_clear();
    // Some interpreters know their library by the path where it was built.
    command.env("LD_LIBRARY_PATH", "/usr/local/lib").env("HOME", "/srv");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn().expect("Python starts");
    let mut program = Program(child);
    let output = program.0.stdout.take().expect("it is piped");
    let line = BufReader::new(output).lines().next().expect("it says something").expect("as text");
    assert_eq!(line, "ready");
    std::thread::sleep(std::time::Duration::from_secs(2));
    program
}

/// An image of the process, and its text; `None` when a thread moved meanwhile.
///
/// A stop hides what the kernel tells of a thread, and without one memory changes while it is
/// copied. So the files are read first and the memory after a stop; where both together say what
/// the running process says, they belong together.
fn take(process: &Process) -> Option<(Image, String)> {
    let time = monotonic_now();
    let live = std::panic::catch_unwind(|| moment(process.clone(), time)).ok()?;
    let image = Image::of_files(process, time).expect("it lives");
    let files = image.unpack().expect("its files can be written");
    let pid = Pid::from_raw(process.pid());
    kill(pid, Signal::SIGSTOP).expect("it lives");
    let recorder = Arc::new(Recorder::new(LiveMemory::new(process.pid())));
    let stopped = Process::replay(&files, Arc::clone(&recorder).into()).expect("it lives");
    let text = std::panic::catch_unwind(|| moment(stopped, time)).ok();
    kill(pid, Signal::SIGCONT).expect("it lives");
    let mut pieces = recorder.recorded();
    pieces.values_mut().for_each(|bytes| blank(bytes, variable("PYCONC_IMAGE_BUILT").as_bytes()));
    let memory = RecordedMemory::new(pieces);
    (text? == live).then_some((Image { memory, ..image }, live))
}

/// Overwrites the path of this machine under which an interpreter was built.
fn blank(bytes: &mut [u8], path: &[u8]) {
    while let Some(found) = bytes.windows(path.len()).position(|window| window == path) {
        bytes[found..found + path.len()].fill(b'.');
    }
}
