//! Whether a process shares a namespace with us: what it calls by a number may be something else here.

use super::process::Process;

impl Process {
    /// Whether its namespace of this kind (`net`, `pid`, `time`) is ours. Where the kernel has no
    /// such namespaces there is but one.
    pub(super) fn shares_namespace(&self, kind: &str) -> bool {
        let name = format!("ns/{kind}");
        let its = rustix::fs::readlinkat(self.folder(), &name, Vec::new()).ok();
        let ours = rustix::fs::readlink(format!("/proc/self/{name}"), Vec::new()).ok();
        its == ours
    }
}

#[cfg(test)]
mod tests {
    use crate::target::Process;

    #[test]
    fn we_share_all_with_ourselves() {
        let process = Process::open(std::process::id() as i32).unwrap();
        for kind in ["net", "pid", "time", "never heard of"] {
            assert!(process.shares_namespace(kind), "{kind}");
        }
    }
}
