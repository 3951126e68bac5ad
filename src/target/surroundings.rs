//! What the kernel tells of a process beside its threads: children, memory, extension modules.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::model::{ChildProcess, Extension, Nanos, Pid, Surroundings};

use super::facts::named;
use super::process::Process;
use super::quota;
use super::stat::Stat;

/// Children that are told.
const MOST_CHILDREN: usize = 64;

/// Counters of a moment, which only grow.
#[derive(Debug, Clone, Default)]
pub struct FamilyAccounts {
    /// CPU time by child.
    children: BTreeMap<Pid, Nanos>,
    /// CPU time of the children that have ended and were waited for.
    reaped: Nanos,
    throttled: Option<Nanos>,
    /// Bytes that it wrote, and by how many calls.
    written: Option<(u64, u64)>,
}

impl FamilyAccounts {
    /// Those of a process now.
    #[must_use]
    pub fn of(process: &Process) -> Self {
        let time = |pid| Some((pid, stat_of(pid)?.cpu_time()));
        Self {
            children: process.children().into_iter().filter_map(time).collect(),
            reaped: process.stat().map_or(Nanos(0), |stat| stat.reaped_time()),
            throttled: process.file("cgroup").ok().and_then(quota::throttled),
            written: process.written(),
        }
    }
}

impl Process {
    /// What surrounds it, with what was used since `before`; without sources and peers. `None` when it has
    /// ended.
    #[must_use]
    pub fn surroundings(&self, before: &FamilyAccounts) -> Option<Surroundings> {
        let stat = self.stat().ok()?;
        let own = named(self.live_pid()?)?;
        let mut children_cpu = stat.reaped_time().since(before.reaped);
        let mut children = Vec::new();
        for pid in self.children() {
            let Some((stat, name)) = stat_of(pid).zip(named(pid)) else { continue };
            let then = before.children.get(&pid).copied().unwrap_or_default();
            let cpu = stat.cpu_time().since(then);
            children_cpu.add(cpu);
            // What a pool spawns says so in its command line.
            let same_program =
                name.command == own.command || name.command.contains("multiprocessing");
            children.push(ChildProcess {
                pid,
                command: name.command,
                cpu,
                resident: stat.resident_bytes(),
                same_program,
            });
        }
        children.sort_by_key(|child| (std::cmp::Reverse(child.cpu), child.pid));
        children.truncate(MOST_CHILDREN);
        let throttled = self.file("cgroup").ok().and_then(quota::throttled);
        let free = self.file("cgroup").ok().and_then(quota::memory_left);
        let available = quota::memory_available();
        Some(Surroundings {
            available: available.into_iter().chain(free).min(),
            throttled: throttled.zip(before.throttled).map(|(now, then)| now.since(then)),
            children_change: self.children().into_iter().collect::<BTreeSet<_>>()
                != before.children.keys().copied().collect(),
            children,
            children_cpu,
            written: self.written().zip(before.written).map(|((bytes, calls), (then, before))| {
                (bytes.saturating_sub(then), calls.saturating_sub(before))
            }),
            extensions: self.extensions(),
            ..Surroundings::default()
        })
    }

    /// The bytes that it has written, and by how many calls, from `/proc/PID/io`.
    fn written(&self) -> Option<(u64, u64)> {
        let text = std::io::read_to_string(self.file("io").ok()?).ok()?;
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        Some((number("wchar:")?, number("syscw:")?))
    }

    /// The extension modules that it has loaded from installed packages.
    fn extensions(&self) -> Vec<Extension> {
        let maps = self.maps().unwrap_or_default();
        let paths = maps.iter().filter_map(|mapping| mapping.path.as_deref());
        let found: BTreeSet<Extension> = paths.filter_map(extension).collect();
        found.into_iter().collect()
    }
}

