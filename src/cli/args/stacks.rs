//! Stacks and their formats, which `record` and `export` share.

use clap::{Args, ValueEnum};

use crate::output::StackOptions;

/// What stacks to show, and how.
#[derive(Debug, Args)]
pub(in crate::cli) struct Stacks {
    /// Begin each stack with its thread
    #[arg(long)]
    pub threads: bool,
    /// End each stack with its cause
    #[arg(long)]
    pub causes: bool,
    /// Include threads that are idle by design
    #[arg(short, long)]
    pub idle: bool,
    /// Only samples that have the GIL or run Python
    #[arg(short, long)]
    pub gil: bool,
    /// Await chains of asyncio's tasks, in milliseconds, by what the tasks wait for
    #[arg(long)]
    pub tasks: bool,
    /// One frame per function, not per line
    #[arg(long)]
    pub function: bool,
    /// Leave line numbers out
    #[arg(long)]
    pub nolineno: bool,
    /// Show whole paths
    #[arg(long)]
    pub full_filenames: bool,
}

impl Stacks {
    pub(in crate::cli) fn options(&self) -> StackOptions {
        StackOptions {
            threads: self.threads,
            causes: self.causes,
            idle: self.idle,
            gil_only: self.gil,
            tasks: self.tasks,
            by_function: self.function,
            line_numbers: !self.nolineno && !self.function,
            full_filenames: self.full_filenames,
            ..StackOptions::default()
        }
    }
}

/// A format of `record` and `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum StackFormat {
    /// pyconc's own recording, from which all else can be made
    Pyconc,
    /// An SVG to click through
    Flamegraph,
    /// A line per stack, for other tools
    Folded,
    /// For speedscope: each thread's stacks in the order of time
    Speedscope,
    /// For pprof: samples, wall, CPU, GIL and lock time by stack, with labels
    Pprof,
    /// For chrome://tracing and Perfetto: what each thread did when, as JSON
    #[value(name = "chrometrace")]
    ChromeTrace,
    /// For Firefox Profiler: samples, and markers of waits, blocks and collections
    Gecko,
    /// For Perfetto: what each thread did when, with counters
    Perfetto,
    /// For scripts: a JSON object a line for each time in which a thread did the same
    Jsonl,
}

impl StackFormat {
    /// The suffixes of its files, the usual one first.
    pub(in crate::cli) const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Pyconc => &["pyconc"],
            Self::Flamegraph => &["svg"],
            Self::Folded => &["folded", "txt", "collapsed"],
            Self::Speedscope => &["speedscope.json"],
            Self::Pprof => &["pb.gz"],
            Self::ChromeTrace => &["trace.json"],
            Self::Gecko => &["gecko.json"],
            Self::Perfetto => &["perfetto-trace", "pftrace"],
            Self::Jsonl => &["jsonl"],
        }
    }

    /// Whether it can only be made of a recording, which is read twice for it.
    pub(in crate::cli) const fn needs_recording(self) -> bool {
        !matches!(self, Self::Pyconc | Self::Flamegraph | Self::Folded)
    }
}
