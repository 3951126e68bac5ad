//! The two levels of classification: four tags, twelve causes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The first level: exclusive, and given to every sample of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tag {
    /// The thread runs an event loop whose current step has lasted longer than the threshold.
    EventLoopBlocking,
    /// The thread wants the GIL and another thread has it.
    GilContended,
    /// The thread waits in the kernel for anything else.
    IdleWaiting,
    /// The thread is on a CPU, or ready for one.
    Running,
}

impl Tag {
    /// All tags, in the order in which they are shown.
    pub const ALL: [Self; 4] =
        [Self::EventLoopBlocking, Self::GilContended, Self::IdleWaiting, Self::Running];

    /// The stable name that files, filters and reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventLoopBlocking => "event-loop-blocking",
            Self::GilContended => "gil-contended",
            Self::IdleWaiting => "idle-waiting",
            Self::Running => "running",
        }
    }
}

/// The second level: exclusive, what a thread did or waited for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// On a CPU, attached to the interpreter: runs Python, or C code that keeps the GIL.
    Python,
    /// On a CPU, detached from the interpreter: C code that released the GIL.
    Native,
    /// Ready to run, waits for a CPU.
    CpuWait,
    /// Waits for the GIL (on free-threaded builds: for the world to start again).
    Gil,
    /// Waits for a lock, condition, semaphore, event or queue.
    Lock,
    /// Waits for an answer from a socket.
    Network,
    /// Waits for a file or a block device.
    Disk,
    /// Waits for a pipe, an eventfd, a unix socket or a multiprocessing connection.
    Pipe,
    /// Waits for a child process.
    Child,
    /// Sleeps.
    Sleep,
    /// Idle by design: an event loop in its own selector, a worker without work, a server
    /// without requests, a main thread that joins its workers.
    Parked,
    /// Not known; the state's note says why.
    Unknown,
}

impl Cause {
    /// All causes, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::Python,
        Self::Native,
        Self::CpuWait,
        Self::Gil,
        Self::Lock,
        Self::Network,
        Self::Disk,
        Self::Pipe,
        Self::Child,
        Self::Sleep,
        Self::Parked,
        Self::Unknown,
    ];

    /// The stable name that files, filters and reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Native => "native",
            Self::CpuWait => "cpu-wait",
            Self::Gil => "gil",
            Self::Lock => "lock",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Pipe => "pipe",
            Self::Child => "child",
            Self::Sleep => "sleep",
            Self::Parked => "parked",
            Self::Unknown => "unknown",
        }
    }

    /// The tag of a sample with this cause when no event loop is held up by it.
    ///
    /// `None` for [`Cause::Unknown`], whose tag depends on whether the thread was blocked.
    #[must_use]
    pub const fn tag(self) -> Option<Tag> {
        match self {
            Self::Python | Self::Native | Self::CpuWait => Some(Tag::Running),
            Self::Gil => Some(Tag::GilContended),
            Self::Unknown => None,
            _ => Some(Tag::IdleWaiting),
        }
    }

    /// Whether the thread waits for something that it asked for: neither for the GIL or a CPU, nor
    /// idle by design.
    #[must_use]
    pub const fn is_wait(self) -> bool {
        matches!(self.tag(), Some(Tag::IdleWaiting)) && !matches!(self, Self::Parked)
    }

    /// Whether a thread computes, or is ready to.
    #[must_use]
    pub const fn is_work(self) -> bool {
        matches!(self, Self::Python | Self::Native | Self::CpuWait)
    }

    /// Whether a thread wants to run, and is kept from it by other threads or processes.
    #[must_use]
    pub const fn is_want(self) -> bool {
        matches!(self, Self::Gil | Self::CpuWait)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Tag};

    #[test]
    fn names_are_those_that_serde_writes() {
        for tag in Tag::ALL {
            assert_eq!(serde_json::json!(tag), tag.name());
        }
        for cause in Cause::ALL {
            assert_eq!(serde_json::json!(cause), cause.name());
        }
    }
}
