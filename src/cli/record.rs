//! `pyconc record`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use tempfile::NamedTempFile;

use super::args::{Record, StackFormat};
use super::attach::{Attached, Subject, stop_flag};
use super::catalogue;
use super::export::{format_of, refuse_tasks, write_stacks, write_timeline};
use super::failure::Failure;
use super::files::{Document, NewFile, begin_recording, open_recording};
use super::observe::{RecordingFile, describe, observe};
use super::tell;
use crate::output::quality_line;
use crate::profile::{Meta, RecordingWriter, read_timeline};

pub(super) fn run(options: &Record) -> Result<ExitCode, Failure> {
    let subject = Subject::of(options.positional, &options.target)?;
    let stop = stop_flag()?;
    let catalog = catalogue::load(options.catalogue.probes.as_deref())?;
    let mut sink = Sink::open(options)?;
    let attached = Attached::new(&subject, &catalog, options.sampling.options(), &stop);
    let mut attached = attached.inspect_err(|_| sink.discard())?;
    let writer = sink.begin(&attached.session.profile().meta)?;
    let ending = observe(&mut attached, options.sampling.duration, writer, &stop)?;
    let profile = attached.session.profile();
    let path = match sink {
        Sink::Recording(path, _) => path,
        Sink::Stacks(format, document) => {
            let path = document.path().map(Path::to_owned);
            write_stacks(document, format, profile, &catalog, options.stacks.options())?;
            path
        }
        Sink::Timeline(format, document, recording) => {
            let path = document.path().map(Path::to_owned);
            let (recording, mut replay) = read_timeline(recording.reopen()?)?;
            let stacks = options.stacks.options();
            document.write(|out| {
                write_timeline(out, format, (&recording.profile, &mut replay), &stacks)
            })?;
            path
        }
    };
    if let Some(path) = path {
        let (file, quality) = (path.display(), quality_line(profile));
        tell(&format!("{file} written{}\n{quality}", describe(ending)));
        if matches!(
            format_of(options.format, Some(&path), StackFormat::Pyconc),
            StackFormat::Pyconc
        ) {
            tell(&format!("next: pyconc report {file}"));
        }
    }
    Ok(attached.finish(ending))
}

/// Where the samples go.
enum Sink {
    /// Into a recording that grows block by block. The path is only known beforehand when the
    /// user gave it, and then the file is open already.
    Recording(Option<PathBuf>, Option<NewFile>),
    /// Into a document at the end.
    Stacks(StackFormat, Document),
    /// The same, made of a recording that is kept until then.
    Timeline(StackFormat, Document, NamedTempFile),
}

impl Sink {
    /// Opens what can be opened before anything is started or sampled, so that a path that cannot
    /// be written is found out then.
    fn open(options: &Record) -> Result<Self, Failure> {
        let path = options.output.as_deref();
        let format = format_of(options.format, path, StackFormat::Pyconc);
        refuse_tasks(format, options.stacks.tasks)?;
        if format.needs_recording() {
            let recording = NamedTempFile::new().context("cannot keep a recording meanwhile")?;
            return Ok(Self::Timeline(format, Document::create(path)?, recording));
        }
        if format != StackFormat::Pyconc {
            return Ok(Self::Stacks(format, Document::create(path)?));
        }
        if path == Some(Path::new("-")) {
            return Err(Failure::usage(
                "a recording cannot go to standard output",
                "name a file, or choose -f folded or -f flamegraph",
            ));
        }
        let file = path.map(open_recording).transpose()?;
        Ok(Self::Recording(path.map(Path::to_owned), file))
    }

    /// Takes back what was made for a recording that does not come about.
    fn discard(&mut self) {
        if let Self::Recording(Some(path), Some(file)) = self
            && file.is_new
        {
            // Nobody has lost anything when it stays.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Begins the recording.
    fn begin(&mut self, meta: &Meta) -> Result<Option<RecordingFile>, Failure> {
        let (path, file) = match self {
            Self::Stacks(..) => return Ok(None),
            Self::Timeline(_, _, recording) => (recording.path().to_owned(), recording.reopen()?),
            Self::Recording(path, file) => {
                let path = path.get_or_insert_with(|| default_path(meta)).clone();
                let file = match file.take() {
                    Some(file) => file,
                    None => open_recording(&path)?,
                };
                (path, file.file)
            }
        };
        let writer = begin_recording(file)
            .and_then(|file| RecordingWriter::create(file, meta))
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(Some(RecordingFile { writer, path }))
    }
}

/// `pyconc-PID-TIME.pyconc` in the current folder.
fn default_path(meta: &Meta) -> PathBuf {
    let time = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S");
    PathBuf::from(format!("pyconc-{}-{time}.pyconc", meta.pid))
}
