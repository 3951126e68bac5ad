//! The detection catalogue. Invariant: names and advice come from `probes/*.toml`; no Python file is named in `src/`.

/// The probes that are in force.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    probes: Vec<Probe>,
}

/// An entry of the catalogue.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The stable name.
    pub id: String,
    /// What is found, in a few words.
    pub title: String,
    /// Why it matters.
    pub why: String,
    /// What to do instead.
    pub advice: String,
}

impl Catalog {
    /// The probe with that id.
    #[must_use]
    pub fn probe(&self, id: &str) -> Option<&Probe> {
        self.probes.iter().find(|probe| probe.id == id)
    }
}
