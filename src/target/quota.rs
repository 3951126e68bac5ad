//! What a process's control groups allow: the CPU quota, what it kept them from, and memory.

use std::io::Read;
use std::path::{Path, PathBuf};

use procfs::process::{MountInfo, MountInfos};
use procfs::{FromRead, ProcessCGroups};

use crate::model::Nanos;

/// Finds a number in a group's folder.
type Number = fn(&Path) -> Option<f64>;

/// How much text is read of a list of groups or mounts.
const MOST_TEXT: u64 = 4 << 20;

/// The strictest quota, in CPUs, of the groups listed in `groups` (a process's `cgroup` file)
/// and of all groups above them that can be seen; `None` when none sets one.
pub(super) fn cpu_quota(groups: impl Read) -> Option<f64> {
    strictest_of(groups, "cpu", [unified_quota, first_quota])
}

/// For how long the groups' quotas have kept their processes from the CPU so far; `None` where no
/// group counts that.
pub(super) fn throttled(groups: impl Read) -> Option<Nanos> {
    let seconds = strictest_of(groups, "cpu", [unified_throttled, first_throttled])?;
    Some(Nanos::from(std::time::Duration::try_from_secs_f64(-seconds).ok()?))
}

/// The memory in bytes that the groups leave to their processes; `None` where none has a limit.
pub(super) fn memory_left(groups: impl Read) -> Option<u64> {
    strictest_of(groups, "memory", [unified_memory, first_memory]).map(|bytes| bytes as u64)
}

/// The memory in bytes that the machine can still give.
pub(super) fn memory_available() -> Option<u64> {
    let text = std::fs::File::open("/proc/meminfo").ok()?;
    procfs::Meminfo::from_read(text.take(MOST_TEXT)).ok()?.mem_available
}

/// The least number that a group listed in `groups`, or one above it, has for a controller; `read`
/// finds it in a group's folder, in version 2 and in version 1.
fn strictest_of(groups: impl Read, controller: &str, read: [Number; 2]) -> Option<f64> {
    let groups = ProcessCGroups::from_read(groups.take(MOST_TEXT)).ok()?;
    let mounts = std::fs::File::open("/proc/self/mountinfo").ok()?;
    let mounts = MountInfos::from_read(mounts.take(MOST_TEXT)).ok()?;
    let [of_second, of_first] = read;
    let numbers = groups.into_iter().filter_map(|group| {
        let unified = group.controllers.is_empty();
        let counts = unified || group.controllers.iter().any(|name| name == controller);
        let is_its = |mount: &&MountInfo| counts && is_mount_of(mount, unified, controller);
        let mount = mounts.0.iter().find(is_its)?;
        let read = if unified { of_second } else { of_first };
        strictest(&mount.mount_point, relative(&group.pathname, &mount.root), read)
    });
    numbers.reduce(f64::min)
}

fn is_mount_of(mount: &MountInfo, unified: bool, controller: &str) -> bool {
    match mount.fs_type.as_str() {
        "cgroup2" => unified,
        "cgroup" => !unified && mount.super_options.contains_key(controller),
        _ => false,
    }
}

/// The group's path below what is mounted; the mount itself when the group is elsewhere, as for a
/// process of another container.
fn relative<'a>(group: &'a str, root: &str) -> &'a Path {
    let below = Path::new(group).strip_prefix(root).unwrap_or(Path::new(""));
    // A group outside our own cgroup namespace is written with dots.
    if below.components().any(|part| part.as_os_str() == "..") { Path::new("") } else { below }
}

fn strictest(mount: &Path, group: &Path, quota: Number) -> Option<f64> {
    let folders = group.ancestors().map(|folder| mount.join(folder));
    folders.filter_map(|folder| quota(&folder)).reduce(f64::min)
}

