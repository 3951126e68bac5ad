//! Newtypes for everything that would otherwise be a bare integer.

use serde::{Deserialize, Serialize};

/// A process id as the kernel of this namespace numbers it.
pub type Pid = i32;

/// A native thread id (`gettid`), the name of a folder in `/proc/PID/task`.
pub type Tid = i32;

/// An address in the target. Never dereferenced here, only handed to a memory reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Address(pub u64);

impl Address {
    /// The null pointer.
    pub const NULL: Self = Self(0);

    /// This address `bytes` further on; wraps, since a hostile target may hold any number.
    #[must_use]
    pub const fn offset(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// Whether this is the null pointer.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }
}

impl std::fmt::LowerHex for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::LowerHex::fmt(&self.0, f)
    }
}

/// A point on `CLOCK_MONOTONIC`, in nanoseconds, or a length of time on it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Nanos(pub u64);

impl Nanos {
    /// One second.
    pub const SECOND: Self = Self(1_000_000_000);
    /// One millisecond.
    pub const MILLISECOND: Self = Self(1_000_000);

    /// The time from `earlier` to this point; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// Adds a length; the sum of all that a file may claim stays a number.
    pub const fn add(&mut self, more: Self) {
        self.0 = self.0.saturating_add(more.0);
    }

    /// This length in seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The point half way between this one and `later`.
    #[must_use]
    pub const fn midpoint(self, later: Self) -> Self {
        Self(self.0.midpoint(later.0))
    }
}

impl From<std::time::Duration> for Nanos {
    fn from(length: std::time::Duration) -> Self {
        Self(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanos> for std::time::Duration {
    fn from(length: Nanos) -> Self {
        Self::from_nanos(length.0)
    }
}

/// Declares an index into one of the [`Tables`](super::Tables).
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        pub struct $name(pub u32);

        impl From<usize> for $name {
            fn from(index: usize) -> Self {
                Self(u32::try_from(index).unwrap_or(u32::MAX))
            }
        }

        impl From<$name> for usize {
            fn from(id: $name) -> Self {
                id.0 as Self
            }
        }
    };
}

id!(/// A [`Function`](super::Function) of the target.
    FunctionId);
id!(/// A line in a function: a [`Frame`](super::Frame).
    FrameId);
id!(/// A whole stack, by its innermost [`StackNode`](super::StackNode).
    StackId);
id!(/// A [`Descriptor`](super::Descriptor) of the target.
    DescriptorId);
id!(/// A short text: the name of a probe, or the reason of an `unknown`.
    LabelId);
id!(/// What a thread did at a sample: a [`State`](super::State).
    StateId);
id!(/// A thread of the recording. Unlike a [`Tid`] it is never given out twice.
    ThreadId);

impl StackId {
    /// The stack without frames.
    pub const EMPTY: Self = Self(0);
}
