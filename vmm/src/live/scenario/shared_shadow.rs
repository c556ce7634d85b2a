//! Which schedules a host can't force that pages by shadow.
//!
//! Such a host has one shadow of the guest's page tables for all vCPUs: what one of them has cached,
//! all have, and what one invalidates, all lose. A schedule in which two CPUs have cached different
//! things of a page, one of them out of date, can't happen there.

use std::collections::BTreeMap;

use notifier::explore::program::{Code, Field};
use notifier::explore::{Mover, Schedule, Turn};

use super::flow;
use super::places::Place;
use super::plan::Plan;

/// The first turn (from 0) whose CPU would use another one's translation, with the names of the two
/// variables that would have to differ.
pub(super) fn first_mixed(plan: &Plan, schedule: &Schedule) -> Option<(usize, String, String)> {
    let mut now = named(plan, &schedule.initial);
    for (number, turn) in schedule.turns.iter().enumerate() {
        if let Some((agent, page)) = access(plan, turn)
            && let Some((own, other)) = mixed(plan, &now, agent, page)
        {
            return Some((number, own, other));
        }
        now = named(plan, &turn.after);
    }
    None
}

fn named(plan: &Plan, values: &[notifier::explore::Value]) -> BTreeMap<Field, u64> {
    let values = values.iter().filter_map(|value| {
        let mut shown = plan.program.shown.iter();
        let shown = shown.find(|shown| shown.name == value.name)?;
        Some((shown.field, value.value))
    });
    values.collect()
}

/// Whose CPU accesses which page in a turn, if that is what it does.
fn access(plan: &Plan, turn: &Turn) -> Option<(usize, u64)> {
    let contexts = plan.program.contexts.iter();
    let of = |agent: usize, handler: Option<&str>| {
        let mut mine = contexts.clone().filter(|one| one.agent == agent);
        mine.find(|one| match handler {
            Some(name) => one.name.ends_with(&format!(".{name}")),
            None => one.condition.is_none(),
        })
    };
    let (agent, code): (usize, &Code) = match &turn.next.mover {
        Mover::Agent(agent) => (*agent, &of(*agent, None)?.code),
        Mover::Interrupt(agent, name) => (*agent, &of(*agent, Some(name))?.code),
        Mover::Event(_) => return None,
    };
    let operation = flow::operation_at(code, turn.next.stop)?;
    let field = operation.page.as_ref()?.fields.first()?;
    match plan.places.of(*field)? {
        Place::Page(page) if !super::sections::is_dma(operation) => Some((agent, page)),
        _ => None,
    }
}

/// Whether the CPU of `agent` and another have cached different things of a page, one of them not what
/// its entry says.
fn mixed(
    plan: &Plan,
    now: &BTreeMap<Field, u64>,
    agent: usize,
    page: u64,
) -> Option<(String, String)> {
    let value = |field: Field| now.get(&field).copied().unwrap_or(0);
    let (mut own, mut others, mut entry) = (None, Vec::new(), 0);
    for shown in &plan.program.shown {
        match plan.places.of(shown.field) {
            Some(Place::Page(one)) if one == page => {
                entry = value(shown.field) & plan.program.format.cached();
            }
            Some(Place::Tlb {
                agent: of,
                page: one,
            }) if one == page => match of == agent {
                true => own = Some(shown),
                false => others.push(shown),
            },
            _ => {}
        }
    }
    let own = own?;
    let stale = |value: u64| value != 0 && value != entry;
    let mine = value(own.field);
    let mut others = others.into_iter();
    let other = others.find(|other| {
        let theirs = value(other.field);
        theirs != mine && (stale(theirs) || stale(mine))
    })?;
    Some((own.name.clone(), other.name.clone()))
}
