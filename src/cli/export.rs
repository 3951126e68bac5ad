//! `pyconc export`.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;

use super::args::{Export, StackFormat};
use super::catalogue;
use super::failure::Failure;
use super::files::{Document, open, refuse_own_input};
use super::tell;
use crate::catalog::Catalog;
use crate::diagnose::diagnose;
use crate::output::{self, StackOptions};
use crate::profile::{Profile, Replay, read_timeline};

/// The widest command line that fits a picture's title.
const WIDEST_TITLE: usize = 70;

pub(super) fn run(options: &Export) -> Result<ExitCode, Failure> {
    let output = options.output.as_deref();
    refuse_own_input(&options.recording, output)?;
    refuse_ambiguous(options.format, output)?;
    let format = format_of(options.format, output, StackFormat::Flamegraph);
    if format == StackFormat::Pyconc {
        return Err(Failure::usage(
            "a recording cannot be exported as a recording",
            "choose another format with -f, as -f flamegraph, or copy the file",
        ));
    }
    refuse_tasks(format, options.stacks.tasks)?;
    let (recording, mut replay) = read_timeline(open(&options.recording)?)?;
    if let Some(note) = &recording.note {
        tell(&format!("note: {note}"));
    }
    let profile = &recording.profile;
    let suffix = format.suffixes().first().copied().unwrap_or_default();
    let beside = options.recording.with_extension(suffix);
    let document = Document::create(Some(output.unwrap_or(&beside)))?;
    let path = document.path().map(Path::to_owned);
    let stacks = options.stacks.options();
    if format.needs_recording() {
        document.write(|out| write_timeline(out, format, (profile, &mut replay), &stacks))?;
    } else {
        let catalog = catalogue::load(options.catalogue.probes.as_deref())?;
        write_stacks(document, format, profile, &catalog, stacks)?;
    }
    if let Some(path) = path {
        tell(&format!("{} written\n{}", path.display(), output::quality_line(profile)));
    }
    Ok(ExitCode::SUCCESS)
}

/// The format that was asked for, or else the one that the file's suffix names.
pub(super) fn format_of(
    asked: Option<StackFormat>,
    path: Option<&Path>,
    otherwise: StackFormat,
) -> StackFormat {
    let name = path.and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let has = |suffix: &&str| name.strip_suffix(*suffix).is_some_and(|stem| stem.ends_with('.'));
    let by_name = |format: &&StackFormat| format.suffixes().iter().any(has);
    let named = || StackFormat::value_variants().iter().find(by_name).copied();
    asked.or_else(named).unwrap_or(otherwise)
}

/// Refuses a file whose suffix several formats have, and none is asked for: what is written into it
/// would be a surprise.
fn refuse_ambiguous(asked: Option<StackFormat>, path: Option<&Path>) -> Result<(), Failure> {
    let suffix = path.and_then(Path::extension).and_then(|suffix| suffix.to_str());
    let named = format_of(asked, path, StackFormat::Pyconc);
    match suffix {
        Some(suffix @ ("json" | "gz")) if asked.is_none() && named == StackFormat::Pyconc => {
            Err(Failure::usage(
                format!("which format a .{suffix} file has is not said by its name"),
                "name it with -f: speedscope, chrometrace, gecko, pprof; jsonl has lines of JSON",
            ))
        }
        _ => Ok(()),
    }
}

/// Refuses await chains in a format that has nothing to show them with.
pub(super) fn refuse_tasks(format: StackFormat, tasks: bool) -> Result<(), Failure> {
    if tasks && format.needs_recording() {
        return Err(Failure::usage(
            "this format is made of samples, which await chains have none of",
            "use --tasks with -f flamegraph or -f folded",
        ));
    }
    Ok(())
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
        _ => output::flamegraph(out, profile, &options),
    })
}

/// Writes a format that is made from the recording's second reading.
pub(super) fn write_timeline(
    out: &mut dyn Write,
    format: StackFormat,
    (profile, replay): (&Profile, &mut Replay),
    options: &StackOptions,
) -> io::Result<()> {
    match format {
        StackFormat::Speedscope => output::speedscope(out, profile, replay, options),
        StackFormat::Pprof => output::pprof(out, profile, replay, options),
        StackFormat::ChromeTrace => output::chrometrace(out, profile, replay, options),
        StackFormat::Gecko => output::gecko(out, profile, replay, options),
        StackFormat::Perfetto => output::perfetto(out, profile, replay, options),
        _ => output::jsonl(out, profile, replay, options),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::ValueEnum;

    use super::{format_of, refuse_ambiguous};
    use crate::cli::args::StackFormat;

    #[test]
    fn a_suffix_names_its_format() {
        let format = |name: &str| format_of(None, Some(Path::new(name)), StackFormat::Flamegraph);
        for &wanted in StackFormat::value_variants() {
            for suffix in wanted.suffixes() {
                assert_eq!(format(&format!("a.b.{suffix}")), wanted);
                assert_eq!(format(suffix), StackFormat::Flamegraph, "a name, no suffix");
            }
        }
        let asked =
            format_of(Some(StackFormat::Gecko), Some(Path::new("a.svg")), StackFormat::Jsonl);
        assert_eq!(asked, StackFormat::Gecko);
        assert_eq!(format("a.out"), StackFormat::Flamegraph);
    }

    #[test]
    fn a_suffix_that_several_formats_have_names_none() {
        let refused = |asked, name: &str| refuse_ambiguous(asked, Some(Path::new(name))).is_err();
        assert!(refused(None, "a.json") && refused(None, "a.gz"));
        assert!(!refused(Some(StackFormat::Gecko), "a.json"));
        assert!(!refused(None, "a.gecko.json") && !refused(None, "a.pb.gz") && !refused(None, "a"));
    }
}
