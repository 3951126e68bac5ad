//! Files to write: opened before sampling starts, so that what cannot be written is said then.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

use super::failure::Failure;

/// Somewhere to write a whole document: it appears when it is complete, or not at all.
pub(super) enum Document {
    /// Standard output.
    Stdout,
    /// A file, written beside its place until it is complete.
    File(NamedTempFile, PathBuf),
}

impl Document {
    /// Opens `path`; standard output for `-` and `None`.
    pub(super) fn create(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self::Stdout);
        };
        refuse_folder(path)?;
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".pyconc-")
            .tempfile_in(folder)
            // Without the temporary name, which means nothing to the user.
            .map_err(|error| io::Error::from(error.kind()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self::File(file, path.to_owned()))
    }

    /// Writes the document by `render`.
    pub(super) fn write(
        self,
        render: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        match self {
            Self::Stdout => {
                let mut out = BufWriter::new(io::stdout().lock());
                match render(&mut out).and_then(|()| out.flush()) {
                    // The reader has gone away, which is nobody's error.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                    written => Ok(written.context("writing to standard output")?),
                }
            }
            Self::File(file, path) => {
                let context = || format!("writing {}", path.display());
                let mut out = BufWriter::new(file);
                render(&mut out).and_then(|()| out.flush()).with_context(context)?;
                let file = out.into_inner().map_err(|error| anyhow::anyhow!(error.to_string()))?;
                file.persist(&path).with_context(context)?;
                Ok(())
            }
        }
    }

    /// The file's name, when it is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdout => None,
            Self::File(_, path) => Some(path),
        }
    }
}

/// Opens a recording's file, which grows in place, so that a crash leaves what was recorded.
pub(super) fn create_recording(path: &Path) -> Result<Box<dyn Write>, Failure> {
    refuse_folder(path)?;
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Box::new(BufWriter::new(file)))
}

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> Result<File, Failure> {
    Ok(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
}

fn refuse_folder(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(anyhow::anyhow!("cannot write {}: it is a folder", path.display()).into());
    }
    Ok(())
}
