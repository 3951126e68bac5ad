//! The command line's grammar. The comments are its help.

mod compare;
mod stacks;
mod top;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cli::values::{parse_duration, parse_pid, parse_rate};
use crate::session::Options;

pub(in crate::cli) use self::compare::{Compare, CompareFailOn, CompareFormat};
pub(in crate::cli) use self::stacks::{StackFormat, Stacks};
pub(in crate::cli) use self::top::{Top, TopView};

/// Says what holds a live Python process back, and which concurrency model would serve it.
#[derive(Debug, Parser)]
#[command(name = "pyconc", version, propagate_version = true, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(in crate::cli) command: Command,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
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
pub(in crate::cli) struct Target {
    /// Process to attach to
    #[arg(short, long, value_name = "PID", conflicts_with = "launch", value_parser = parse_pid)]
    pub pid: Option<i32>,
    /// Command to run and observe; it is ended afterwards
    #[arg(last = true, value_name = "CMD")]
    pub launch: Vec<OsString>,
}

/// How to sample.
#[derive(Debug, Args)]
pub(in crate::cli) struct Sampling {
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
    pub(in crate::cli) fn options(&self) -> Options {
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
pub(in crate::cli) struct Probes {
    /// Folder with probes of your own (*.toml), which go before those that are built in
    #[arg(long, value_name = "DIR")]
    pub probes: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Record {
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
pub(in crate::cli) enum ReportFormat {
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
pub(in crate::cli) enum FailOn {
    /// Any finding
    Info,
    /// Warnings and errors
    Warning,
    /// Errors
    Error,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Report {
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

#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
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

#[derive(Debug, Args)]
pub(in crate::cli) struct Dump {
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
pub(in crate::cli) struct Ps {
    /// For scripts: an array of objects
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Doctor {
    /// Process that is to be looked at
    #[arg(value_name = "PID", value_parser = parse_pid)]
    pub pid: Option<i32>,
    /// For scripts: an array of checks
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Explain {
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
