//! Steps that are made too early, too late, or in the wrong order.

use super::lost::is_step;
use crate::mutate::class::Class;
use crate::mutate::mutant::{Variation, is_in_atomic, words};
use crate::mutate::site::Site;
use crate::mutate::step::{Sort, View};
use crate::scenario::tree::{LockAction, Scenario, Statement};

/// The step at other places of its block, and just outside of it.
pub(super) fn moved(view: &View<'_>, site: &Site, statement: &Statement) -> Vec<Variation> {
    let scenario = &view.checked.scenario;
    let sort = view.sort(statement);
    let mut all = Vec::new();
    if is_step(&statement.action) && (sort.is_told() || matches!(sort, Sort::Lock(_))) {
        if !is_in_atomic(scenario, site) {
            all.extend(along(view, site, sort));
        }
        if sort.is_told() {
            all.extend(out(scenario, site));
        }
    } else if sort == Sort::Entry && is_step(&statement.action) {
        all.extend(along(view, site, sort));
    }
    all
}

/// How far a step of this sort goes forward and back: what only widens a lock harms nobody, and an
/// entry's change is exchanged with that of another entry only.
fn reach(sort: Sort, later: bool) -> usize {
    use LockAction::{Lock, ReadLock, WriteLock};
    match (sort, later) {
        (Sort::Lock(Lock | ReadLock | WriteLock), true) | (Sort::Entry, true) => 1,
        (Sort::Lock(Lock | ReadLock | WriteLock), false) | (Sort::Entry, false) => 0,
        (Sort::Lock(_), later) => usize::from(!later),
        _ => usize::MAX,
    }
}

fn along(view: &View<'_>, site: &Site, sort: Sort) -> Vec<Variation> {
    let scenario = &view.checked.scenario;
    let block = site.block.of(scenario);
    let earlier = (0..site.index).rev();
    let later = site.index + 1..block.len();
    let mut all = walk(view, site, sort, block, earlier, false);
    all.extend(walk(view, site, sort, block, later, true));
    all
}

/// Goes over the steps of `others`, one more each time, as far as the sort allows.
fn walk(
    view: &View<'_>,
    site: &Site,
    sort: Sort,
    block: &[Statement],
    others: impl Iterator<Item = usize>,
    later: bool,
) -> Vec<Variation> {
    let mut all = Vec::new();
    let mut crossed: Vec<Sort> = Vec::new();
    for other in others {
        let passed = view.sort(&block[other]);
        match passed {
            Sort::Local => continue,
            // What stands behind a jump is not made at all, which is another class.
            Sort::Jump if later && block[other].action.blocks().is_empty() => break,
            _ => crossed.push(passed),
        }
        if crossed.len() > reach(sort, later) {
            break;
        }
        let Some(class) = class(sort, &crossed, later) else {
            continue;
        };
        let side = if later { "after" } else { "before" };
        all.push(Variation {
            class,
            change: format!("{side} `{}`", words(&block[other])),
            scenario: carried(&view.checked.scenario, site, other),
        });
    }
    all
}

fn class(sort: Sort, crossed: &[Sort], later: bool) -> Option<Class> {
    let orders = |one: &Sort| one.is_told() || matches!(one, Sort::Lock(_));
    match (sort, crossed) {
        (Sort::Entry, [Sort::Entry]) => Some(Class::WrongOrder),
        (Sort::Entry, _) => None,
        // A wider lock is none of the nine.
        (Sort::Lock(_), [Sort::Lock(_)]) => None,
        (_, [one]) if orders(one) && orders(&sort) => Some(Class::WrongOrder),
        _ if later => Some(Class::TooLate),
        _ => Some(Class::TooEarly),
    }
}

/// The scenario with a step at the index that another one of its block has.
pub(in crate::mutate) fn carried(scenario: &Scenario, site: &Site, to: usize) -> Scenario {
    let mut scenario = scenario.clone();
    site.block.change(&mut scenario, |block| {
        if site.index.max(to) < block.len() {
            let statement = block.remove(site.index);
            block.insert(to, statement);
        }
    });
    scenario
}

/// Before and after the statement around it.
fn out(scenario: &Scenario, site: &Site) -> Vec<Variation> {
    let Some(parent) = site.block.around(scenario) else {
        return Vec::new();
    };
    [Class::TooEarly, Class::TooLate]
        .into_iter()
        .filter_map(|class| {
            let later = class == Class::TooLate;
            let change = match later {
                true => "after the block around it",
                false => "before the block around it",
            };
            Some(Variation {
                class,
                change: change.into(),
                scenario: outside(scenario, site, &parent, usize::from(later))?,
            })
        })
        .collect()
}

/// The scenario with a step `behind` the statement around it (1), or before it (0).
pub(in crate::mutate) fn outside(
    scenario: &Scenario,
    site: &Site,
    parent: &Site,
    behind: usize,
) -> Option<Scenario> {
    let statement = site.of(scenario)?.clone();
    let mut scenario = scenario.clone();
    site.remove(&mut scenario);
    let to = Site {
        index: parent.index + behind,
        ..parent.clone()
    };
    to.insert(&mut scenario, statement);
    Some(scenario)
}
