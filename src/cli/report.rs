//! `pyconc report`.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use super::args::{FailOn, Report, ReportFormat, Sampling};
use super::attach::{Attached, Subject, stop_flag};
use super::catalogue;
use super::failure::Failure;
use super::files::{Document, open, refuse_own_input};
use super::observe::observe;
use super::tell;
use crate::catalog::Catalog;
use crate::diagnose::{Diagnosis, Severity, diagnose};
use crate::output::{TextOptions, report_json, report_markdown, report_schema, report_text};
use crate::profile::{Profile, read_recording};

/// How long a running process is watched when nobody says.
const DEFAULT_LENGTH: std::time::Duration = std::time::Duration::from_secs(10);
/// The exit code for findings at or above `--fail-on`.
const FINDINGS: u8 = 3;

pub(super) fn run(options: &Report) -> Result<ExitCode, Failure> {
    if options.schema {
        let document = Document::create(options.output.as_deref())?;
        document.write(|out| writeln!(out, "{:#}", report_schema()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let subject = subject(options)?;
    if let Ok(file) = &subject {
        refuse_sampling(options)?;
        refuse_own_input(file, options.output.as_deref())?;
    }
    let document = Document::create(options.output.as_deref())?;
    let catalog = catalogue::load(options.catalogue.probes.as_deref())?;
    let (profile, code) = match subject {
        Ok(file) => (read(&file)?, ExitCode::SUCCESS),
        Err(subject) => watch(options, &subject, &catalog)?,
    };
    let diagnosis = diagnose(&profile, &catalog);
    let most = if options.all { usize::MAX } else { TextOptions::default().findings };
    let text = text_options(options.no_color, most, &document);
    let format = options.format.unwrap_or_else(|| format_of(document.path()));
    document.write(|out| match format {
        ReportFormat::Text => report_text(out, &profile, &diagnosis, &text),
        ReportFormat::Json => report_json(out, &profile, &diagnosis),
        ReportFormat::Markdown => report_markdown(out, &profile, &diagnosis, text.findings),
    })?;
    if options.fail_on.is_some() && profile.quality.samples == 0 {
        let nothing = anyhow::anyhow!("there is no sample: nothing could be judged");
        return Err(Failure::from(nothing).with_hint("record for longer, while it works"));
    }
    Ok(if fails(options.fail_on, &diagnosis) { ExitCode::from(FINDINGS) } else { code })
}

/// The format that a file's name tells.
fn format_of(path: Option<&Path>) -> ReportFormat {
    match path.and_then(Path::extension).and_then(std::ffi::OsStr::to_str) {
        Some("md") => ReportFormat::Markdown,
        Some("json") => ReportFormat::Json,
        _ => ReportFormat::Text,
    }
}

/// A file to read, or else what is to be watched. A number is a process, unless a file is called so.
fn subject(options: &Report) -> Result<Result<std::path::PathBuf, Subject>, Failure> {
    let positional = match &options.subject {
        None => None,
        Some(name) if Path::new(name).exists() => return Ok(Ok(name.into())),
        Some(name) => match name.to_str().and_then(|name| name.parse().ok()) {
            Some(pid) => Some(pid),
            None => return Ok(Ok(name.into())),
        },
    };
    Ok(Err(Subject::of(positional, &options.target)?))
}

/// A recording was sampled when it was made.
fn refuse_sampling(options: &Report) -> Result<(), Failure> {
    let default = crate::session::Options::default();
    let Sampling { rate, duration, blocking, .. } = options.sampling;
    if rate == default.rate && duration.is_none() && !blocking {
        return Ok(());
    }
    Err(Failure::usage(
        "-r, -d and --blocking say how to sample, and a recording is sampled already",
        "leave them out, or name a process",
    ))
}

fn read(file: &Path) -> Result<Profile, Failure> {
    let recording = read_recording(open(file)?)?;
    if let Some(note) = &recording.note {
        tell(&format!("note: {note}"));
    }
    Ok(recording.profile)
}

fn watch(
    options: &Report,
    subject: &Subject,
    catalog: &Catalog,
) -> Result<(Profile, ExitCode), Failure> {
    let stop = stop_flag()?;
    let mut sampling = options.sampling.options();
    if matches!(subject, Subject::Pid(_)) {
        sampling.duration = sampling.duration.or(Some(DEFAULT_LENGTH));
    }
    let mut attached = Attached::new(subject, catalog, sampling, &stop)?;
    let ending = observe(&mut attached, sampling.duration, None, &stop)?;
    let profile = attached.session.profile().clone();
    Ok((profile, attached.finish(ending)))
}

/// How a text is laid out that is written to a document, with so many findings.
pub(super) fn text_options(plain: bool, findings: usize, document: &Document) -> TextOptions {
    let terminal = document.path().is_none() && std::io::stdout().is_terminal();
    let no_color = plain || refuses_colour();
    TextOptions {
        width: crossterm::terminal::size()
            .ok()
            .filter(|_| terminal)
            .map_or(80, |(width, _)| width.into()),
        colour: terminal && !no_color,
        findings,
        // A terminal whose locale does not promise UTF-8 gets ASCII; a file gets UTF-8.
        unicode: !terminal || locale_is_utf8(),
    }
}

/// Whether the user wants no colours anywhere: see no-color.org.
pub(super) fn refuses_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Whether the locale promises that the terminal shows UTF-8.
pub(super) fn locale_is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| locale.to_lowercase().replace('-', "").contains("utf8"))
}

fn fails(fail_on: Option<FailOn>, diagnosis: &Diagnosis) -> bool {
    let Some(least) = fail_on else { return false };
    diagnosis.findings.iter().any(|finding| match least {
        FailOn::Info => true,
        FailOn::Warning => matches!(finding.severity, Severity::Warning | Severity::Error),
        FailOn::Error => finding.severity == Severity::Error,
    })
}
