//! What the kernel permits us, and what stands in the way.

use std::fs;
use std::path::Path;

use procfs::FromRead;
use procfs::process::{MountInfos, Status};

use crate::model::Pid;

use super::kernel::evidence_of;
use super::process::{OpenError, Process};

/// One fact about this machine that decides what can be seen of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// A stable name.
    pub name: &'static str,
    /// Whether nothing is lost by it.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What would better it.
    pub fix: Option<String>,
}

/// Why a process may not be read, and what can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    /// What stands in the way.
    pub detail: String,
    /// What removes it.
    pub fix: String,
}

/// The bit of `CAP_SYS_PTRACE` in a mask of capabilities (`linux/capability.h`).
const CAP_SYS_PTRACE: u64 = 1 << 19;

const AS_ROOT: &str = "run pyconc with sudo (it needs CAP_SYS_PTRACE)";
const IN_CONTAINER: &str =
    "start the container with the capability SYS_PTRACE (docker run --cap-add SYS_PTRACE)";
const YAMA_OFF: &str = "or allow it until the next boot: sudo sysctl kernel.yama.ptrace_scope=0";
const YAMA_CHILD: &str = "or let pyconc start the program itself (pyconc … -- COMMAND)";

/// What there is to know of ourselves.
struct Own {
    uid: u32,
    capable: bool,
    filtered: bool,
    yama: u32,
    container: bool,
}

impl Own {
    fn read() -> Self {
        // Capabilities belong to a thread.
        let status = status_at("/proc/thread-self/status");
        let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
        Self {
            uid: rustix::process::geteuid().as_raw(),
            capable: status.as_ref().is_some_and(|status| status.capeff & CAP_SYS_PTRACE != 0),
            filtered: status.and_then(|status| status.seccomp).is_some_and(|mode| mode != 0),
            yama: yama.and_then(|text| text.trim().parse().ok()).unwrap_or(0),
            container: in_container(),
        }
    }

    /// The way to more rights from where we run.
    fn fix(&self) -> &'static str {
        if self.container { IN_CONTAINER } else { AS_ROOT }
    }
}

impl Denial {
    /// Finds out why `pid` may not be read.
    pub fn of(pid: Pid) -> Self {
        let own = Own::read();
        let owner = status_at(&format!("/proc/{pid}/status")).map(|status| status.euid);
        Self::why(&own, owner)
    }

    fn why(own: &Own, owner: Option<u32>) -> Self {
        let fix = own.fix();
        let (detail, fix) = match (own.capable, owner) {
            (true, _) if own.yama >= 3 => (
                "Yama forbids it to everybody (kernel.yama.ptrace_scope is 3)".to_owned(),
                "set kernel.yama.ptrace_scope to 2 or less in sysctl.conf and boot again"
                    .to_owned(),
            ),
            (true, _) => (
                "a seccomp filter, a security module (SELinux, AppArmor) or a user namespace \
                 forbids it although pyconc has CAP_SYS_PTRACE"
                    .to_owned(),
                format!("run pyconc outside the sandbox, or {IN_CONTAINER}"),
            ),
            (false, Some(owner)) if owner != own.uid => (
                format!("it belongs to user {owner}, and pyconc runs as user {}", own.uid),
                format!("run pyconc as the same user, or {fix}"),
            ),
            (false, _) if own.yama == 1 => (
                "Yama allows it for children only (kernel.yama.ptrace_scope is 1)".to_owned(),
                format!("{fix}, {YAMA_CHILD}, {YAMA_OFF}"),
            ),
            (false, _) if own.yama >= 2 => (
                format!("Yama reserves it for root (kernel.yama.ptrace_scope is {})", own.yama),
                fix.to_owned(),
            ),
            (false, _) => (
                "the process is protected (it changed its user, or asked for it), or a security \
                 module forbids it"
                    .to_owned(),
                fix.to_owned(),
            ),
        };
        Self { detail, fix }
    }

    /// The error that says so.
    pub fn into_error(self, pid: Pid) -> OpenError {
        OpenError::Permission { pid, detail: self.detail, fix: self.fix }
    }
}

/// Looks at this machine and at the process `pid`; without one, at ourselves, which shows what the
/// kernel offers but not what it permits.
#[must_use]
pub fn checks(pid: Option<Pid>) -> Vec<Check> {
    let own = Own::read();
    let mut checks = vec![kernel(), user(&own, pid), yama(&own), seccomp(&own), hidden(&own)];
    checks.push(Check {
        name: "container",
        ok: true,
        detail: if own.container { "pyconc runs in a container" } else { "none found" }.to_owned(),
        fix: None,
    });
    let pid = pid.unwrap_or_else(own_pid);
    let process = Process::open(pid);
    checks.push(match &process {
        Ok(_) => pass("memory", format!("the memory of process {pid} can be read")),
        Err(error) => {
            Check { name: "memory", ok: false, detail: error.to_string(), fix: error.hint() }
        }
    });
    if let Ok(process) = process {
        let evidence = evidence_of(&process);
        let files = [
            ("syscall", evidence.syscall, "why a thread waits cannot be told without it"),
            ("schedstat", evidence.schedstat, "waiting for a CPU cannot be told without it"),
        ];
        checks.extend(files.map(|(name, found, loss)| match found {
            Ok(()) => pass(name, format!("/proc/{pid}/task/{pid}/{name} can be read")),
            Err(reason) => Check {
                name,
                ok: false,
                detail: format!("{reason}; {loss}"),
                fix: Some(own.fix().to_owned()),
            },
        }));
    }
    checks
}

