//! `pyconc export`.

use std::path::Path;
use std::process::ExitCode;

use super::args::{Export, StackFormat};
use super::catalogue;
use super::failure::Failure;
use super::files::{Document, open, refuse_own_input};
use super::tell;
use crate::catalog::Catalog;
use crate::diagnose::diagnose;
use crate::output::{self, StackOptions};
use crate::profile::{Profile, read_recording};

/// The widest command line that fits a picture's title.
const WIDEST_TITLE: usize = 70;

pub(super) fn run(options: &Export) -> Result<ExitCode, Failure> {
    refuse_own_input(&options.recording, options.output.as_deref())?;
    let recording = read_recording(open(&options.recording)?)?;
    if let Some(note) = &recording.note {
        tell(&format!("note: {note}"));
    }
    let format = format_of(options.format, options.output.as_deref(), StackFormat::Flamegraph);
    let beside = match format {
        StackFormat::Flamegraph => options.recording.with_extension("svg"),
        StackFormat::Folded => options.recording.with_extension("folded"),
        StackFormat::Pyconc => {
            return Err(Failure::usage(
                "a recording cannot be exported as a recording",
                "choose -f flamegraph or -f folded, or copy the file",
            ));
        }
    };
    let document = Document::create(Some(options.output.as_deref().unwrap_or(&beside)))?;
    let catalog = catalogue::load(options.catalogue.probes.as_deref())?;
    let path = document.path().map(Path::to_owned);
    let stacks = options.stacks.options();
    write_stacks(document, format, &recording.profile, &catalog, stacks)?;
    if let Some(path) = path {
        tell(&format!("{} written\n{}", path.display(), output::quality_line(&recording.profile)));
    }
    Ok(ExitCode::SUCCESS)
}

/// The format that was asked for, or else the one that the file's suffix names.
pub(super) fn format_of(
    asked: Option<StackFormat>,
    path: Option<&Path>,
    otherwise: StackFormat,
) -> StackFormat {
    let suffix = path.and_then(Path::extension).and_then(|suffix| suffix.to_str());
    asked.unwrap_or(match suffix {
        Some("svg") => StackFormat::Flamegraph,
        Some("folded" | "txt" | "collapsed") => StackFormat::Folded,
        Some("pyconc") => StackFormat::Pyconc,
        _ => otherwise,
    })
}

/// Writes the stacks of a profile.
pub(super) fn write_stacks(
    document: Document,
    format: StackFormat,
    profile: &Profile,
    catalog: &Catalog,
    options: StackOptions,
) -> Result<(), Failure> {
    let diagnosis = diagnose(profile, catalog);
    let meta = &profile.meta;
    let verdict = diagnosis.verdict.workload.name();
    let command = output::sanitise(&meta.command.join(" "), WIDEST_TITLE);
    let options = StackOptions {
        title: format!("{verdict}: process {}, {command}", meta.pid),
        subtitle: format!("Python {}, {:.1} s", meta.python, profile.quality.elapsed.seconds()),
        ..options
    };
    document.write(|out| match format {
        StackFormat::Folded => output::folded(out, profile, &options),
        StackFormat::Flamegraph | StackFormat::Pyconc => output::flamegraph(out, profile, &options),
    })
}
