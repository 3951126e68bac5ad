//! `pyconc explain`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::Explain;
use super::catalogue;
use super::failure::Failure;
use super::files::Document;
use crate::catalog::{Catalog, Probe, Topic, TopicKind, topics};
use crate::output::{Explained, TextOptions, explained_markdown, explained_text};

/// How many ids are offered in the place of an unknown one.
const OFFERED: usize = 3;

/// How much an offered id must be like the one that was asked for.
const ALIKE: f64 = 0.7;

pub(super) fn run(options: &Explain) -> Result<ExitCode, Failure> {
    let catalog = catalogue::load(options.catalogue.probes.as_deref())?;
    let library = Library { topics: topics()?, catalog: &catalog };
    let id = options.id.as_deref().map(normal);
    if id.is_none() && !options.all && !options.json {
        let options = TextOptions::default();
        Document::Stdout.write(|out| explained_text(out, &library.index(), &options))?;
        return Ok(ExitCode::SUCCESS);
    }
    let found = match &id {
        Some(id) => library.about(id),
        None => library.all(),
    };
    if found.is_empty() {
        return Err(library.unknown(options.id.as_deref().unwrap_or_default()));
    }
    Document::Stdout.write(|out| match &id {
        _ if options.json => found.write_json(out),
        Some(id) => found.write_text(out, id),
        None => found.write_markdown(out),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// An id or the name of a package as they are listed: pip takes `_`, `.` and capitals for the same.
fn normal(id: &str) -> String {
    id.trim().to_lowercase().replace(['_', '.'], "-")
}

/// All that can be explained.
struct Library<'c> {
    topics: Vec<Topic>,
    catalog: &'c Catalog,
}

/// What is explained in answer to one question.
#[derive(Default)]
struct Found<'l> {
    topics: Vec<&'l Topic>,
    /// Each with its file.
    probes: Vec<(&'l str, &'l Probe)>,
    /// Those about a package of the name, but for those above.
    of_package: Vec<(&'l str, &'l Probe)>,
}

impl Library<'_> {
    /// A name may belong to several: `native` is a cause and a model, `watchfiles` a probe and a
    /// package.
    fn about(&self, id: &str) -> Found<'_> {
        let mut found = Found {
            topics: self.topics.iter().filter(|topic| topic.id == id).collect(),
            ..Found::default()
        };
        for (file, probe) in self.catalog.with_files() {
            if probe.id == id {
                found.probes.push((file, probe));
            } else if probe.packages.iter().any(|package| package == id) {
                found.of_package.push((file, probe));
            }
        }
        found
    }

    fn all(&self) -> Found<'_> {
        Found {
            topics: self.topics.iter().collect(),
            probes: self.catalog.with_files().collect(),
            ..Found::default()
        }
    }

    /// What can be asked for.
    fn index(&self) -> Explained {
        let ids = |kind: TopicKind| {
            let topics = self.topics.iter().filter(|topic| topic.kind == kind);
            let ids: Vec<_> = topics.map(|topic| topic.id.as_str()).collect();
            (kind.name(), ids.join(", "))
        };
        let mut prose: Vec<_> = TopicKind::ALL.map(ids).into();
        let mut files: BTreeMap<&str, usize> = BTreeMap::new();
        for (file, _) in self.catalog.with_files() {
            *files.entry(file.trim_end_matches(".toml")).or_default() += 1;
        }
        let files: Vec<_> = files.iter().map(|(file, count)| format!("{file} ({count})")).collect();
        prose.push(("probes", files.join(", ")));
        prose.push(("packages", "the name of a package: the probes that know it".to_owned()));
        Explained {
            title: "What can be explained".to_owned(),
            id: "pyconc explain ID, or --all for the whole reference".to_owned(),
            kind: "list",
            prose,
            code: Vec::new(),
        }
    }

    fn unknown(&self, asked: &str) -> Failure {
        let probes = self.catalog.probes();
        let mut known: BTreeSet<&str> = self.topics.iter().map(|topic| &*topic.id).collect();
        known.extend(probes.flat_map(|probe| {
            std::iter::once(&probe.id).chain(&probe.packages).map(String::as_str)
        }));
        let wanted = normal(asked);
        let alike = known.into_iter().map(|id| (strsim::jaro_winkler(&wanted, id), id));
        let mut alike: Vec<_> = alike.filter(|(likeness, _)| *likeness >= ALIKE).collect();
        alike.sort_by(|a, b| b.0.total_cmp(&a.0));
        let nearest: Vec<_> = alike.iter().take(OFFERED).map(|(_, id)| *id).collect();
        let hint = if nearest.is_empty() {
            "`pyconc explain --all` lists all that there is".to_owned()
        } else {
            format!("nearest are {}", nearest.join(", "))
        };
        Failure::usage(format!("nothing is known by the name `{asked}`"), hint)
    }
}