fn pass(name: &'static str, detail: String) -> Check {
    Check { name, ok: true, detail, fix: None }
}

fn kernel() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    pass("kernel", format!("Linux {} on {}", release.trim(), std::env::consts::ARCH))
}

fn user(own: &Own, pid: Option<Pid>) -> Check {
    let owner = pid.and_then(|pid| status_at(&format!("/proc/{pid}/status"))).map(|s| s.euid);
    let rights = if own.capable { "with" } else { "without" };
    let mut detail = format!("pyconc runs as user {}, {rights} CAP_SYS_PTRACE", own.uid);
    if let Some(owner) = owner {
        detail.push_str(&format!("; the process belongs to user {owner}"));
    }
    let ok = own.capable || owner.is_none_or(|owner| owner == own.uid);
    Check { name: "user", ok, detail, fix: (!ok).then(|| own.fix().to_owned()) }
}

fn yama(own: &Own) -> Check {
    let detail = match own.yama {
        0 => "no restriction, or no Yama",
        1 => "allows children only, and everything with CAP_SYS_PTRACE",
        2 => "allows nothing without CAP_SYS_PTRACE",
        _ => "allows nothing to anybody",
    };
    let ok = own.yama == 0 || (own.capable && own.yama < 3);
    let fix = (!ok).then(|| format!("{}, {YAMA_CHILD}, {YAMA_OFF}", own.fix()));
    Check { name: "yama", ok, detail: format!("ptrace_scope {}: {detail}", own.yama), fix }
}

fn seccomp(own: &Own) -> Check {
    let detail = if own.filtered { "pyconc's system calls are filtered" } else { "no filter" };
    pass("seccomp", detail.to_owned())
}

/// Whether `/proc` hides other users' processes (mount option `hidepid`).
fn hidden(own: &Own) -> Check {
    let mounts = fs::File::open("/proc/self/mountinfo").ok();
    let mounts = mounts.and_then(|file| MountInfos::from_read(file).ok());
    let mount = mounts.and_then(|mounts| {
        mounts.0.into_iter().find(|mount| mount.mount_point == Path::new("/proc"))
    });
    let option = mount.and_then(|mount| mount.super_options.get("hidepid").cloned().flatten());
    let hides = option.filter(|option| option != "0" && option != "off");
    let ok = hides.is_none() || own.capable;
    Check {
        name: "hidepid",
        ok,
        detail: match hides {
            None => "/proc shows the processes of all users".to_owned(),
            Some(option) => format!("/proc hides other users' processes (hidepid={option})"),
        },
        fix: (!ok).then(|| own.fix().to_owned()),
    }
}

fn in_container() -> bool {
    let marks = ["/.dockerenv", "/run/.containerenv"];
    let names = ["docker", "kubepods", "containerd", "libpod", "lxc"];
    let first = fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    marks.into_iter().any(|mark| Path::new(mark).exists())
        || names.into_iter().any(|name| first.contains(name))
}

fn own_pid() -> Pid {
    rustix::process::getpid().as_raw_pid()
}

fn status_at(path: &str) -> Option<Status> {
    Status::from_read(fs::File::open(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::{Denial, Own, checks};
    use crate::target::testing::Program;

    fn own(capable: bool, yama: u32, container: bool) -> Own {
        Own { uid: 1000, capable, filtered: false, yama, container }
    }

    #[test]
    fn a_denial_names_the_cause_and_a_fix_that_fits_it() {
        let cases = [
            (own(false, 1, false), Some(0), "belongs to user 0", "sudo"),
            (own(false, 1, false), Some(1000), "children only", "ptrace_scope=0"),
            (own(false, 2, true), Some(1000), "ptrace_scope is 2", "SYS_PTRACE"),
            (own(false, 0, false), Some(1000), "protected", "sudo"),
            (own(true, 3, false), Some(0), "everybody", "boot again"),
            (own(true, 0, true), Some(0), "seccomp", "SYS_PTRACE"),
        ];
        for (own, owner, detail, fix) in cases {
            let denial = Denial::why(&own, owner);
            assert!(denial.detail.contains(detail), "{denial:?}");
            assert!(denial.fix.contains(fix), "{denial:?}");
        }
    }

    #[test]
    fn a_child_of_ours_passes_and_a_missing_process_fails_with_its_error() {
        let program = Program::python("print('ready'); input()");
        let found = checks(Some(program.pid()));
        for name in ["kernel", "user", "memory", "syscall", "schedstat"] {
            let check = found.iter().find(|check| check.name == name).unwrap();
            assert!(check.ok, "{check:?}");
        }
        drop(program);
        let found = checks(Some(i32::MAX));
        let memory = found.iter().find(|check| check.name == "memory").unwrap();
        assert!(!memory.ok && memory.detail.contains("no process"), "{memory:?}");
    }
}
