//! The command line's grammar. The comments are its help.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::values::{parse_duration, parse_pid, parse_rate};
use crate::output::StackOptions;
use crate::session::Options;

/// Says what holds a live Python process back, and which concurrency model would serve it.
#[derive(Debug, Parser)]
#[command(name = "pyconc", version, propagate_version = true, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Record a process into a file, for reports and flamegraphs
    Record(Record),
    /// Show live what holds a process back, or replay a recording
    Top(Top),
    /// Say what holds a process back: verdict, findings, recommendation
    Report(Report),
    /// Make a flamegraph of a recording, or a file for another tool
    Export(Export),
    /// Say what differs between recordings, and what of it is not chance
    Compare(Compare),
    /// Show once what every thread does and why it waits
    Dump(Dump),
    /// List the Python processes of this machine
    Ps(Ps),
    /// Say what pyconc may see here, and how to let it see more
    Doctor(Doctor),
    /// Say what a word of a report means, and what to do about it
    Explain(Explain),
}

/// A process to look at.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Process to attach to
    #[arg(short, long, value_name = "PID", conflicts_with = "launch", value_parser = parse_pid)]
    pub pid: Option<i32>,
    /// Command to run and observe; it is ended afterwards
    #[arg(last = true, value_name = "CMD")]
    pub launch: Vec<OsString>,
}

/// How to sample.
#[derive(Debug, Args)]
pub(super) struct Sampling {
    /// Samples a second: a number, 1k, or max
    #[arg(short, long, value_name = "HZ", default_value = "100", value_parser = parse_rate)]
    pub rate: f64,
    /// How long: 30, 100ms, 5m [default: until ^C, or the end; report PID: 10 s]
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// From which length on a step of an event loop blocks it
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_duration)]
    pub threshold: Duration,
    /// Stop the target for each sample: exact stacks, slow target
    #[arg(long)]
    pub blocking: bool,
}

impl Sampling {
    pub(super) fn options(&self) -> Options {
        Options {
            rate: self.rate,
            duration: self.duration,
            threshold: self.threshold,
            blocking: self.blocking,
            launched: false,
        }
    }
}

/// The detection catalogue.
#[derive(Debug, Args)]
pub(super) struct Probes {
    /// Folder with probes of your own (*.toml), which go before those that are built in
    #[arg(long, value_name = "DIR")]
    pub probes: Option<PathBuf>,
}

/// What stacks to show, and how.
#[derive(Debug, Args)]
pub(super) struct Stacks {
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
    pub(super) fn options(&self) -> StackOptions {
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
pub(super) enum StackFormat {
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
    pub(super) const fn suffixes(self) -> &'static [&'static str] {
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
    pub(super) const fn needs_recording(self) -> bool {
        !matches!(self, Self::Pyconc | Self::Flamegraph | Self::Folded)
    }
}

#[derive(Debug, Args)]
pub(super) struct Record {
    /// Process to attach to
    #[arg(value_name = "PID", conflicts_with_all = ["pid", "launch"], value_parser = parse_pid)]
    pub positional: Option<i32>,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub sampling: Sampling,
    /// File to write [default: pyconc-PID-TIME.pyconc]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Format [default: by the file's suffix: .svg, .folded, .speedscope.json, .pb.gz, .trace.json,
    /// .gecko.json, .perfetto-trace, .jsonl, else a recording]
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<StackFormat>,
    #[command(flatten)]
    pub stacks: Stacks,
    #[command(flatten)]
    pub catalogue: Probes,
}

/// A format of `report`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// For a terminal
    Text,
    /// For scripts: schema pyconc.report/1
    Json,
    /// For a ticket or a pull request, in four sections
    #[value(alias = "md")]
    Markdown,
}

/// How severe a finding must be to fail the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// Any finding
    Info,
    /// Warnings and errors
    Warning,
    /// Errors
    Error,
}

