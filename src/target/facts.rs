//! What the kernel tells of a process as a whole.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use nix::unistd;

use crate::model::{Nanos, Pid, ProcessName, Tid};

use super::maps;
use super::process::Process;
use super::quota;

/// How much of another process's command line is read, in bytes.
const LONGEST_COMMAND: u64 = 1024;

impl Process {
    /// The words of its command line; what is not UTF-8 is replaced. Empty when it cannot be read.
    #[must_use]
    pub fn command_line(&self) -> Vec<String> {
        words(&self.bytes("cmdline").unwrap_or_default())
    }

    /// The name that the kernel has for a thread (at most 15 bytes).
    #[must_use]
    pub fn thread_name(&self, tid: Tid) -> Option<String> {
        let bytes = self.bytes(&format!("task/{tid}/comm")).ok()?;
        Some(String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned())
    }

    /// How long ago it began, in steps of a clock tick; none when that cannot be told.
    #[must_use]
    pub fn age(&self) -> Option<Nanos> {
        self.live_pid()?;
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let now = Nanos::from(std::time::Duration::try_from(now).ok()?);
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        let began = u128::from(self.start_ticks()) * u128::from(Nanos::SECOND.0);
        Some(now.since(Nanos(u64::try_from(began / u128::from(per_second)).ok()?)))
    }

    /// Its children, and theirs.
    #[must_use]
    pub fn children(&self) -> Vec<Pid> {
        let live = self.live_pid().and_then(|pid| remoteprocess::Process::new(pid).ok());
        let found = live.and_then(|process| process.child_processes().ok());
        found.unwrap_or_default().into_iter().map(|(child, _parent)| child).collect()
    }

    /// How many CPUs it can use: what its affinity and the quotas of its cgroup and of the
    /// cgroups above allow; a fraction where a quota is one.
    #[must_use]
    pub fn usable_cpus(&self) -> f64 {
        let allowed = self.live_pid().map_or(1.0, affinity);
        let groups = self.file("cgroup").ok();
        groups.and_then(quota::cpu_quota).map_or(allowed, |quota| quota.min(allowed))
    }

    /// The memory that it occupies, in bytes; 0 when it has ended.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.stat()
            .map_or(0, |stat| stat.resident.saturating_mul(rustix::param::page_size() as u64))
    }

    /// The CPU time that all its threads have used, those that ended among them; 0 when it has ended.
    #[must_use]
    pub fn cpu_time(&self) -> Nanos {
        // The clock is exact to the nanosecond, `stat` to a tick.
        let clock = |pid| nix::time::clock_getcpuclockid(unistd::Pid::from_raw(pid)).ok();
        let clock = self.live_pid().and_then(clock);
        if let Some(time) = clock.and_then(|clock| clock.now().ok()) {
            return Nanos::from(std::time::Duration::from(time));
        }
        let ticks = self.stat().map_or(0, |stat| stat.user_time.saturating_add(stat.system_time));
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Nanos(ticks.saturating_mul(Nanos::SECOND.0 / per_second))
    }

    /// The file that it runs, as it sees it; empty when it cannot be told.
    #[must_use]
    pub fn executable(&self) -> PathBuf {
        let link = rustix::fs::readlinkat(self.folder(), "exe", Vec::new());
        let mut path = link.map(std::ffi::CString::into_bytes).unwrap_or_default();
        if path.ends_with(maps::DELETED) {
            path.truncate(path.len() - maps::DELETED.len());
        }
        PathBuf::from(std::ffi::OsString::from_vec(path))
    }

    /// The user whose rights it has; `None` when it has ended.
    #[must_use]
    pub fn owner_uid(&self) -> Option<u32> {
        self.status().ok().map(|status| status.euid)
    }
}

/// A process by its number, with its command line as far as anybody may read it; `None` when it has
/// ended.
pub(super) fn named(pid: Pid) -> Option<ProcessName> {
    let read = |file: &str| {
        let mut bytes = Vec::new();
        let file = File::open(format!("/proc/{pid}/{file}")).ok()?;
        file.take(LONGEST_COMMAND).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    let mut command = words(&read("cmdline")?).join(" ");
    if command.is_empty() {
        // A thread of the kernel, or a zombie: as `ps` shows them.
        let name = read("comm").unwrap_or_default();
        command = format!("[{}]", String::from_utf8_lossy(name.trim_ascii_end()));
    }
    Some(ProcessName { pid, command: command.into() })
}

/// The words of a command line.
fn words(bytes: &[u8]) -> Vec<String> {
    // A program that overwrites its title leaves a tail of zeros.
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let bytes = bytes.get(..end).unwrap_or_default();
    let words = bytes.split(|&byte| byte == 0).filter(|_| end > 0);
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// How many CPUs the scheduler may put a process on.
fn affinity(pid: Pid) -> f64 {
    let set = nix::sched::sched_getaffinity(unistd::Pid::from_raw(pid));
    let count = set.map_or(0, |set| {
        (0..nix::sched::CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).count()
    });
    if count > 0 {
        count as f64
    } else {
        std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Pid;
    use crate::target::testing::Program;

    #[test]
    fn children_are_found_with_theirs() {
        let mut program = Program::python(
            "import subprocess, sys\n\
             inner = 'import subprocess; p = subprocess.Popen([\"sleep\", \"60\"]); print(p.pid, flush=True); p.wait()'\n\
             p = subprocess.Popen([sys.executable, '-c', inner], stdout=subprocess.PIPE, text=True)\n\
             sleeper = int(p.stdout.readline())\n\
             print('ready')\n\
             print(p.pid, sleeper)\n\
             input()\n",
        );
        let line = program.line();
        let mut expected: Vec<Pid> = line.split(' ').map(|pid| pid.parse().unwrap()).collect();
        let mut found = program.process().children();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn affinity_bounds_the_usable_cpus() {
        let program = Program::python(
            "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print('ready'); input()",
        );
        let cpus = program.process().usable_cpus();
        assert!(cpus > 0.0 && cpus <= 1.0, "{cpus}");
    }
}
