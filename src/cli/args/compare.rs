//! What `compare` takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Probes;

/// A format of `compare`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum CompareFormat {
    /// For a terminal
    Text,
    /// For scripts: schema pyconc.compare/1
    Json,
    /// For a comment on a pull request
    #[value(alias = "md")]
    Markdown,
    /// An SVG with the widths of AFTER: what grew is red, what shrank blue
    #[value(alias = "svg")]
    Flamegraph,
    /// The same with the widths of BEFORE, which shows what is gone
    FlamegraphBefore,
}

/// What fails the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum CompareFailOn {
    /// Something is worse
    Regression,
    /// Anything differs by more than chance
    Any,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Compare {
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
