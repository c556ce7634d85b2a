//! `stalemate format`: scenarios in their one proper form.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use notifier::scenario::{self, Diagnostic};

use super::exit::Exit;
use super::explore;
use super::run::print;
use super::visible::{on_one_line, visible};

/// The arguments of `format`.
#[derive(Debug, clap::Args)]
pub(super) struct Format {
    /// Files; without an option one, whose proper form is printed
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Print the names of those that differ; the exit code is 1 if there are any
    #[arg(long, conflicts_with = "write")]
    check: bool,

    /// Rewrite those that differ, each as a whole or not at all
    #[arg(long)]
    write: bool,
}

/// What one file is to be.
struct Formatted {
    differs: bool,
    text: String,
}

pub(super) fn format(arguments: &Format) -> Exit {
    let Format {
        files,
        check,
        write,
    } = arguments;
    match (&files[..], check, write) {
        (_, true, _) => all(files, differing),
        (_, _, true) => all(files, rewrite),
        ([file], ..) => all(std::slice::from_ref(file), show),
        _ => {
            let message = "several files are formatted with --write or --check only";
            refused(message);
            Exit::Usage
        }
    }
}

/// Does it with each file; what is wrong with one keeps none of the others from it.
fn all(files: &[PathBuf], one: impl Fn(&Path) -> Result<Exit, String>) -> Exit {
    let mut worst = Exit::Good;
    for file in files {
        let exit = one(file).unwrap_or_else(|message| {
            refused(&message);
            Exit::Usage
        });
        if exit.code() > worst.code() {
            worst = exit;
        }
    }
    worst
}

fn refused(message: &str) {
    let _ = writeln!(io::stderr(), "stalemate: error: {}", visible(message));
}

/// What goes to a file or another program is the text itself; what goes to a terminal is only seen.
fn show(path: &Path) -> Result<Exit, String> {
    let formatted = formatted(path)?;
    let text = formatted.text.trim_end_matches('\n');
    Ok(match io::stdout().is_terminal() {
        true => print(&visible(text), Exit::Good),
        false => print(text, Exit::Good),
    })
}

fn differing(path: &Path) -> Result<Exit, String> {
    match formatted(path)?.differs {
        true => Ok(print(&name(path), Exit::Bad)),
        false => Ok(Exit::Good),
    }
}

fn rewrite(path: &Path) -> Result<Exit, String> {
    let failed = |error: io::Error| format!("{} can't be written: {error}", name(path));
    // A link stays a link; what it leads to is written.
    let target = fs::canonicalize(path).map_err(|error| unreadable(path, &error))?;
    let formatted = formatted(&target)?;
    if formatted.differs {
        replace(&target, &formatted.text).map_err(failed)?;
    }
    Ok(Exit::Good)
}

fn formatted(path: &Path) -> Result<Formatted, String> {
    let bytes = explore::bytes(path).map_err(|error| unreadable(path, &error))?;
    let name = name(path);
    let located = |error: Diagnostic, text: &str| error.locate(&name, text).to_string();
    let old = scenario::text(&bytes).map_err(|error| located(error, ""))?;
    let tree = scenario::parse(old).map_err(|error| located(error, old))?;
    let text = scenario::format(&tree);
    Ok(Formatted {
        differs: text != old,
        text,
    })
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{} can't be read: {error}", name(path))
}

fn name(path: &Path) -> String {
    on_one_line(&path.display().to_string())
}

/// Puts a new file in the place of `path`, which whoever reads it sees as it was or as it is to be.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // To replace a file is to write to its folder; who may not write to the file is kept from it.
    let old = OpenOptions::new().write(true).open(path)?.metadata()?;
    if !old.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let (new, mut file) = beside(path)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.set_permissions(old.permissions()))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // The first error is the one that counts.
        let _ = fs::remove_file(&new);
    }
    written
}

/// A new file in the same folder, so that it can be renamed; nobody else may read it yet.
fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let new = path.with_file_name(name);
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    Ok((new, file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_with_its_permissions_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.litmus");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        for odd in ["/dev/null", "/"] {
            assert!(replace(Path::new(odd), "new").is_err(), "{odd}");
        }
    }
}
