//! Files to write: opened before sampling starts, so that what cannot be written is said then.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

use super::failure::Failure;

/// Somewhere to write a whole document.
pub(super) enum Document {
    /// Standard output.
    Stdout,
    /// A file, written beside its place until it is complete: it appears whole, or not at all.
    File(NamedTempFile, PathBuf),
    /// What is there already and is no plain file: a device, a pipe, a link to somewhere.
    Special(File, PathBuf),
}

/// What a file that we make may be used for, before the user's mask takes from it.
const MODE: u32 = 0o666;

impl Document {
    /// Opens `path`; standard output for `-` and `None`.
    pub(super) fn create(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self::Stdout);
        };
        refuse_folder(path)?;
        if std::fs::symlink_metadata(path).is_ok_and(|known| !known.is_file()) {
            return Ok(Self::Special(create_in_place(path)?, path.to_owned()));
        }
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let context = || format!("cannot write {}", path.display());
        std::fs::metadata(folder).with_context(context)?;
        let file = tempfile::Builder::new()
            .prefix(".pyconc-")
            .permissions(Permissions::from_mode(MODE))
            .tempfile_in(folder)
            // Without the temporary name, which means nothing to the user.
            .map_err(|error| io::Error::from(error.kind()))
            .with_context(context)?;
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
            Self::Special(file, path) => {
                let context = || format!("writing {}", path.display());
                let mut out = BufWriter::new(file);
                Ok(render(&mut out).and_then(|()| out.flush()).with_context(context)?)
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
            Self::File(_, path) | Self::Special(_, path) => Some(path),
        }
    }
}

/// Opens a recording's file, which grows in place, so that a crash leaves what was recorded. What
/// is in it stays until [`begin_recording`]: who has nothing to record must not lose it.
pub(super) fn open_recording(path: &Path) -> Result<NewFile, Failure> {
    refuse_folder(path)?;
    let is_new = std::fs::symlink_metadata(path).is_err();
    Ok(NewFile { file: create_in_place(path)?, is_new })
}

/// A recording's file.
pub(super) struct NewFile {
    pub file: File,
    /// Whether there was none before.
    pub is_new: bool,
}

/// Empties the file for a recording that begins.
pub(super) fn begin_recording(file: File) -> io::Result<Box<dyn Write>> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(Box::new(BufWriter::new(file)))
}

fn create_in_place(path: &Path) -> Result<File, Failure> {
    let opened = File::options().write(true).create(true).truncate(false).open(path);
    Ok(opened.with_context(|| format!("cannot write {}", path.display()))?)
}

/// Opens a recording for reading.
pub(super) fn open(path: &Path) -> Result<File, Failure> {
    let refused = |error: io::Error| {
        let failure = anyhow::Error::from(error).context(format!("cannot open {}", path.display()));
        Failure::from(failure).with_hint("it takes a recording's file, or the number of a process")
    };
    if path.is_dir() {
        return Err(refused(io::ErrorKind::IsADirectory.into()));
    }
    File::open(path).map_err(refused)
}

/// Refuses to write onto what is to be read.
pub(super) fn refuse_own_input(input: &Path, output: Option<&Path>) -> Result<(), Failure> {
    let is_same = |output: &Path| matches!((input.canonicalize(), output.canonicalize()), (Ok(one), Ok(other)) if one == other);
    match output.filter(|output| is_same(output)) {
        None => Ok(()),
        Some(output) => Err(Failure::usage(
            format!("{} is the recording itself", output.display()),
            "name another file to write",
        )),
    }
}

fn refuse_folder(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(anyhow::anyhow!("cannot write {}: it is a folder", path.display()).into());
    }
    Ok(())
}
