//! `--trace` and `--report`: files that a run leaves behind.

use std::io;
use std::path::{Path, PathBuf};

use super::exit::Exit;
use crate::report::file::{OutputError, OutputFile};
use crate::report::page::Page;
use crate::report::{chrome, html};

/// Which files were asked for.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Outputs {
    /// Write what happened when to FILE, as a trace for Perfetto or chrome://tracing
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Write the result to FILE, as one page of HTML
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// The same, found to be writable.
#[derive(Debug, Default)]
pub(super) struct Files {
    trace: Option<OutputFile>,
    report: Option<OutputFile>,
}

/// Why a run does not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    File(#[from] OutputError),
    #[error("--trace and --report are the same file, {}", .0.display())]
    Same(PathBuf),
}

impl Outputs {
    /// Whether a trace was asked for.
    pub(super) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Finds out whether they can be written.
    ///
    /// # Errors
    /// [`Refused`] says which can't, and why.
    pub(super) fn open(&self) -> Result<Files, Refused> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(OutputFile::new).transpose();
        let files = Files {
            trace: open(&self.trace)?,
            report: open(&self.report)?,
        };
        match (files.trace.as_ref(), files.report.as_ref()) {
            (Some(trace), Some(report)) if are_same(trace.file(), report.file()) => {
                Err(Refused::Same(report.file().unwrap_or(Path::new("")).into()))
            }
            _ => Ok(files),
        }
    }
}

fn are_same(one: Option<&Path>, other: Option<&Path>) -> bool {
    one.is_some() && one == other
}

impl Files {
    /// Whether any was asked for, so that there is a reason to record.
    pub(super) fn are_asked(&self) -> bool {
        self.trace.is_some() || self.report.is_some()
    }

    /// Writes them. The result was printed before: `exit` is what it came to, and what this comes to
    /// unless a file can't be written, which is told.
    pub(super) fn write(self, page: &Page, exit: Exit) -> Exit {
        let trace = self.trace.map(|file| file.write(|out| trace(page, out)));
        let report = self
            .report
            .map(|file| file.write(|out| html::write(page, out)));
        let mut exit = exit;
        for error in [trace, report]
            .into_iter()
            .flatten()
            .filter_map(Result::err)
        {
            log::error!("{error}");
            exit = Exit::Usage;
        }
        exit
    }
}

fn trace(page: &Page, out: &mut dyn io::Write) -> io::Result<()> {
    let about = [
        ("title", page.title.clone()),
        ("verdict", page.verdict.word.clone()),
        ("command", page.configuration.command.clone()),
    ];
    let none = crate::report::timeline::Timeline::default();
    chrome::write(page.timeline.as_ref().unwrap_or(&none), &about, out)
}
