//! What is known of a process beside its threads: looked at now and then, and when a recording ends.

use serde::{Deserialize, Serialize};

use super::ids::{Nanos, Pid};

/// What is known of a process beside its threads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// How long after the recording's start it was looked.
    pub after: Nanos,
    /// Memory that it could still get, in bytes: the machine's, or what its control group leaves.
    pub available: Option<u64>,
    /// For how long its control group kept it from the CPU during the recording.
    pub throttled: Option<Nanos>,
    /// Its children and theirs, those that used most CPU time first.
    pub children: Vec<ChildProcess>,
    /// Whether they are others than those that it had when the recording began.
    pub children_change: bool,
    /// CPU time that children used during the recording, those that ended among them.
    pub children_cpu: Nanos,
    /// Bytes that it wrote to files, pipes and sockets during the recording, and by how many calls.
    pub written: Option<(u64, u64)>,
    /// What was seen of some of its workers, which were sampled beside it.
    pub workers: WorkerSight,
    /// The extension modules that it has loaded from installed packages.
    pub extensions: Vec<Extension>,
    /// Which processes of this machine it is connected to.
    pub peers: Vec<PeerProcess>,
    /// Lines of the program's own code that the recording names.
    pub sources: Vec<SourceLine>,
}

/// A child process, or a child's child.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildProcess {
    /// Its number.
    pub pid: Pid,
    /// Its command line.
    pub command: Box<str>,
    /// CPU time that it used during the recording.
    pub cpu: Nanos,
    /// The memory that it occupies, in bytes.
    pub resident: u64,
    /// Whether it runs the target's own program: a worker of a pool, or a fork.
    pub same_program: bool,
}

/// What was seen of processes that run the target's program for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSight {
    /// Samples of such processes.
    pub samples: u64,
    /// At how many of them a thread computed, or wanted to.
    pub working: u64,
    /// At how many of those it was at messages to or from other processes.
    pub messages: u64,
}

/// An extension module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Extension {
    /// The import package that it belongs to, as `numpy`.
    pub package: Box<str>,
    /// What it was built for, as its file says: `cp312`, `abi3`; empty where it does not.
    pub abi: Box<str>,
}

/// The process behind an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerProcess {
    /// The address, as it is in the descriptors.
    pub address: Box<str>,
    /// Its number.
    pub pid: Pid,
    /// Its command line.
    pub command: Box<str>,
}

/// A line of source text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLine {
    /// The file, as the interpreter names it.
    pub file: Box<str>,
    /// The line, 1-based.
    pub line: u32,
    /// Its text without what surrounds it; lines that belong to one call are one.
    pub text: Box<str>,
}

impl Surroundings {
    /// The text of a line.
    #[must_use]
    pub fn source(&self, file: &str, line: u32) -> Option<&str> {
        let known = self.sources.iter().find(|it| it.line == line && &*it.file == file);
        known.map(|known| &*known.text)
    }

    /// How many bytes it wrote at a time, on average.
    #[must_use]
    pub fn mean_write(&self) -> Option<f64> {
        self.written
            .filter(|(_, calls)| *calls > 0)
            .map(|(bytes, calls)| bytes as f64 / calls as f64)
    }

    /// The process behind an address.
    #[must_use]
    pub fn peer(&self, address: &str) -> Option<&PeerProcess> {
        self.peers.iter().find(|peer| &*peer.address == address)
    }
}
