//! What `top` takes.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Probes, Target};
use crate::cli::values::{parse_duration, parse_rate};

/// A view of `top`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum TopView {
    /// Tags, causes, findings, advice
    Overview,
    /// What each thread does
    Threads,
    /// Which functions take the time
    Functions,
    /// The flame graph
    Flame,
    /// Event loops and tasks
    Tasks,
    /// Locks, and who waits for them
    Locks,
    /// All findings
    Findings,
    /// The process, and with --subprocesses its children
    Processes,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Top {
    /// Process to attach to, or recording to replay [default: choose a process]
    #[arg(value_name = "FILE|PID", conflicts_with_all = ["pid", "launch"])]
    pub subject: Option<OsString>,
    #[command(flatten)]
    pub target: Target,
    /// Samples a second: a number, 1k, or max
    #[arg(short, long, value_name = "HZ", default_value = "100", value_parser = parse_rate)]
    pub rate: f64,
    /// From which length on a step of an event loop blocks it
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_duration)]
    pub threshold: Duration,
    /// How much of the past is shown
    #[arg(short, long, value_name = "TIME", default_value = "10", value_parser = parse_duration)]
    pub window: Duration,
    /// How much of the past is kept, to be looked at and saved
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    pub keep: Duration,
    /// Show its child processes, too, as they come
    #[arg(long)]
    pub subprocesses: bool,
    /// View to begin with
    #[arg(long, value_name = "VIEW", default_value = "overview")]
    pub view: TopView,
    /// Print one screen of a window as text, and end
    #[arg(long)]
    pub once: bool,
    /// Print the report of a window as JSON (schema pyconc.report/1), and end
    #[arg(long, conflicts_with = "once")]
    pub json: bool,
    /// Stop the target for each sample: exact stacks, slow target
    #[arg(long)]
    pub blocking: bool,
    /// Plain text; also with NO_COLOR set
    #[arg(long)]
    pub no_color: bool,
    #[command(flatten)]
    pub catalogue: Probes,
}
