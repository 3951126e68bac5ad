//! What can be wrong with a catalogue.

/// Why a catalogue cannot be used: the file, the probe where one is concerned, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}{reason}", .probe.as_ref().map(|id| format!("probe `{id}`: ")).unwrap_or_default())]
pub struct CatalogError {
    /// The file as it was named to [`Catalog::extended`](super::Catalog::extended).
    pub file: String,
    /// The probe's id, or `#N` for the N-th one of a file when it has none.
    pub probe: Option<String>,
    /// What is wrong.
    pub reason: String,
}

impl CatalogError {
    pub(super) fn new(file: &str, probe: Option<&str>, reason: String) -> Self {
        Self { file: file.to_owned(), probe: probe.map(str::to_owned), reason }
    }
}
