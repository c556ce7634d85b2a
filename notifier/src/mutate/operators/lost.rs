//! Steps that are missing, and steps that never complete.

use super::{beside, instead, number};
use crate::mutate::class::Class;
use crate::mutate::mutant::{Variation, is_in_atomic};
use crate::mutate::site::Site;
use crate::mutate::step::{Sort, View};
use crate::scenario::format_statement;
use crate::scenario::tree::{Action, LockAction, Place, Scenario, Statement};

/// The step is not made; a lock is neither taken nor dropped; what was compared is just written.
pub(super) fn missing(view: &View<'_>, site: &Site, statement: &Statement) -> Vec<Variation> {
    let change = match &statement.action {
        Action::Lock(..) => "the lock is not taken",
        Action::Cmpxchg { .. } => "written without a comparison",
        _ => "removed",
    };
    let mut scenario = view.checked.scenario.clone();
    match &statement.action {
        Action::Lock(LockAction::Lock | LockAction::ReadLock | LockAction::WriteLock, lock) => {
            without_lock(&mut scenario, site, lock);
        }
        Action::Cmpxchg {
            place,
            new,
            success,
            ..
        } => {
            let write = instead(statement, Action::Assign(place.clone(), new.clone()));
            let told = beside(statement, "", Action::Assign(success.clone(), number(1)));
            site.replace(&mut scenario, vec![write, told]);
        }
        action if is_step(action) && view.sort(statement).is_told() => site.remove(&mut scenario),
        _ => return Vec::new(),
    }
    vec![Variation {
        class: Class::Missing,
        change: change.into(),
        scenario,
    }]
}

/// Whether it is a step of its own and no frame around others, whose inside comes to its turn.
pub(in crate::mutate) fn is_step(action: &Action) -> bool {
    action.blocks().is_empty() || matches!(action, Action::Atomic(_))
}

/// Takes a lock's taking and droppings out of one body.
fn without_lock(scenario: &mut Scenario, site: &Site, lock: &Place) {
    let body = crate::mutate::site::Block::body(site.block.item, site.block.part);
    body.change(scenario, |block| strip(block, lock));
}

fn strip(block: &mut Vec<Statement>, lock: &Place) {
    block.retain(|one| !matches!(&one.action, Action::Lock(_, place) if place == lock));
    for statement in block {
        for inner in statement.action.blocks_mut() {
            strip(inner, lock);
        }
    }
}

/// It never completes: a lock is kept, what is waited for does not come, nobody answers.
pub(super) fn not_live(view: &View<'_>, site: &Site, statement: &Statement) -> Vec<Variation> {
    let mut scenario = view.checked.scenario.clone();
    let never = Action::Await(number(0));
    let change = match &statement.action {
        Action::Lock(LockAction::Unlock | LockAction::ReadUnlock | LockAction::WriteUnlock, _) => {
            site.remove(&mut scenario);
            format!("no `{}`", format_statement(statement).trim_end_matches(';'))
        }
        Action::Await(_) => {
            site.replace(&mut scenario, vec![instead(statement, never)]);
            "waits for what never comes".into()
        }
        action if is_step(action) && view.sort(statement) == Sort::Invalidation => {
            if is_in_atomic(&view.checked.scenario, site) || matches!(action, Action::Call(..)) {
                return Vec::new();
            }
            let wait = beside(statement, "waits for an answer that never comes", never);
            site.replace(&mut scenario, vec![statement.clone(), wait]);
            "never answered".into()
        }
        _ => return Vec::new(),
    };
    vec![Variation {
        class: Class::NotLive,
        change,
        scenario,
    }]
}
