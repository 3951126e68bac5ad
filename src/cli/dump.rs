//! `pyconc dump`.

use std::process::ExitCode;

use super::args::Dump;
use super::attach::{Attached, Subject, stop_flag};
use super::catalogue;
use super::failure::Failure;
use super::files::Document;
use crate::output::{dump_json, dump_text, tasks_text};
use crate::session::{Ending, Options};

pub(super) fn run(options: &Dump) -> Result<ExitCode, Failure> {
    let subject = Subject::of(options.positional, &options.target)?;
    let stop = stop_flag()?;
    let catalog = catalogue::load(options.catalogue.probes.as_deref())?;
    let sampling =
        Options { threshold: options.threshold, blocking: options.blocking, ..Options::default() };
    let mut attached = Attached::new(&subject, &catalog, sampling, &stop)?;
    let mut snapshot = match options.tasks {
        true => attached.session.snapshot_of_tasks()?,
        false => attached.session.snapshot(),
    };
    if !options.json && !options.tasks {
        // That they wait for each other is worth a look at any time; that they cannot be read is
        // not what was asked.
        let _ = attached.session.add_tasks(&mut snapshot);
    }
    Document::Stdout.write(|out| match (options.json, &snapshot.tasks) {
        (true, _) => dump_json(out, &snapshot),
        (false, Some(tasks)) if options.tasks => {
            tasks_text(out, &snapshot, tasks, options.full_filenames)
        }
        (false, _) => dump_text(out, &snapshot, options.full_filenames),
    })?;
    Ok(attached.finish(Ending::Asked))
}
