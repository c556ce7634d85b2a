//! Trying one edit after the other, then two together.

use std::collections::HashSet;

use notifier::explore::{Limits, Most, Reductions, Report, Until, explore};
use notifier::mutate::{Edit, Standing, always_ends, cost, edits};
use notifier::scenario::{Checked, Span, format};
use serde::Serialize;

use super::super::edit::Crew;
use super::super::target::Loaded;
use super::super::watch::Turn;

/// Scenarios that are tried for a cell at most.
pub(super) const CANDIDATES: usize = 5_000;

/// What ended the search for repairs before its end.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Cut {
    /// So many are tried at most.
    Candidates,
    /// Ctrl-C.
    Interrupted,
}

/// A scenario on the way to a repair.
pub(super) struct Try {
    pub(super) done: Vec<(Span, String)>,
    /// The worst of those steps.
    standing: Standing,
    pub(super) checked: Checked,
}

/// What came of trying one.
#[derive(Clone, Copy)]
enum Came {
    Repaired(Most),
    Broken,
    Undecided,
    /// Ctrl-C came before.
    NotBegun,
}

/// The search for the repairs of one cell.
pub(super) struct Search<'a> {
    crew: &'a Crew,
    original: &'a Report,
    turn: &'a Turn<'a>,
    /// Whether all agents can always come to their end, so that they must in what is repaired.
    ends: bool,
    seen: HashSet<String>,
    pub(super) tried: usize,
    pub(super) undecided: usize,
    pub(super) cut: Option<Cut>,
    /// The best first.
    pub(super) found: Vec<(Most, Try)>,
    /// Whether it is certain that fewer edits do not do.
    fewer_known: bool,
}

impl<'a> Search<'a> {
    pub(super) fn run(
        crew: &'a Crew,
        loaded: &Loaded,
        original: &'a Report,
        bound: u8,
        turn: &'a Turn<'a>,
    ) -> Self {
        let mut search = Self {
            crew,
            original,
            turn,
            ends: ends(crew, loaded, original, turn),
            seen: HashSet::from([format(&loaded.checked.scenario)]),
            tried: 0,
            undecided: 0,
            cut: None,
            found: Vec::new(),
            fewer_known: true,
        };
        search.levels(&loaded.checked, bound);
        // The order in which they were found is that of the text, and stays so among equals.
        search.found.sort_by_key(|(cost, found)| match cost {
            Most::Times(times) => (false, *times, found.standing),
            Most::Unbounded => (true, 0, found.standing),
        });
        search
    }

    /// Whether there are repairs, and it is certain that none has fewer edits.
    pub(super) fn is_fewest(&self) -> bool {
        let whole = self.cut != Some(Cut::Interrupted);
        !self.found.is_empty() && self.fewer_known && whole
    }

    fn levels(&mut self, checked: &Checked, bound: u8) {
        let mut level = vec![Try {
            done: Vec::new(),
            standing: Standing::LockedAnswer,
            checked: checked.clone(),
        }];
        for depth in 1..=bound {
            self.fewer_known = self.undecided == 0;
            level = self.level(&level, depth == bound);
            if !self.found.is_empty() || self.cut.is_some() {
                break;
            }
        }
    }

    /// Tries one edit more on each; what is still broken, unless it is of no use any more.
    fn level(&mut self, from: &[Try], last: bool) -> Vec<Try> {
        let mut broken = Vec::new();
        for start in from {
            if self.crew.is_stopped() {
                self.cut = Some(Cut::Interrupted);
            }
            if self.cut.is_some() {
                break;
            }
            let tries = self.next(start);
            let came = self.explore(&tries);
            if self.crew.is_stopped() {
                self.cut = Some(Cut::Interrupted);
            }
            for (tried, came) in tries.into_iter().zip(came) {
                self.tried += usize::from(!matches!(came, Came::NotBegun));
                match came {
                    Came::NotBegun => {}
                    Came::Repaired(cost) => self.found.push((cost, tried)),
                    Came::Undecided => self.undecided += 1,
                    Came::Broken if last => {}
                    Came::Broken => broken.push(tried),
                }
            }
        }
        broken
    }

    fn next(&mut self, start: &Try) -> Vec<Try> {
        let mut tries = Vec::new();
        for Edit {
            span,
            words,
            standing,
            checked,
        } in edits(&start.checked, &self.original.cell)
        {
            if self.tried + tries.len() == CANDIDATES {
                self.cut = Some(Cut::Candidates);
                break;
            }
            if self.seen.insert(format(&checked.scenario)) {
                let mut done = start.done.clone();
                done.push((span, words));
                tries.push(Try {
                    done,
                    standing: standing.max(start.standing),
                    checked,
                });
            }
        }
        tries
    }

    fn explore(&self, tries: &[Try]) -> Vec<Came> {
        let (turn, tried) = (self.turn, self.tried);
        let what = match tried {
            0 => turn.to_string(),
            _ => format!("{turn}; {tried} of at most {CANDIDATES} tried"),
        };
        let came = |one: &Try| match self.crew.is_stopped() {
            true => Came::NotBegun,
            false => self.came(&one.checked),
        };
        self.crew.each(&what, tries, came)
    }

    fn came(&self, changed: &Checked) -> Came {
        let (cell, limits) = (&self.original.cell, &self.crew.limits);
        let watch = &mut self.crew.watch(self.turn);
        // What else is broken does not matter.
        let until = Limits {
            until: Until::Broken,
            ..*limits
        };
        let report = match explore(changed, cell, &until, Reductions::On, watch) {
            Ok(report) => report,
            // A value that does not fit is no repair.
            Err(_) => return Came::Broken,
        };
        if report.is_broken() || report.stuck.is_some() {
            return Came::Broken;
        }
        if !report.holds() || report.cut.is_some() {
            return Came::Undecided;
        }
        match self.ends.then(|| always_ends(changed, cell, limits, watch)) {
            None | Some(Some(true)) => Came::Repaired(cost(&report)),
            Some(Some(false)) => Came::Broken,
            Some(None) => Came::Undecided,
        }
    }
}

/// Whether all agents can always come to their end in the original.
fn ends(crew: &Crew, loaded: &Loaded, original: &Report, turn: &Turn<'_>) -> bool {
    let (checked, cell) = (&loaded.checked, &original.cell);
    let asked = || always_ends(checked, cell, &crew.limits, &mut crew.watch(turn));
    !crew.is_stopped() && asked() == Some(true)
}
