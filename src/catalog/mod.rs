//! The detection catalogue. Invariant: names and advice come from `probes/*.toml`; no Python file is named in `src/`.

mod error;
mod example;
mod matcher;
mod pattern;
mod probe;
mod topic;

use std::collections::HashSet;

use crate::model::{Cause, Function, Table};

pub use self::error::CatalogError;
pub use self::matcher::{Matcher, Query};
pub use self::probe::Probe;
pub use self::topic::{Topic, TopicKind, topics};

use self::pattern::{FunctionPattern, Piece, fits};

/// The topic files, in the order in which they are tried: where two probes fit a stack the
/// narrower one has to come first.
const BUILTIN: &[(&str, &str)] = &[
    ("shutdown.toml", include_str!("../../probes/shutdown.toml")),
    ("idle.toml", include_str!("../../probes/idle.toml")),
    ("servers.toml", include_str!("../../probes/servers.toml")),
    ("workers.toml", include_str!("../../probes/workers.toml")),
    ("agents.toml", include_str!("../../probes/agents.toml")),
    ("loops.toml", include_str!("../../probes/loops.toml")),
    ("logging.toml", include_str!("../../probes/logging.toml")),
    ("services.toml", include_str!("../../probes/services.toml")),
    ("http.toml", include_str!("../../probes/http.toml")),
    ("queues.toml", include_str!("../../probes/queues.toml")),
    ("orm.toml", include_str!("../../probes/orm.toml")),
    ("databases.toml", include_str!("../../probes/databases.toml")),
    ("subprocess.toml", include_str!("../../probes/subprocess.toml")),
    ("sockets.toml", include_str!("../../probes/sockets.toml")),
    ("files.toml", include_str!("../../probes/files.toml")),
    ("crypto.toml", include_str!("../../probes/crypto.toml")),
    ("serialisation.toml", include_str!("../../probes/serialisation.toml")),
    ("templating.toml", include_str!("../../probes/templating.toml")),
    ("numeric.toml", include_str!("../../probes/numeric.toml")),
    ("compute.toml", include_str!("../../probes/compute.toml")),
    ("locks.toml", include_str!("../../probes/locks.toml")),
    ("sleep.toml", include_str!("../../probes/sleep.toml")),
    ("pools.toml", include_str!("../../probes/pools.toml")),
    ("any.toml", include_str!("../../probes/any.toml")),
    ("multiprocessing.toml", include_str!("../../probes/multiprocessing.toml")),
    ("tls.toml", include_str!("../../probes/tls.toml")),
    ("dns.toml", include_str!("../../probes/dns.toml")),
    ("imports.toml", include_str!("../../probes/imports.toml")),
    ("asking.toml", include_str!("../../probes/asking.toml")),
];

/// The probes that are in force.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    entries: Vec<Entry>,
    patterns: Table<PatternId, FunctionPattern>,
}

/// A probe, ready for use.
#[derive(Debug, Clone)]
struct Entry {
    /// The file that it comes from, as it was named.
    file: String,
    probe: Probe,
    frames: Vec<Piece<PatternId>>,
}

/// A function pattern of the catalogue; probes share equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PatternId(usize);

impl From<usize> for PatternId {
    fn from(index: usize) -> Self {
        Self(index)
    }
}

impl From<PatternId> for usize {
    fn from(id: PatternId) -> Self {
        id.0
    }
}

impl Catalog {
    /// The catalogue that pyconc comes with.
    ///
    /// # Errors
    /// When a built-in file is malformed, which a test rules out.
    pub fn builtin() -> Result<Self, CatalogError> {
        Self::extended(Vec::new())
    }

