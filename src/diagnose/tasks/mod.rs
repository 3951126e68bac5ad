//! What a snapshot of tasks shows: deadlocks, waits that nothing ends, and how far they fan out.

mod deadlock;
mod fan_out;
#[cfg(test)]
mod fixture;
mod no_deadline;

pub use self::deadlock::{Deadlock, deadlocks};
pub use self::fan_out::{FanOut, fan_out};
pub use self::no_deadline::without_deadline;