/// The extension module that a file is, going by its name: `site-packages/PACKAGE/…/name.TAG.so`.
fn extension(path: &Path) -> Option<Extension> {
    let path = std::str::from_utf8(path.as_os_str().as_bytes()).ok()?;
    let inner = ["/site-packages/", "/dist-packages/"]
        .iter()
        .find_map(|folder| path.rsplit_once(folder).map(|(_, rest)| rest))?;
    let (folder, file) = inner.rsplit_once('/').unwrap_or(("", inner));
    let stem = file.strip_suffix(".so")?;
    // Shared libraries that a package brings lie apart, and are no modules.
    if folder.ends_with(".libs") || file.starts_with("lib") {
        return None;
    }
    let (name, tag) = stem.split_once('.').unwrap_or((stem, ""));
    let package = folder.split('/').next().filter(|first| !first.is_empty()).unwrap_or(name);
    // `cpython-312-x86_64-linux-gnu` and `abi3`.
    let abi = match tag.strip_prefix("cpython-") {
        Some(rest) => format!("cp{}", rest.split('-').next().unwrap_or_default()),
        None => tag.to_owned(),
    };
    Some(Extension { package: package.into(), abi: abi.into() })
}

fn stat_of(pid: Pid) -> Option<Stat> {
    Stat::parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

impl Stat {
    fn cpu_time(&self) -> Nanos {
        ticks(self.user_time.saturating_add(self.system_time).saturating_add(self.reaped))
    }

    fn reaped_time(&self) -> Nanos {
        ticks(self.reaped)
    }

    fn resident_bytes(&self) -> u64 {
        self.resident.saturating_mul(rustix::param::page_size() as u64)
    }
}

/// Clock ticks as time.
fn ticks(ticks: u64) -> Nanos {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Nanos(ticks.saturating_mul(Nanos::SECOND.0 / per_second))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{FamilyAccounts, extension};
    use crate::target::testing::Program;

    #[test]
    fn a_files_name_tells_its_package_and_what_it_was_built_for() {
        let told = |path: &str| {
            let found = extension(Path::new(path));
            found.map(|it| format!("{} {}", it.package, it.abi))
        };
        let folder = "/v/lib/python3.12/site-packages";
        let numpy = format!("{folder}/numpy/_core/_umath.cpython-312-x86_64-linux-gnu.so");
        assert_eq!(told(&numpy).as_deref(), Some("numpy cp312"));
        let threads = format!("{folder}/x/y.cpython-313t-x86_64-linux-gnu.so");
        assert_eq!(told(&threads).as_deref(), Some("x cp313t"));
        let stable = format!("{folder}/cryptography/_rust.abi3.so");
        assert_eq!(told(&stable).as_deref(), Some("cryptography abi3"));
        let single = format!("{folder}/_cffi_backend.cpython-312-x86_64-linux-gnu.so");
        assert_eq!(told(&single).as_deref(), Some("_cffi_backend cp312"));
        assert_eq!(told(&format!("{folder}/numpy.libs/libopenblas-1.so")), None);
        assert_eq!(told("/usr/lib/x86_64-linux-gnu/libc.so.6"), None);
        assert_eq!(told("/v/lib/python3.12/lib-dynload/_json.cpython-312-x86_64.so"), None);
    }

    #[test]
    fn children_are_told_with_what_they_used_meanwhile() {
        let program = Program::python(
            "import subprocess, sys\n\
             p = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n\
             print('ready')\n\
             try: input()\n\
             finally: p.kill()",
        );
        let before = FamilyAccounts::of(&program.process());
        let used = loop {
            let found = program.process().surroundings(&before).unwrap();
            if found.children_cpu.0 > 20_000_000 {
                break found;
            }
        };
        assert_eq!(used.children.len(), 1);
        assert_eq!(used.children[0].cpu, used.children_cpu);
        assert!(used.children[0].command.contains("while True"), "{used:?}");
        assert!(used.children[0].resident > 1 << 20 && used.available.unwrap() > 1 << 20);
    }
}