    /// The built-in catalogue behind the user's `files`, each a name and its TOML text.
    ///
    /// The first probe that matches wins, so that a user's goes before a built-in one; one with the
    /// id of a built-in probe replaces it.
    ///
    /// # Errors
    /// When a file is not TOML, has an unknown key, lacks one, gives an id that was given before,
    /// or has a probe that does not do what its examples say.
    pub fn extended(files: Vec<(String, String)>) -> Result<Self, CatalogError> {
        let mut catalog = Self::default();
        let mut own = HashSet::new();
        for (file, text) in &files {
            for probe in read(file, text)? {
                let id = probe.id.clone();
                let fail = |reason| CatalogError::new(file, Some(&id), reason);
                if !own.insert(id.clone()) {
                    return Err(fail("the id is used twice".into()));
                }
                example::check(&probe).map_err(fail)?;
                catalog.add(file, probe).map_err(fail)?;
            }
        }
        for &(file, text) in BUILTIN {
            let probes = read(file, text)?.into_iter();
            for probe in probes.filter(|probe| !own.contains(&probe.id)) {
                let id = probe.id.clone();
                let added = catalog.add(file, probe);
                added.map_err(|reason| CatalogError::new(file, Some(&id), reason))?;
            }
        }
        Ok(catalog)
    }

    /// The probe with that id.
    #[must_use]
    pub fn probe(&self, id: &str) -> Option<&Probe> {
        self.probes().find(|probe| probe.id == id)
    }

    /// All probes, in the order in which they are tried.
    pub fn probes(&self) -> impl Iterator<Item = &Probe> {
        self.entries.iter().map(|entry| &entry.probe)
    }

    /// All probes with the name of the file that each comes from, in the same order.
    pub fn with_files(&self) -> impl Iterator<Item = (&str, &Probe)> {
        self.entries.iter().map(|entry| (entry.file.as_str(), &entry.probe))
    }

    /// The catalogue's patterns that a function fits.
    fn patterns_of(&self, function: &Function) -> Box<[PatternId]> {
        let fitting = self.patterns.iter().filter(|(_, pattern)| pattern.matches(function));
        fitting.map(|(id, _)| id).collect()
    }

    /// The first probe for a stack, given as the patterns that each function fits, outermost first.
    fn first(&self, stack: &[&[PatternId]], syscall: Option<&str>, cause: Cause) -> Option<&Probe> {
        let about = |entry: &&Entry| entry.probe.is_about(syscall, cause);
        let fitting =
            |entry: &&Entry| fits(&entry.frames, stack, |wanted, found| found.contains(wanted));
        self.entries.iter().filter(about).find(fitting).map(|entry| &entry.probe)
    }

    fn add(&mut self, file: &str, probe: Probe) -> Result<(), String> {
        let intern = |piece| match piece {
            Piece::Gap => Piece::Gap,
            Piece::One(pattern) => Piece::One(self.patterns.intern(pattern)),
        };
        let frames = probe.compile()?.into_iter().map(intern).collect();
        self.entries.push(Entry { file: file.to_owned(), probe, frames });
        Ok(())
    }
}

