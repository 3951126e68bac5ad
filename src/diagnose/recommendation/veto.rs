//! What speaks against a model: extension modules, memory, what cannot be pickled.

use crate::diagnose::site::lines;
use crate::model::Cause;

use super::choice::Situation;
use super::steps::{version, version_text};

/// Packages that publish builds for free-threaded Python, as of 2026.
const FREE_THREADED: [&str; 24] = [
    "PIL",
    "_cffi_backend",
    "aiohttp",
    "charset_normalizer",
    "contourpy",
    "cryptography",
    "frozenlist",
    "httptools",
    "kiwisolver",
    "lxml",
    "markupsafe",
    "matplotlib",
    "msgpack",
    "multidict",
    "numpy",
    "pandas",
    "propcache",
    "pyarrow",
    "pydantic_core",
    "scipy",
    "sklearn",
    "torch",
    "uvloop",
    "yarl",
];

/// The least share of the computing samples in a function that is told of.
const HOT: f64 = 0.2;

/// What speaks against more processes.
pub(super) fn processes(situation: &Situation) -> Vec<String> {
    let mut against = Vec::new();
    let profile = situation.profile;
    let cpus = situation.load.facts.usable_cpus;
    let each = profile.usage.resident as f64;
    let available = profile.surroundings.available.map(|bytes| bytes as f64);
    if let Some(available) = available.filter(|left| cpus.is_finite() && each * cpus > 0.8 * left) {
        against.push(format!(
            "{cpus:.0} processes of {} each do not fit into the {} of memory that are left.",
            gibibytes(each),
            gibibytes(available)
        ));
    }
    if let Some(function) = unpicklable(situation) {
        against.push(format!(
            "{function} is defined inside another function: pickle cannot name it for another process. \
             Move it to its module's top level."
        ));
    }
    against
}

/// What speaks against a free-threaded build.
pub(super) fn free_threaded(situation: &Situation) -> Vec<String> {
    let mut unknown: Vec<&str> = situation
        .profile
        .surroundings
        .extensions
        .iter()
        .filter(|it| !it.abi.ends_with('t') && !FREE_THREADED.contains(&&*it.package))
        .map(|it| &*it.package)
        .collect();
    unknown.dedup();
    if unknown.is_empty() {
        return Vec::new();
    }
    let more = unknown.len().saturating_sub(6);
    unknown.truncate(6);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    vec![format!(
        "These extension modules are not known to be built for it, and turn the GIL on again if they are not: {}{more}.",
        unknown.join(", ")
    )]
}

/// What speaks against interpreters of one process.
pub(super) fn subinterpreters(situation: &Situation) -> String {
    let extensions = &situation.profile.surroundings.extensions;
    let modules = extensions.first().map(|first| {
        format!(
            " Extension modules as those of {} have to allow it, and most do not.",
            first.package
        )
    });
    format!(
        "They have a GIL each, and an executor from Python 3.14 on, but copy what they send each other as \
         processes do, and end with each other.{}",
        modules.unwrap_or_default()
    )
}

/// Which build of Python there is for it.
pub(super) fn builds(situation: &Situation) -> String {
    let python = &situation.profile.meta.python;
    if version(situation) >= (3, 13) {
        format!("Python {python} has such a build: python{}t.", version_text(situation))
    } else {
        format!("There is such a build from Python 3.13 on (better 3.14); this is {python}.")
    }
}

/// A hot function that pickle cannot send to another process; known where names are qualified.
fn unpicklable(situation: &Situation) -> Option<String> {
    let tables = &situation.profile.tables;
    let mut all = 0;
    let mut nested: Vec<(u64, String)> = Vec::new();
    for row in situation.profile.rows().filter(|row| row.state.cause == Cause::Python) {
        all += row.samples;
        // What is sent is the outermost of the program's own functions that the thread runs.
        let sent = lines(tables, row.state.stack).filter(|line| line.is_user()).last();
        let Some(line) = sent else { continue };
        let name = statement(&line.function.name);
        if !name.contains("<locals>") {
            continue;
        }
        let name = name.to_owned();
        match nested.iter_mut().find(|(_, known)| *known == name) {
            Some((samples, _)) => *samples += row.samples,
            None => nested.push((row.samples, name)),
        }
    }
    let (samples, name) = nested.into_iter().max()?;
    (samples as f64 >= HOT * all as f64).then_some(name)
}

/// The function whose statement a comprehension or generator expression is part of, else the function itself.
fn statement(name: &str) -> &str {
    let mut name = name;
    while let Some(outer) = ["genexpr", "listcomp", "setcomp", "dictcomp"]
        .iter()
        .find_map(|inner| name.strip_suffix(&format!(".<locals>.<{inner}>")))
    {
        name = outer;
    }
    name
}

fn gibibytes(bytes: f64) -> String {
    let gibibyte = f64::from(1u32 << 30);
    if bytes >= gibibyte {
        format!("{:.1} GiB", bytes / gibibyte)
    } else {
        format!("{:.0} MiB", bytes / f64::from(1u32 << 20))
    }
}
