//! What could be left out: flushes, notifications and waits, one at a time and several together.

use super::live;
use super::mutant::words;
use super::operators::is_step;
use super::site::Site;
use super::step::View;
use crate::explore::Cell;
use crate::scenario::tree::Scenario;
use crate::scenario::{Checked, Diagnostic, Span, check_edited};

/// A step that can be tried without.
#[derive(Clone, Debug)]
pub struct Removal {
    site: Site,
    /// The step in the text.
    pub span: Span,
    /// What it does.
    pub step: String,
}

/// The steps of `checked` in `cell` that invalidate, wait or tell, in the order of the text: single
/// ones, `atomic` blocks of nothing else, and calls of procedures that do nothing else.
pub fn removals(checked: &Checked, cell: &Cell) -> Vec<Removal> {
    let view = View::new(checked, cell);
    let sites = live::sites(&view).into_iter();
    let removal = |site: Site| {
        let statement = site.of(&checked.scenario)?;
        let told = is_step(&statement.action) && view.sort(statement).is_told();
        told.then(|| Removal {
            span: statement.span,
            step: words(statement),
            site,
        })
    };
    sites.filter_map(removal).collect()
}

/// The scenario without these steps. `None` if one of them is a part of another one, or is not come
/// to any more without the others: then fewer of them say the same.
///
/// # Errors
/// What is left makes no sense.
pub fn without(
    checked: &Checked,
    cell: &Cell,
    removed: &[&Removal],
) -> Option<Result<Checked, Diagnostic>> {
    let mut order: Vec<_> = removed.iter().map(|removal| &removal.site).collect();
    // From the end, so that what is still to be removed stays where it is.
    order.sort();
    order.reverse();
    for kept in &order {
        let others = order.iter().filter(|site| site != &kept);
        let mut scenario = checked.scenario.clone();
        others.for_each(|site| site.remove(&mut scenario));
        let wanted = kept.of(&checked.scenario)?.span;
        let mut left = live_spans(scenario, cell)?.into_iter();
        left.find(|span| (span.start, span.end) == (wanted.start, wanted.end))?;
    }
    let mut scenario = checked.scenario.clone();
    order.iter().for_each(|site| site.remove(&mut scenario));
    Some(check_edited(scenario))
}

/// Where in the text of the original the steps are that are still come to.
fn live_spans(scenario: Scenario, cell: &Cell) -> Option<Vec<Span>> {
    let changed = check_edited(scenario).ok()?;
    let sites = live::sites(&View::new(&changed, cell)).into_iter();
    let spans = sites.filter_map(|site| site.of(&changed.scenario).map(|one| one.span));
    Some(spans.collect())
}