/// The probes of a file.
fn read(file: &str, text: &str) -> Result<Vec<Probe>, CatalogError> {
    let fail = |probe: Option<&str>, reason| CatalogError::new(file, probe, reason);
    let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(start).filter(|&byte| byte == b'\n').count() + 1;
        fail(None, format!("line {line}: {}", error.message()))
    })?;
    let probes = match table.remove("probe") {
        Some(toml::Value::Array(probes)) => probes,
        Some(_) => return Err(fail(None, "`probe` is not a list of tables".into())),
        None => Vec::new(),
    };
    if let Some(key) = table.keys().next() {
        return Err(fail(None, format!("unknown key `{key}`, expected `probe`")));
    }
    let numbered = probes.into_iter().enumerate();
    numbered
        .map(|(index, value)| {
            let id = value.get("id").and_then(toml::Value::as_str).map(str::to_owned);
            let name = id.unwrap_or_else(|| format!("#{}", index + 1));
            value
                .try_into()
                .map_err(|error: toml::de::Error| fail(Some(&name), error.message().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{BUILTIN, Catalog, example, read};

    const OWN: &str = r#"
        [[probe]]
        id = "own"
        frames = ["lib:f"]
        title = "t"
        why = "w"
        advice = "a"
        hit = ["lib:f"]
        miss = ["lib:g"]
    "#;

    fn error(text: &str) -> String {
        Catalog::extended(vec![("own.toml".into(), text.into())]).unwrap_err().to_string()
    }

    #[test]
    fn built_in_probes_do_what_their_examples_say() {
        let catalog = Catalog::builtin().unwrap();
        let mut wrong = Vec::new();
        for probe in catalog.probes() {
            wrong.extend(example::check(probe).map_err(|why| format!("{}: {why}", probe.id)).err());
            for line in &probe.hit {
                let cause = example::default_cause(probe);
                let example = example::Example::parse(line).unwrap();
                let first = example.find(&catalog, true, cause).map(|found| &*found.id);
                if first != Some(&*probe.id) {
                    wrong.push(format!("{}: `{line}` is taken by {first:?}", probe.id));
                }
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
    }

    #[test]
    fn built_in_ids_are_unique() {
        let mut ids: Vec<_> = BUILTIN
            .iter()
            .flat_map(|(file, text)| read(file, text).unwrap())
            .map(|probe| probe.id)
            .collect();
        ids.sort();
        let all = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }

    #[test]
    fn the_packages_that_programs_wait_in_are_known() {
        let catalog = Catalog::builtin().unwrap();
        let packages: HashSet<_> = catalog.probes().flat_map(|probe| &probe.packages).collect();
        assert!(catalog.probes().count() >= 160);
        assert!(packages.len() >= 150, "{}", packages.len());
        let normal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let odd: Vec<_> = packages.iter().filter(|name| !name.chars().all(normal)).collect();
        assert!(odd.is_empty(), "{odd:?}");
    }

    #[test]
    fn every_topic_file_is_compiled_in() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("probes");
        let mut found: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
            .filter(|name| name.ends_with(".toml"))
            .collect();
        let mut listed: Vec<_> = BUILTIN.iter().map(|&(file, _)| file).collect();
        found.sort();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }

    #[test]
    fn a_users_probe_goes_first_and_replaces_its_namesake() {
        let builtin = Catalog::builtin().unwrap();
        let namesake = builtin.probes().last().unwrap().id.clone();
        let text = OWN.replace("\"own\"", &format!("{namesake:?}"));
        let catalog = Catalog::extended(vec![("own.toml".into(), text)]).unwrap();
        assert_eq!(catalog.probes().count(), builtin.probes().count());
        assert_eq!(catalog.probes().next().unwrap().id, namesake);
        assert_eq!(catalog.probe(&namesake).unwrap().title, "t");
        assert!(catalog.probe("no such probe").is_none());
    }

    #[test]
    fn errors_name_the_file_the_probe_and_the_cause() {
        let with = |from: &str, to: &str| error(&OWN.replace(from, to));
        for (message, parts) in [
            (error("probe ="), vec!["own.toml", "line 1"]),
            (error("probes = 1"), vec!["own.toml", "`probes`"]),
            (error("probe = 1"), vec!["own.toml", "`probe` is not"]),
            (with("title", "titel"), vec!["own.toml", "probe `own`", "titel"]),
            (with("id = \"own\"", ""), vec!["own.toml", "probe `#1`", "`id`"]),
            (with("title = \"t\"", "cause = \"rest\""), vec!["probe `own`", "rest"]),
            (with("\"own\"", "\"Own probe\""), vec!["Own probe", "lower-case"]),
            (with("[\"lib:f\"]\n        title", "[\"f\"]\n        title"), vec!["own", "`f`"]),
            (with("frames = [\"lib:f\"]", "frames = [\"...\"]"), vec!["own", "no function"]),
            (with("\"w\"", "\" \""), vec!["probe `own`", "`why` is empty"]),
            (with("miss = [\"lib:g\"]", "miss = []"), vec!["probe `own`", "one `miss`"]),
            (with("\"lib:g\"", "\"lib:f\""), vec!["probe `own`", "`miss` `lib:f`"]),
            (with("hit = [\"lib:f\"]", "hit = [\"lib:g\"]"), vec!["own", "`hit` `lib:g`"]),
            (error(&OWN.repeat(2)), vec!["own.toml", "probe `own`", "twice"]),
        ] {
            for part in parts {
                assert!(message.contains(part), "`{part}` is not in `{message}`");
            }
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
}
