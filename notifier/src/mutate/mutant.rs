//! The mutants of a scenario in one cell.

use std::collections::HashSet;

use super::class::Class;
use super::site::Site;
use super::step::View;
use super::{live, operators};
use crate::explore::Cell;
use crate::scenario::tree::{Action, Scenario, Statement};
use crate::scenario::{Checked, Span, check_edited, format, format_statement};

/// A scenario with one mistake in it.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// What kind of mistake.
    pub class: Class,
    /// The step in the text of the original.
    pub span: Span,
    /// What that step does: its label, or the statement itself.
    pub step: String,
    /// What was done to it.
    pub change: String,
    /// The whole scenario with the mistake.
    pub checked: Checked,
}

/// What an operator makes of one step.
pub(super) struct Variation {
    pub(super) class: Class,
    pub(super) change: String,
    pub(super) scenario: Scenario,
}

/// All mutants of `checked` in `cell`, in the order of the text and of [`Class::ALL`]. What no longer
/// makes sense (a loop without an end) is left out, and what reads like another one too.
pub fn mutants(checked: &Checked, cell: &Cell) -> Vec<Mutant> {
    let view = View::new(checked, cell);
    let mut seen = HashSet::from([format(&checked.scenario)]);
    let mut all = Vec::new();
    for site in live::sites(&view) {
        let Some(statement) = site.of(&checked.scenario) else {
            continue;
        };
        for variation in operators::all(&view, &site, statement) {
            if !seen.insert(format(&variation.scenario)) {
                continue;
            }
            if let Ok(mutated) = check_edited(variation.scenario) {
                all.push(Mutant {
                    class: variation.class,
                    span: statement.span,
                    step: words(statement),
                    change: variation.change,
                    checked: mutated,
                });
            }
        }
    }
    all.sort_by_key(|mutant| mutant.class);
    all
}

/// The step as a reader of the scenario knows it; of a block that has no label, the head.
pub(super) fn words(statement: &Statement) -> String {
    if !statement.label.is_empty() {
        return statement.label.clone();
    }
    let text = format_statement(statement);
    let is_step = operators::is_step(&statement.action);
    let head = text.split(" {").next().filter(|_| !is_step);
    head.unwrap_or(&text).trim_end_matches(';').into()
}

/// Whether a site is inside of an `atomic` block, where nobody acts in between.
pub(super) fn is_in_atomic(scenario: &Scenario, site: &Site) -> bool {
    let mut block = site.block.clone();
    while let Some(parent) = block.parent() {
        let statement = parent.of(scenario);
        if statement.is_some_and(|one| matches!(one.action, Action::Atomic(_))) {
            return true;
        }
        block = parent.block;
    }
    false
}
