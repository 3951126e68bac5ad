//! `pyconc compare`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{Compare, CompareFailOn, CompareFormat};
use super::catalogue;
use super::failure::Failure;
use super::files::{Document, open, refuse_own_input};
use super::report::text_options;
use super::tell;
use crate::catalog::Catalog;
use crate::compare::{Comparison, Run, compare};
use crate::diagnose::diagnose;
use crate::model::Nanos;
use crate::output::{
    Width, comparison_flamegraph, comparison_json, comparison_markdown, comparison_schema,
    comparison_text,
};
use crate::profile::{Recording, read_halves, read_stretches};

/// The exit code when `--fail-on` fires.
const FIRED: u8 = 3;

pub(super) fn run(options: &Compare) -> Result<ExitCode, Failure> {
    if options.schema {
        let document = Document::create(options.output.as_deref())?;
        document.write(|out| writeln!(out, "{:#}", comparison_schema()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (before, after) = sides(options)?;
    for file in before.iter().chain(&after) {
        refuse_own_input(file, options.output.as_deref())?;
    }
    let catalog = catalogue::load(options.catalogue.probes.as_deref())?;
    let before = before.iter().map(|file| read(file, &catalog)).collect::<Result<Vec<_>, _>>()?;
    let after = after.iter().map(|file| read(file, &catalog)).collect::<Result<Vec<_>, _>>()?;
    let comparison = compare(&before, &after).map_err(|why| {
        let text = why.to_string();
        match text.split_once("; ") {
            Some((why, fix)) => Failure::usage(why.to_owned(), fix.to_owned()),
            None => Failure::from(anyhow::anyhow!(text)),
        }
    })?;
    let document = Document::create(options.output.as_deref())?;
    let format = options.format.unwrap_or_else(|| format_of(document.path()));
    let text = text_options(options.no_color, usize::MAX, &document);
    document.write(|out| match format {
        CompareFormat::Text => comparison_text(out, &comparison, &text),
        CompareFormat::Json => comparison_json(out, &comparison),
        CompareFormat::Markdown => comparison_markdown(out, &comparison),
        CompareFormat::Flamegraph => {
            comparison_flamegraph(out, (&before, &after), &comparison, Width::After)
        }
        CompareFormat::FlamegraphBefore => {
            comparison_flamegraph(out, (&before, &after), &comparison, Width::Before)
        }
    })?;
    Ok(if fires(options.fail_on, &comparison) { ExitCode::from(FIRED) } else { ExitCode::SUCCESS })
}

/// The files of both sides.
fn sides(options: &Compare) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Failure> {
    match (&options.recordings[..], &options.before[..], &options.after[..]) {
        ([before, after], [], []) => Ok((vec![before.clone()], vec![after.clone()])),
        ([], before @ [_, ..], after @ [_, ..]) => Ok((before.to_vec(), after.to_vec())),
        _ => Err(Failure::usage(
            "compare takes two recordings",
            "pyconc compare BEFORE AFTER, or --before FILE... --after FILE...",
        )),
    }
}

/// Reads a recording: as a whole, and its halves.
fn read(file: &Path, catalog: &Catalog) -> Result<Run, Failure> {
    // There are two files: which one it is has to be said.
    let damaged = |why| anyhow::Error::from(why).context(format!("reading {}", file.display()));
    let (Recording { profile, note, .. }, stretches) =
        read_stretches(open(file)?).map_err(damaged)?;
    if let Some(note) = note {
        tell(&format!("note: {}: {note}", file.display()));
    }
    let half = Nanos(profile.quality.elapsed.0 / 2);
    let halves =
        read_halves(open(file)?, half).map_err(damaged)?.map(|half| diagnose(&half, catalog));
    let diagnosis = diagnose(&profile, catalog);
    Ok(Run { name: file.display().to_string(), profile, stretches, diagnosis, halves })
}

/// The format that a file's name tells.
fn format_of(path: Option<&Path>) -> CompareFormat {
    match path.and_then(Path::extension).and_then(std::ffi::OsStr::to_str) {
        Some("md") => CompareFormat::Markdown,
        Some("json") => CompareFormat::Json,
        Some("svg") => CompareFormat::Flamegraph,
        _ => CompareFormat::Text,
    }
}

fn fires(fail_on: Option<CompareFailOn>, comparison: &Comparison) -> bool {
    match fail_on {
        None => false,
        Some(CompareFailOn::Regression) => !comparison.worse.is_empty(),
        Some(CompareFailOn::Any) => {
            !comparison.worse.is_empty()
                || !comparison.better.is_empty()
                || comparison.changes.iter().any(|change| change.significant)
        }
    }
}
