//! For how long a thread has been asleep, by the scheduler's own clock.
//!
//! `/proc/PID/task/TID/sched` (of kernels with `CONFIG_SCHED_DEBUG`) tells when a thread was last
//! charged for CPU time. That clock is each CPU's own, since it stands still during interrupts and
//! while a hypervisor has the CPU: so it is compared with our own on the same CPU, where we go for
//! a moment.

use std::fs::File;
use std::io::Read;
use std::time::Instant;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid as Number;
use rustc_hash::FxHashMap;

use crate::model::{Nanos, Tid};

use super::process::Process;
use super::stat::Stat;

/// The most bytes of a file that are read.
const LONGEST: u64 = 8192;

/// The clocks of the CPUs that threads were last seen on.
pub(super) struct SleepClocks<'a> {
    process: &'a Process,
    /// What each said, and when.
    read: FxHashMap<usize, Option<(Nanos, Instant)>>,
}

impl<'a> SleepClocks<'a> {
    pub(super) fn new(process: &'a Process) -> Self {
        Self { process, read: FxHashMap::default() }
    }

    /// How long a thread that sleeps has done so; `None` where the kernel does not tell.
    pub(super) fn asleep_for(&mut self, tid: Tid) -> Option<Nanos> {
        let text = |name: &str| read(self.process.file(&format!("task/{tid}/{name}")).ok()?);
        let last = charged(&text("sched")?)?;
        let cpu = Stat::parse(&text("stat")?)?.cpu?;
        let (then, read_at) = (*self.read.entry(cpu).or_insert_with(|| clock_of(cpu)))?;
        let elapsed = u64::try_from(read_at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Some(Nanos(then.0.saturating_add(elapsed)).since(last))
    }
}

fn read(file: File) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).ok().map(|_| bytes)
}

/// `se.exec_start`, in milliseconds with six decimals.
fn charged(text: &[u8]) -> Option<Nanos> {
    let text = std::str::from_utf8(text).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("se.exec_start"))?;
    let (whole, parts) = line.trim_start_matches([' ', ':']).trim_end().split_once('.')?;
    let parts = parts.get(..6)?;
    let nanos = whole.parse::<u64>().ok()?.checked_mul(1_000_000)?;
    nanos.checked_add(parts.parse().ok()?).map(Nanos)
}

/// What the clock of a CPU says, by having us run there.
fn clock_of(cpu: usize) -> Option<(Nanos, Instant)> {
    let home = sched_getaffinity(Number::from_raw(0)).ok()?;
    let mut there = CpuSet::new();
    there.set(cpu).ok()?;
    sched_setaffinity(Number::from_raw(0), &there).ok()?;
    let own = File::open("/proc/thread-self/sched").ok().and_then(read);
    let now = Instant::now();
    // Where we came from we may go back to.
    let _ = sched_setaffinity(Number::from_raw(0), &home);
    Some((charged(&own?)?, now))
}

#[cfg(test)]
mod tests {
    use super::{SleepClocks, charged};
    use crate::model::Nanos;
    use crate::target::testing::{Program, eventually};

    #[test]
    fn the_time_is_read_with_its_decimals() {
        let text =
            b"x (1, #threads: 1)\n---\nse.exec_start    :      29568224.549217\nse.v : 1.0\n";
        assert_eq!(charged(text), Some(Nanos(29_568_224_549_217)));
        assert_eq!(charged(b"se.exec_start : 12"), None);
        assert_eq!(charged(b"se.exec_start : 99999999999999999999.000000"), None);
        assert_eq!(charged(b""), None);
    }

    #[test]
    fn a_sleep_grows_as_time_goes_by() {
        if super::clock_of(0).is_none() {
            // This kernel does not tell.
            return;
        }
        let program = Program::python("import time; print('ready'); time.sleep(60)");
        let process = program.process();
        let asleep = || SleepClocks::new(&process).asleep_for(process.pid());
        let seen = eventually(|| match asleep() {
            Some(length) if length.0 > 300_000_000 => Ok(length),
            other => Err(other),
        });
        assert!(seen.unwrap().seconds() < 10.0);
    }
}
