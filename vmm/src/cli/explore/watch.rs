//! Ctrl-C, and the line that tells on a terminal how far a search has come.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use notifier::explore::{Cell, Progress, Report};
use signal_hook::consts::SIGINT;
use signal_hook::flag;

use super::super::visible::on_one_line;

/// As a shell tells of a command that SIGINT ended.
const KILLED: i32 = 130;
/// Between two lines.
const PAUSE: Duration = Duration::from_millis(100);
/// Characters of a line, and of a name in it.
const LINE: usize = 118;
const NAME: usize = 24;

/// Who is asked whether to go on, and told how far it has come.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    terminal: bool,
    /// What is on the terminal, and since when.
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    characters: usize,
    since: Option<Instant>,
}

impl Watch {
    /// From now on Ctrl-C ends the search, and what was found is told; a second one ends the command
    /// at once.
    pub(super) fn new() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        // In this order: the first Ctrl-C finds the flag not yet set.
        let second = flag::register_conditional_shutdown(SIGINT, KILLED, Arc::clone(&stop));
        let first = second.and_then(|_| flag::register(SIGINT, Arc::clone(&stop)));
        if let Err(error) = first {
            log::warn!("Ctrl-C will end this without a report: {error}");
        }
        Self {
            stop,
            terminal: io::stderr().is_terminal(),
            shown: Mutex::default(),
        }
    }

    /// Whether Ctrl-C was pressed.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether to go on.
    pub(super) fn go_on(&self) -> ControlFlow<()> {
        match self.is_stopped() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Puts `text` in the place of what was shown before, unless that was just now.
    pub(super) fn show(&self, text: impl FnOnce() -> String) {
        if !self.terminal {
            return;
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.since.is_none_or(|since| since.elapsed() >= PAUSE) {
            let text = clipped(&on_one_line(&text()), LINE);
            let width = shown.characters;
            shown.characters = text.chars().count();
            shown.since = Some(Instant::now());
            let _ = write!(io::stderr(), "\r{text:width$}");
        }
    }

    /// Takes away what was shown.
    pub(super) fn clear(&self) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.characters > 0 {
            let _ = write!(io::stderr(), "\r{:1$}\r", "", shown.characters);
        }
        *shown = Shown::default();
    }
}

/// Which cell it is of how many.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    pub(super) scenario: &'a str,
    /// From 1 on.
    pub(super) number: usize,
    pub(super) of: usize,
    pub(super) cell: &'a Cell,
}

impl<'a> Turn<'a> {
    /// That of a cell that was explored: number `at`, from 0 on.
    pub(super) fn at(report: &'a Report, at: usize, of: usize) -> Self {
        Self {
            scenario: &report.scenario,
            number: at + 1,
            of,
            cell: &report.cell,
        }
    }
}

impl std::fmt::Display for Turn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |value: &Option<String>| clipped(value.as_deref().unwrap_or("-"), NAME);
        let Cell { os, hardware } = self.cell;
        let scenario = clipped(self.scenario, NAME);
        let (number, of) = (self.number, self.of);
        let (os, hardware) = (name(os), name(hardware));
        write!(
            f,
            "{scenario}, cell {number} of {of}: os {os}, hardware {hardware}"
        )
    }
}

/// How far a search has come.
pub(super) fn progress(progress: &Progress) -> String {
    let (states, depth) = (rounded(progress.states), progress.depth);
    format!("{states} states, {depth} steps deep")
}

fn rounded(states: usize) -> String {
    match states {
        0..10_000 => states.to_string(),
        10_000..1_000_000 => format!("{} k", states / 1000),
        _ => format!("{}.{} M", states / 1_000_000, states / 100_000 % 10),
    }
}

fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.into(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_which_cell_it_is_of_how_many() {
        let cell = Cell {
            os: Some("none".into()),
            hardware: Some("x".repeat(30)),
        };
        let turn = Turn {
            scenario: "uffd-wp",
            number: 3,
            of: 12,
            cell: &cell,
        };
        let hardware = "x".repeat(24) + "...";
        assert_eq!(
            turn.to_string(),
            format!("uffd-wp, cell 3 of 12: os none, hardware {hardware}")
        );
    }

    #[test]
    fn states_are_told_in_round_numbers() {
        let told = [9_999, 10_000, 999_999, 1_250_000]
            .map(|states| progress(&Progress { states, depth: 7 }));
        assert_eq!(
            told,
            ["9999", "10 k", "999 k", "1.2 M"].map(|one| format!("{one} states, 7 steps deep"))
        );
    }
}
