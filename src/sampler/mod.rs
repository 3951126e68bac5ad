//! Evidence, at a pace. Invariant: stamps the time, which nothing after it reads; judges nothing.

mod holders;
mod legacy;
mod locks;
mod loops;
mod owners;
mod pace;
mod process;
mod schedule;
mod surroundings;
mod symbols;
mod tasks;
mod thread;
mod threads;
mod waits;
mod woken;

pub use self::pace::{
    Pace, Tick, monotonic_now, own_cpu_time, own_thread_cpu_time, raise_priority,
};
pub use self::process::{AttachError, ProcessSampler, Stopped};
pub use self::surroundings::SurroundingsSampler;
pub use self::tasks::{TaskSampler, TasksError};