/// Version 2: `cpu.max` holds quota and period in microseconds, or `max` for no quota.
fn unified_quota(folder: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(folder.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    ratio(quota, period)
}

/// Version 1: two files, and -1 for no quota.
fn first_quota(folder: &Path) -> Option<f64> {
    let text = |name: &str| -> Option<String> {
        let path: PathBuf = folder.join(name);
        std::fs::read_to_string(path).ok()
    };
    ratio(&text("cpu.cfs_quota_us")?, &text("cpu.cfs_period_us")?)
}

/// Version 2: `cpu.stat`, in microseconds. As a negative number of seconds, so that the group that
/// was kept back longest counts.
fn unified_throttled(folder: &Path) -> Option<f64> {
    Some(-counter(&folder.join("cpu.stat"), "throttled_usec")? / 1e6)
}

/// Version 1: the same in nanoseconds.
fn first_throttled(folder: &Path) -> Option<f64> {
    Some(-counter(&folder.join("cpu.stat"), "throttled_time")? / 1e9)
}

fn unified_memory(folder: &Path) -> Option<f64> {
    difference(&folder.join("memory.max"), &folder.join("memory.current"))
}

fn first_memory(folder: &Path) -> Option<f64> {
    difference(&folder.join("memory.limit_in_bytes"), &folder.join("memory.usage_in_bytes"))
}

/// The number behind a name in a file of names and numbers.
fn counter(file: &Path, name: &str) -> Option<f64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line?.trim().parse().ok()
}

/// What is left of a limit; `None` when there is none.
fn difference(limit: &Path, used: &Path) -> Option<f64> {
    let number = |file: &Path| std::fs::read_to_string(file).ok()?.trim().parse::<f64>().ok();
    // Without a limit, version 2 says `max` and version 1 a number that no memory has.
    let limit = number(limit).filter(|limit| *limit < 1e18)?;
    Some((limit - number(used)?).max(0.0))
}

fn ratio(quota: &str, period: &str) -> Option<f64> {
    let quota: f64 = quota.trim().parse().ok()?;
    let period: f64 = period.trim().parse().ok()?;
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{first_quota, relative, strictest, unified_quota};

    #[test]
    fn the_strictest_group_on_the_way_to_the_root_counts() {
        let mount = tempfile::tempdir().unwrap();
        let group = mount.path().join("a/b");
        fs::create_dir_all(&group).unwrap();
        assert_eq!(strictest(mount.path(), Path::new("a/b"), unified_quota), None);
        fs::write(group.join("cpu.max"), "max 100000\n").unwrap();
        fs::write(mount.path().join("a/cpu.max"), "150000 100000\n").unwrap();
        fs::write(mount.path().join("cpu.max"), "400000 100000\n").unwrap();
        assert_eq!(strictest(mount.path(), Path::new("a/b"), unified_quota), Some(1.5));
        assert_eq!(strictest(mount.path(), Path::new(""), unified_quota), Some(4.0));

        fs::write(group.join("cpu.cfs_quota_us"), "-1\n").unwrap();
        fs::write(group.join("cpu.cfs_period_us"), "100000\n").unwrap();
        assert_eq!(first_quota(&group), None);
        fs::write(group.join("cpu.cfs_quota_us"), "50000\n").unwrap();
        assert_eq!(first_quota(&group), Some(0.5));
    }

    #[test]
    fn a_group_tells_how_long_it_was_kept_back_and_what_memory_is_left() {
        let group = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(group.path().join(file), text).unwrap();
        assert_eq!(super::unified_throttled(group.path()), None);
        write("cpu.stat", "usage_usec 7\nthrottled_usec 2500000\n");
        assert_eq!(super::unified_throttled(group.path()), Some(-2.5));
        write("memory.current", "300\n");
        write("memory.max", "max\n");
        assert_eq!(super::unified_memory(group.path()), None);
        write("memory.max", "1000\n");
        assert_eq!(super::unified_memory(group.path()), Some(700.0));
    }

    #[test]
    fn a_group_is_found_below_what_is_mounted() {
        assert_eq!(relative("/docker/1/x", "/docker/1"), Path::new("x"));
        assert_eq!(relative("/a", "/"), Path::new("a"));
        assert_eq!(relative("/other", "/docker/1"), Path::new(""));
        assert_eq!(relative("/../../x", "/"), Path::new(""));
    }
}