impl Found<'_> {
    fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.probes.is_empty() && self.of_package.is_empty()
    }

    fn write_text(&self, out: &mut dyn Write, id: &str) -> io::Result<()> {
        let options = TextOptions::default();
        let topics = self.topics.iter().map(|topic| of_topic(topic));
        let probes = self.probes.iter().map(|(_, probe)| of_probe(probe));
        let mut first = true;
        for it in topics.chain(probes) {
            if !std::mem::take(&mut first) {
                writeln!(out)?;
            }
            explained_text(out, &it, &options)?;
        }
        if self.of_package.is_empty() {
            return Ok(());
        }
        if !first {
            writeln!(out)?;
        }
        let list = Explained {
            title: format!("Probes about {id}"),
            id: id.to_owned(),
            kind: "package",
            prose: self.of_package.iter().map(|(_, probe)| ("probe", summary(probe))).collect(),
            code: Vec::new(),
        };
        explained_text(out, &list, &options)
    }

    fn write_markdown(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "# Reference\n\nWhat the words of pyconc's reports mean.")?;
        for kind in TopicKind::ALL {
            writeln!(out, "\n## {}\n", heading(kind))?;
            for topic in self.topics.iter().filter(|topic| topic.kind == kind) {
                explained_markdown(out, &of_topic(topic))?;
            }
        }
        let mut last = "";
        for (file, probe) in &self.probes {
            if std::mem::replace(&mut last, file) != *file {
                writeln!(out, "\n## Probes: {}\n", file.trim_end_matches(".toml"))?;
            }
            explained_markdown(out, &of_probe(probe))?;
        }
        Ok(())
    }

    fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let probe = |(file, probe): &(&str, &Probe)| json!({ "file": file, "probe": probe });
        let probes = |list: &[(&str, &Probe)]| list.iter().map(probe).collect::<Vec<Value>>();
        let document = json!({
            "schema": "pyconc.explain/1",
            "topics": self.topics,
            "probes": probes(&self.probes),
            "probes_of_package": probes(&self.of_package),
        });
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)
    }
}

const fn heading(kind: TopicKind) -> &'static str {
    match kind {
        TopicKind::Verdict => "Verdicts",
        TopicKind::Tag => "Tags",
        TopicKind::Cause => "Causes",
        TopicKind::Finding => "Findings",
        TopicKind::Model => "Models",
        TopicKind::Term => "Terms",
    }
}

fn of_topic(topic: &Topic) -> Explained {
    let mut prose = vec![("it means", topic.means.clone())];
    for (label, text) in [
        ("it may be", &topic.may_be),
        ("or else", &topic.or_else),
        ("do this", &topic.action),
        ("look next", &topic.look),
    ] {
        prose.extend(text.clone().map(|text| (label, text)));
    }
    Explained {
        title: topic.title.clone(),
        id: topic.id.clone(),
        kind: topic.kind.name(),
        prose,
        code: Vec::new(),
    }
}

fn of_probe(probe: &Probe) -> Explained {
    let mut prose = Vec::new();
    prose.extend(probe.cause.map(|cause| ("for cause", cause.name().to_owned())));
    if !probe.packages.is_empty() {
        prose.push(("packages", probe.packages.join(", ")));
    }
    prose.push(("why", probe.why.clone()));
    prose.push(("advice", probe.advice.clone()));
    let mut code = vec![("frames", probe.frames.join(" > "))];
    if !probe.syscall.is_empty() {
        code.push(("system call", probe.syscall.join(" | ")));
    }
    code.extend(probe.hit.first().map(|line| ("it fits", line.clone())));
    code.extend(probe.miss.first().map(|line| ("not", line.clone())));
    Explained { title: probe.title.clone(), id: probe.id.clone(), kind: "probe", prose, code }
}

fn summary(probe: &Probe) -> String {
    format!("{}: {}", probe.id, probe.title)
}
