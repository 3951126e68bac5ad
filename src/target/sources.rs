//! Lines of a program's source text, as far as the program itself may read them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::model::SourceLine;

use super::process::Process;

/// The largest file that is read, in bytes, and how many files of one recording.
const MOST_BYTES: u64 = 4 << 20;
const MOST_FILES: usize = 64;
/// How many lines one call may have, and the characters that are kept of it.
const MOST_LINES: usize = 6;
const MOST_CHARS: usize = 240;

impl Process {
    /// The text at some lines, each given by its file, as the interpreter names it, and number. Lines that
    /// cannot be read are left out.
    ///
    /// The target says which files these are, and may lie: only regular files are read that the
    /// target itself could read, so that a report never holds what its owner must not see.
    #[must_use]
    pub fn source_lines(&self, wanted: &[(&str, u32)]) -> Vec<SourceLine> {
        let mut files: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (file, line) in wanted {
            if files.len() < MOST_FILES || files.contains_key(file) {
                files.entry(file).or_default().push(*line);
            }
        }
        let mut found = Vec::new();
        for (file, numbers) in files {
            let Some(text) = self.source_path(file).and_then(|path| self.source_text(&path)) else {
                continue;
            };
            let lines: Vec<&str> = text.lines().collect();
            let told = numbers.into_iter().filter_map(|line| {
                let text = statement(&lines, line as usize)?;
                Some(SourceLine { file: file.into(), line, text: text.into() })
            });
            found.extend(told);
        }
        found
    }

    /// Where a file of the target's is for us: below its root, or its working directory. Of a process that
    /// has ended, below our own root.
    fn source_path(&self, file: &str) -> Option<PathBuf> {
        let path = Path::new(file);
        let live = self.live_pid().map(|pid| PathBuf::from(format!("/proc/{pid}")));
        match (path.strip_prefix("/"), live) {
            (Ok(below), Some(folder)) => Some(folder.join("root").join(below)),
            (Ok(_), None) => Some(path.to_owned()),
            (Err(_), Some(folder)) if !file.starts_with('<') => Some(folder.join("cwd").join(path)),
            (Err(_), _) => None,
        }
    }

    fn source_text(&self, path: &Path) -> Option<String> {
        let file = File::options()
            .read(true)
            // A pipe or a device in a file's place must not keep us waiting.
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
            .open(path)
            .ok()?;
        let about = file.metadata().ok()?;
        let readable = about.mode() & 0o004 != 0 || self.owner_uid() == Some(about.uid());
        if !about.is_file() || !readable {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The statement at a line, counted from one: the lines up to the one that closes its brackets.
fn statement(lines: &[&str], line: usize) -> Option<String> {
    let mut text = String::new();
    let mut open = 0i32;
    for part in lines.get(line.checked_sub(1)?..)?.iter().take(MOST_LINES) {
        let part = part.trim();
        if !text.is_empty()
            && !text.ends_with(['(', '[', '{'])
            && !part.starts_with([')', ']', '}'])
        {
            text.push(' ');
        }
        text.push_str(part);
        open += part.matches(['(', '[', '{']).count() as i32;
        open -= part.matches([')', ']', '}']).count() as i32;
        if open <= 0 {
            break;
        }
    }
    let text: String = text.chars().take(MOST_CHARS).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::statement;
    use crate::target::testing::Program;

    #[test]
    fn a_call_over_several_lines_is_one_statement() {
        let text = ["def f():", "    x = call(", "        1,", "        2,", "    )", "", "y = 1"];
        assert_eq!(statement(&text, 1).as_deref(), Some("def f():"));
        assert_eq!(statement(&text, 2).as_deref(), Some("x = call(1, 2,)"));
        assert_eq!(statement(&text, 7).as_deref(), Some("y = 1"));
        assert_eq!(statement(&text, 6), None);
        assert_eq!(statement(&text, 0), None);
        assert_eq!(statement(&text, 8), None);
    }

    #[test]
    fn only_regular_files_that_the_target_may_read_are_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.py");
        std::fs::write(&file, "import time\ntime.sleep(1)\n").unwrap();
        let name = file.to_str().unwrap().to_owned();
        let program = Program::python("print('ready'); input()");
        let process = program.process();
        let lines =
            process.source_lines(&[(&name, 2), (&name, 9), ("/dev/zero", 1), ("<string>", 1)]);
        assert_eq!(lines.len(), 1);
        assert_eq!((&*lines[0].file, &*lines[0].text), (&*name, "time.sleep(1)"));
        let fifo = folder.path().join("fifo.py");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(process.source_lines(&[(fifo.to_str().unwrap(), 1)]).is_empty());
        if rustix::process::geteuid().is_root() {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            std::os::unix::fs::chown(&file, Some(65_534), None).unwrap();
            assert!(process.source_lines(&[(&name, 2)]).is_empty(), "another user's secret");
        }
    }
}
