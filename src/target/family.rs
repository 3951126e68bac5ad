//! Where a process comes from.

use std::io::Read;

use crate::model::Pid;

use super::process::Process;

/// The longest auxiliary vector that is compared.
const LONGEST_VECTOR: u64 = 4096;

impl Process {
    /// The parent that this process was forked from, when it lives and neither has started another
    /// program since: the kernel gives each program that it starts an auxiliary vector with addresses
    /// chosen at random, and a fork copies it.
    #[must_use]
    pub fn forked_from(&self) -> Option<Pid> {
        let parent = self.stat().ok()?.parent;
        let own = vector(self)?;
        let other = Process::open(parent).ok().as_ref().and_then(vector)?;
        (own == other).then_some(parent)
    }
}

fn vector(process: &Process) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = process.file("auxv").ok()?;
    file.take(LONGEST_VECTOR).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use crate::target::Process;
    use crate::target::testing::Program;

    #[test]
    fn a_fork_is_told_from_another_program() {
        let child = "import os, time\nif os.fork(): time.sleep(60)\nprint('ready', flush=True)\ntime.sleep(60)";
        let program = Program::python(child);
        let process = program.process();
        assert_eq!(process.forked_from(), None, "this test is another program");
        let pid = process.pid();
        let child = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let child = Process::open(child.trim().parse().unwrap()).unwrap();
        assert_eq!(child.forked_from(), Some(pid));
        let number = nix::unistd::Pid::from_raw(child.pid());
        nix::sys::signal::kill(number, nix::sys::signal::SIGKILL).unwrap();
    }
}
