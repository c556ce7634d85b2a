//! The traces of the book: every cell that does not hold has its own there.
//!
//! Which cells those are is derived from the scenarios, and what the book shows is read from its pages;
//! neither is written down here. That a block shows what the command prints by now is another test's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use notifier::explore::{NAMES, Verdict};
use tests::host::say;

use crate::reports;

/// Scenario, software, hardware, condition.
type Place = [String; 4];

/// The pages of the protocols; none on a host that has the programs alone.
fn pages() -> Option<Vec<PathBuf>> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = package.parent()?.join("docs/protocols");
    let entries = fs::read_dir(folder).ok()?;
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    Some(
        paths
            .filter(|path| path.extension().is_some_and(|kind| kind == "md"))
            .collect(),
    )
}

/// The cell that a command explores, if it is one cell of a scenario that comes with the command.
fn cell(command: &str) -> Option<[String; 3]> {
    let words: Vec<_> = command.split('|').next()?.split_whitespace().collect();
    let ["stalemate", "explore", name, options @ ..] = &words[..] else {
        return None;
    };
    let value = |option: &str| {
        let at = options.iter().position(|word| *word == option);
        at.and_then(|at| options.get(at + 1))
            .map_or("-", |word| word)
    };
    NAMES
        .contains(name)
        .then(|| [*name, value("--os"), value("--hardware")].map(Into::into))
}

/// The traces of a block, with their lengths.
fn traces(block: &str) -> Vec<(Place, usize)> {
    let Some([name, os, hardware]) = block.lines().next().and_then(cell) else {
        return Vec::new();
    };
    let (mut found, mut condition) = (Vec::new(), "");
    let mut steps = 0;
    for line in block.lines().skip(1) {
        let broken = line.split_once(": ").filter(|(_, verdict)| {
            [Verdict::Violated, Verdict::Livelock]
                .iter()
                .any(|one| verdict.starts_with(&one.to_string()))
        });
        match broken {
            Some((property, _)) if !line.starts_with(' ') => (condition, steps) = (property, 0),
            _ if line.starts_with("  in the end: ") => {
                let place = [&name, &os, &hardware, condition].map(ToString::to_string);
                found.push((place, steps));
            }
            _ => {
                let number = line.split_whitespace().next().map(str::parse::<usize>);
                let next = number.is_some_and(|number| number == Ok(steps + 1));
                steps += usize::from(next && line.starts_with("   "));
            }
        }
    }
    found
}

/// What the pages show.
fn shown(pages: &[PathBuf]) -> BTreeMap<Place, usize> {
    let texts = pages
        .iter()
        .map(|page| fs::read_to_string(page).expect("it can be read"));
    texts
        .flat_map(|text| {
            let blocks = text.split("```console\n$ ").skip(1);
            let blocks = blocks.filter_map(|part| part.split_once("\n```\n"));
            blocks
                .flat_map(|(block, _)| traces(block))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// What does not hold.
fn broken() -> BTreeMap<Place, usize> {
    let word = |value: &Option<String>| value.clone().unwrap_or("-".into());
    let all = NAMES
        .into_iter()
        .flat_map(|name| reports(name).iter().map(move |one| (name, one)));
    all.flat_map(|(name, report)| {
        let place = [
            name.into(),
            word(&report.cell.os),
            word(&report.cell.hardware),
        ];
        let broken = report
            .properties
            .iter()
            .filter(|one| one.verdict != Verdict::Holds);
        broken.map(move |one| {
            let [name, os, hardware] = place.clone();
            let length = one.trace.as_ref().map_or(0, |trace| trace.steps.len());
            ([name, os, hardware, one.property.clone()], length)
        })
    })
    .collect()
}

#[test]
fn every_cell_that_does_not_hold_has_its_trace_in_the_book() {
    let Some(pages) = pages() else {
        say("skipped: the book is not on this host");
        return;
    };
    let (shown, broken) = (shown(&pages), broken());
    let missing: Vec<_> = broken
        .iter()
        .filter(|(place, length)| shown.get(*place) != Some(length))
        .collect();
    assert!(missing.is_empty(), "not in the book: {missing:#?}");
    assert!(shown.keys().all(|place| broken.contains_key(place)));
}
