//! The CPU quota of a process's control groups.

use std::io::Read;
use std::path::{Path, PathBuf};

use procfs::process::{MountInfo, MountInfos};
use procfs::{FromRead, ProcessCGroups};

/// How much text is read of a list of groups or mounts.
const MOST_TEXT: u64 = 4 << 20;

/// The strictest quota, in CPUs, of the groups listed in `groups` (a process's `cgroup` file)
/// and of all groups above them that can be seen; `None` when none sets one.
pub(super) fn cpu_quota(groups: impl Read) -> Option<f64> {
    let groups = ProcessCGroups::from_read(groups.take(MOST_TEXT)).ok()?;
    let mounts = std::fs::File::open("/proc/self/mountinfo").ok()?;
    let mounts = MountInfos::from_read(mounts.take(MOST_TEXT)).ok()?;
    let quotas = groups.into_iter().flat_map(|group| {
        let unified = group.controllers.is_empty();
        let counts = unified || group.controllers.iter().any(|name| name == "cpu");
        let mount = mounts.0.iter().find(|mount| counts && is_mount_of(mount, unified));
        let quotas = mount.map(|mount| {
            let quota = if unified { unified_quota } else { first_quota };
            strictest(&mount.mount_point, relative(&group.pathname, &mount.root), quota)
        });
        quotas.flatten()
    });
    quotas.reduce(f64::min)
}

fn is_mount_of(mount: &MountInfo, unified: bool) -> bool {
    match mount.fs_type.as_str() {
        "cgroup2" => unified,
        "cgroup" => !unified && mount.super_options.contains_key("cpu"),
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

fn strictest(mount: &Path, group: &Path, quota: fn(&Path) -> Option<f64>) -> Option<f64> {
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
    fn a_group_is_found_below_what_is_mounted() {
        assert_eq!(relative("/docker/1/x", "/docker/1"), Path::new("x"));
        assert_eq!(relative("/a", "/"), Path::new("a"));
        assert_eq!(relative("/other", "/docker/1"), Path::new(""));
        assert_eq!(relative("/../../x", "/"), Path::new(""));
    }
}
