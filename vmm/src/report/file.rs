//! Files that a run leaves behind: a trace, a report.
//!
//! A run may take long, so whether its files can be written is found out before it begins. A file
//! appears whole or not at all: it is written under another name beside its own and then renamed,
//! and what was there before stays until then. What is no file (a device, a pipe) is written to
//! directly.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that is going to be written.
#[derive(Debug)]
pub struct OutputFile {
    /// As it was asked for.
    path: PathBuf,
    place: Place,
}

/// Where it goes.
#[derive(Debug)]
enum Place {
    /// To this path, where there is nothing or a file.
    File(PathBuf),
    /// To what is no file, and is open: a pipe must not be opened twice.
    Open(File),
}

/// Why there is no file. It names the path and says what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Found before the run.
    #[error("{path} can't be written: {error}", path = .path.display())]
    Refused {
        /// As it was asked for.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Found when all was known. Nothing of it is left.
    #[error("{path} could not be written: {error}", path = .path.display())]
    Lost {
        /// As it was asked for.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl OutputFile {
    /// Finds out whether the file can be written, and leaves everything as it is.
    ///
    /// # Errors
    /// [`OutputError::Refused`] if it is a directory, has none, or may not be written.
    pub fn new(path: &Path) -> Result<Self, OutputError> {
        let place = Place::find(path).map_err(|error| OutputError::Refused {
            path: path.to_owned(),
            error,
        })?;
        let path = path.to_owned();
        Ok(Self { path, place })
    }

    /// The file that it is, by its real name; `None` for what is no file. Two outputs with the same
    /// one would overwrite each other.
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(target) => Some(target),
            Place::Open(_) => None,
        }
    }

    /// Writes it by `write`.
    ///
    /// # Errors
    /// [`OutputError::Lost`] if it could not be written to its end. What was there before, if it was
    /// a file, is still there then.
    pub fn write(
        self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        let written = match self.place {
            Place::File(target) => replace(&target, write),
            Place::Open(file) => fill(file, write).map(drop),
        };
        written.map_err(|error| OutputError::Lost {
            path: self.path,
            error,
        })
    }
}

impl Place {
    fn find(path: &Path) -> io::Result<Self> {
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        match metadata {
            Some(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Some(metadata) if !metadata.is_file() => {
                OpenOptions::new().write(true).open(path).map(Self::Open)
            }
            Some(_) => {
                // A file that may not be written is not replaced either.
                OpenOptions::new().write(true).open(path)?;
                Self::beside(fs::canonicalize(path)?)
            }
            None => Self::beside(named(path)?),
        }
    }

    /// A file is written in its directory, so that has to take one.
    fn beside(target: PathBuf) -> io::Result<Self> {
        let (_, temporary) = temporary(&target)?;
        fs::remove_file(temporary)?;
        Ok(Self::File(target))
    }
}

/// The path of a file that is not there yet, in a directory that is.
fn named(path: &Path) -> io::Result<PathBuf> {
    let ends_in_slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let name = path.file_name().filter(|_| !ends_in_slash);
    let name = name.ok_or(io::ErrorKind::NotFound)?;
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    let directory = fs::canonicalize(directory.unwrap_or(Path::new(".")))?;
    Ok(directory.join(name))
}

fn replace(target: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let (file, temporary) = temporary(target)?;
    let keep_mode = |file: &File| match fs::metadata(target) {
        Ok(metadata) => file.set_permissions(metadata.permissions()),
        Err(_) => Ok(()),
    };
    // It is not synced, which could take longer than a run: a local file system says at once that it
    // is full.
    let written = keep_mode(&file)
        .and_then(|()| fill(file, write))
        .and_then(|_| fs::rename(&temporary, target));
    if written.is_err()
        && let Err(error) = fs::remove_file(&temporary)
    {
        log::warn!("{} is left behind: {error}", temporary.display());
    }
    written
}

fn fill(file: File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<File> {
    let mut out = BufWriter::with_capacity(1 << 16, file);
    write(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)
}

/// A new file in the directory of `target`.
fn temporary(target: &Path) -> io::Result<(File, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);

    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!(".stalemate-{}-{number}.part", std::process::id());
    let path = target.with_file_name(name);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    Ok((file, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries.map(name).collect();
        names.sort();
        names
            .into_iter()
            .map(|name| name.into_string().unwrap())
            .collect()
    }

    fn broken(out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&[b'x'; 1 << 17])?;
        Err(io::ErrorKind::StorageFull.into())
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.html");
        let output = OutputFile::new(&path).unwrap();
        assert_eq!(
            names(directory.path()),
            [""; 0],
            "nothing is left by the look"
        );
        output.write(|out| out.write_all(b"whole")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(directory.path()), ["report.html"]);
    }

    #[test]
    fn a_file_that_fails_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.html");
        let lost = OutputFile::new(&path).unwrap().write(broken).unwrap_err();
        assert!(
            lost.to_string()
                .contains("report.html could not be written"),
            "{lost}"
        );
        assert_eq!(names(directory.path()), [""; 0]);
        fs::write(&path, "before").unwrap();
        let lost = OutputFile::new(&path).unwrap().write(broken);
        assert!(matches!(lost, Err(OutputError::Lost { .. })), "{lost:?}");
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(names(directory.path()), ["report.html"]);
    }

    #[test]
    fn what_a_link_leads_to_is_replaced_and_keeps_its_mode() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "before").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        let output = OutputFile::new(&link).unwrap();
        assert_eq!(
            output.file(),
            Some(fs::canonicalize(&file).unwrap().as_path())
        );
        output.write(|out| out.write_all(b"after")).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"after");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o640
        );
    }

    #[test]
    fn what_is_no_file_is_written_directly() {
        let null = OutputFile::new(Path::new("/dev/null")).unwrap();
        assert_eq!(null.file(), None);
        null.write(|out| out.write_all(b"gone")).unwrap();
        let full = OutputFile::new(Path::new("/dev/full")).unwrap();
        let lost = full.write(|out| out.write_all(b"lost")).unwrap_err();
        assert!(
            lost.to_string().contains("/dev/full could not be written"),
            "{lost}"
        );
    }

    #[test]
    fn what_can_not_be_written_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("no/report.html");
        let slash = directory.path().join("report.html/");
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let below = file.join("report.html");
        let long = directory.path().join("x".repeat(300));
        let empty = PathBuf::new();
        for path in [
            &missing,
            &slash,
            &below,
            &long,
            &empty,
            &directory.path().into(),
        ] {
            let refused = OutputFile::new(path);
            assert!(
                matches!(refused, Err(OutputError::Refused { .. })),
                "{path:?}: {refused:?}"
            );
        }
        assert_eq!(names(directory.path()), ["file"]);
    }
}
