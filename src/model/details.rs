//! What more there is to say of a thread's wait than its kind.

use super::ids::{DescriptorId, Nanos, Pid};

/// A process, by its number and what it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessName {
    /// The number.
    pub pid: Pid,
    /// Its command line, or its name in brackets where it has none.
    pub command: Box<str>,
}

/// How long a system call may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLimit {
    /// So long in all: when it began is not known.
    Timeout(Nanos),
    /// So long from now on.
    Left(Nanos),
}

/// The child that a thread waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AwaitedChild {
    /// This one.
    One(ProcessName),
    /// Any of so many.
    AnyOf(usize),
}

/// What those at the other end of a descriptor can do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndRole {
    /// They can write what is read here.
    Writes,
    /// They can read what is written here.
    Reads,
    /// They have the socket that this one is connected to.
    Connected,
    /// They have the lock of the file.
    Locks,
    /// They have the listener that has not accepted this connection yet.
    Listens,
}

/// A descriptor that a thread waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwaitedDescriptor {
    /// The descriptor.
    pub descriptor: DescriptorId,
    /// The state of a TCP socket, as `ESTABLISHED`.
    pub tcp_state: Option<&'static str>,
    /// The path of a fifo.
    pub path: Option<Box<str>>,
    /// What the other end is; `None` when there is none, or none that can be told.
    pub role: Option<EndRole>,
    /// The processes that have the other end, the target itself first when it does.
    pub other_end: Vec<ProcessName>,
}

/// What more there is to say of a thread's wait, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitDetails {
    /// The system call's name.
    pub syscall: Option<&'static str>,
    /// For how long the thread has been asleep; some waits wake up in between.
    pub asleep: Option<Nanos>,
    /// How long it may wait.
    pub limit: Option<TimeLimit>,
    /// The child that it waits for.
    pub child: Option<AwaitedChild>,
    /// Whether it is a selector.
    pub selects: bool,
    /// The descriptors that it waits for; of many the first.
    pub descriptors: Vec<AwaitedDescriptor>,
}
