//! The catalogue: what is built in, and before it the user's own files.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::failure::Failure;
use crate::catalog::Catalog;

/// The catalogue with the `*.toml` files of `folder` before it, in the order of their names.
pub(super) fn load(folder: Option<&Path>) -> Result<Catalog, Failure> {
    let Some(folder) = folder else { return Ok(Catalog::builtin()?) };
    let context = || format!("reading the probes in {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(context)?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()
        .with_context(context)?;
    paths.retain(|path| path.extension().is_some_and(|suffix| suffix == "toml"));
    paths.sort();
    if paths.is_empty() {
        return Err(Failure::usage(
            format!("there is no .toml file in {}", folder.display()),
            "probes/README.md says what such a file looks like",
        ));
    }
    let files = paths.iter().map(|path| {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the probes in {}", path.display()))?;
        Ok((path.display().to_string(), text))
    });
    let files = files.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Catalog::extended(files)?)
}
