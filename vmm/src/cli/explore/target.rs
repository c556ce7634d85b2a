//! The scenarios and cells that are asked for.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use notifier::explore::{self, Cell};
use notifier::scenario::tree::Axis;
use notifier::scenario::{self, Checked, Diagnostic};

use super::super::visible::on_one_line;
use super::Explore;

/// A scenario with the cells that are asked for.
pub(in super::super) struct Loaded {
    pub(in super::super) file: String,
    pub(in super::super) text: String,
    pub(in super::super) checked: Checked,
    pub(in super::super) cells: Vec<Cell>,
}

/// The variants that are asked for; all where nothing is said.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Chosen<'a> {
    pub(in super::super) os: Option<&'a str>,
    pub(in super::super) hardware: Option<&'a str>,
}

/// All mistakes are told before the first search, which may take long.
pub(super) fn load_all(arguments: &Explore) -> Result<Vec<Loaded>, String> {
    let targets = arguments.targets.iter();
    let chosen = Chosen {
        os: arguments.os.as_deref(),
        hardware: arguments.hardware.as_deref(),
    };
    targets.map(|target| load(target, chosen)).collect()
}

/// One of them, with the cells of the chosen variants.
///
/// # Errors
/// What is wrong, with its place.
pub(in super::super) fn load(target: &Path, chosen: Chosen<'_>) -> Result<Loaded, String> {
    let (file, bytes) = read(target)?;
    let located = |error: Diagnostic, text: &str| error.locate(&file, text).to_string();
    let text = scenario::text(&bytes).map_err(|error| located(error, ""))?;
    let checked = scenario::parse(text)
        .and_then(scenario::check)
        .map_err(|error| located(error, text))?;
    let cells = cells(&checked, chosen).map_err(|error| located(error, text))?;
    Ok(Loaded {
        text: text.into(),
        file,
        checked,
        cells,
    })
}

/// A scenario that comes with the command, or a file; never more of it than is of use.
fn read(target: &Path) -> Result<(String, Vec<u8>), String> {
    let shown = on_one_line(&target.display().to_string());
    if let Some(text) = target.to_str().and_then(explore::embedded) {
        if target.is_file() {
            // Whoever has such a file may mean it.
            let _ = writeln!(
                io::stderr(),
                "stalemate: note: `{shown}` is the scenario that comes with the command, not the \
                 file of this name here; that is `./{shown}`"
            );
        }
        return Ok((format!("{shown}.litmus"), text.into()));
    }
    match bytes(target) {
        Ok(bytes) => Ok((shown, bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let hint = match scenario::nearest(&plain(target), explore::NAMES) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the scenarios are {}", explore::NAMES.join(", ")),
            };
            Err(format!(
                "`{shown}` is neither a scenario nor a file\n  hint: {hint}"
            ))
        }
        Err(error) => Err(format!("{shown} can't be read: {error}")),
    }
}

/// What a path would be as the name of a scenario: without folders and without the suffix.
fn plain(target: &Path) -> String {
    let name = match target.extension() {
        Some(suffix) if suffix == "litmus" => target.file_stem(),
        _ => target.file_name(),
    };
    let name = name.unwrap_or(target.as_os_str());
    name.to_string_lossy().into_owned()
}

/// What a file contains, as far as it can be a scenario.
pub(in super::super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    bytes_up_to(path, scenario::MAX_BYTES)
}

/// What a file contains, and never much more of it than `most` bytes.
pub(in super::super) fn bytes_up_to(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = most as u64 + 1;
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The cells that are asked for, row by row.
fn cells(checked: &Checked, chosen: Chosen<'_>) -> Result<Vec<Cell>, Diagnostic> {
    let rows = asked(checked, Axis::Os, chosen.os)?;
    let columns = asked(checked, Axis::Hardware, chosen.hardware)?;
    let row = |os: &Option<String>| {
        let cell = |hardware: &Option<String>| Cell {
            os: os.clone(),
            hardware: hardware.clone(),
        };
        columns.iter().map(cell).collect::<Vec<_>>()
    };
    Ok(rows.iter().flat_map(row).collect())
}

/// The values of an axis that are asked for; `None` for that of an axis that the file does not have.
fn asked(
    checked: &Checked,
    axis: Axis,
    asked: Option<&str>,
) -> Result<Vec<Option<String>>, Diagnostic> {
    let known: Vec<&str> = checked.symbols.of_axis(axis).collect();
    let Some(asked) = asked else {
        let all = known.iter().map(|name| Some((*name).to_owned()));
        return Ok(match known.is_empty() {
            true => vec![None],
            false => all.collect(),
        });
    };
    if known.contains(&asked) {
        return Ok(vec![Some(asked.into())]);
    }
    let error = Diagnostic::whole(format!("no {} is called `{asked}`", axis.word()));
    Err(match scenario::nearest(asked, known.iter().copied()) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None if known.is_empty() => error.hint("it has no such variants"),
        None => error.hint(format!("one of {}", known.join(", "))),
    })
}