#[derive(Debug, Args)]
pub(super) struct Report {
    /// Recording to read, or process to attach to
    #[arg(value_name = "FILE|PID", conflicts_with_all = ["pid", "launch"])]
    pub subject: Option<OsString>,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub sampling: Sampling,
    /// Format [default: by the output's suffix: .md, .json, else text]
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<ReportFormat>,
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print the JSON schema of -f json, and do nothing else
    #[arg(long)]
    pub schema: bool,
    /// Show all findings, not the three gravest alone
    #[arg(long)]
    pub all: bool,
    /// Exit with 3 when there is a finding at least this severe
    #[arg(long, value_name = "SEVERITY")]
    pub fail_on: Option<FailOn>,
    /// Plain text; also with NO_COLOR set
    #[arg(long)]
    pub no_color: bool,
    #[command(flatten)]
    pub catalogue: Probes,
}

/// A view of `top`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TopView {
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
pub(super) struct Top {
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

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Recording to read
    #[arg(value_name = "FILE")]
    pub recording: PathBuf,
    /// Format [default: by the output's suffix: .svg, .folded, .speedscope.json, .pb.gz, .trace.json,
    /// .gecko.json, .perfetto-trace, .jsonl, else flamegraph]
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<StackFormat>,
    /// File to write, - for standard output [default: beside the recording]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub stacks: Stacks,
    #[command(flatten)]
    pub catalogue: Probes,
}

/// A format of `compare`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CompareFormat {
    /// For a terminal
    Text,
    /// For scripts: schema pyconc.compare/1
    Json,
    /// For a comment on a pull request
    #[value(alias = "md")]
    Markdown,
    /// An SVG with the widths of AFTER: what grew is red, what shrank blue
    Flamegraph,
    /// The same with the widths of BEFORE, which shows what is gone
    FlamegraphBefore,
}

/// What fails the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CompareFailOn {
    /// Something is worse
    Regression,
    /// Anything differs by more than chance
    Any,
}

#[derive(Debug, Args)]
pub(super) struct Compare {
    /// Two recordings: before, and after
    #[arg(value_name = "BEFORE AFTER", num_args = 0..=2, conflicts_with_all = ["before", "after"])]
    pub recordings: Vec<PathBuf>,
    /// Recordings from before; four or more of each side tell runs' differences from chance
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "after")]
    pub before: Vec<PathBuf>,
    /// Recordings from after
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "before")]
    pub after: Vec<PathBuf>,
    /// Format [default: by the output's suffix: .md, .json, .svg, else text]
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<CompareFormat>,
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print the JSON schema of -f json, and do nothing else
    #[arg(long)]
    pub schema: bool,
    /// Exit with 3 on a regression, or on any difference that is more than chance
    #[arg(long, value_name = "WHAT")]
    pub fail_on: Option<CompareFailOn>,
    /// Plain text; also with NO_COLOR set
    #[arg(long)]
    pub no_color: bool,
    #[command(flatten)]
    pub catalogue: Probes,
}

#[derive(Debug, Args)]
pub(super) struct Dump {
    /// Process to attach to
    #[arg(value_name = "PID", conflicts_with_all = ["pid", "launch"], value_parser = parse_pid)]
    pub positional: Option<i32>,
    #[command(flatten)]
    pub target: Target,
    /// From which length on a step of an event loop blocks it
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_duration)]
    pub threshold: Duration,
    /// Stop the target for the snapshot: exact stacks
    #[arg(long)]
    pub blocking: bool,
    /// Show the event loops and their tasks, as a tree by who awaits whom
    #[arg(long)]
    pub tasks: bool,
    /// For scripts: schema pyconc.dump/1
    #[arg(long)]
    pub json: bool,
    /// Show whole paths
    #[arg(long)]
    pub full_filenames: bool,
    #[command(flatten)]
    pub catalogue: Probes,
}

#[derive(Debug, Args)]
pub(super) struct Ps {
    /// For scripts: an array of objects
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Process that is to be looked at
    #[arg(value_name = "PID", value_parser = parse_pid)]
    pub pid: Option<i32>,
    /// For scripts: an array of checks
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Id of a finding, verdict, tag, cause, model or probe, or the name of a package from PyPI
    /// [default: list what there is]
    #[arg(value_name = "ID", conflicts_with = "all")]
    pub id: Option<String>,
    /// Print the whole reference, as Markdown
    #[arg(long)]
    pub all: bool,
    /// For scripts: schema pyconc.explain/1
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub catalogue: Probes,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
