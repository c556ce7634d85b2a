//! Invalidations that hit something else.

use super::{instead, named, number, whole};
use crate::mutate::class::Class;
use crate::mutate::mutant::Variation;
use crate::mutate::site::Site;
use crate::mutate::step::View;
use crate::scenario::format_statement;
use crate::scenario::tree::{Action, Count, Item, Kind, Node, Place, Statement};

/// Wrong range, level or tag: another element, one instead of all, another TLB.
pub(super) fn wrong_target(view: &View<'_>, site: &Site, statement: &Statement) -> Vec<Variation> {
    let Action::Tlbi(place, agent) = &statement.action else {
        return Vec::new();
    };
    let mut targets = elements(view, place);
    targets.extend(
        caches(view)
            .into_iter()
            .filter(|cache| *cache != place.name.text)
            .map(|cache| whole(&named(&cache))),
    );
    let variation = |target: Place| {
        let wrong = instead(statement, Action::Tlbi(target, agent.clone()));
        let mut scenario = view.checked.scenario.clone();
        let bare = Statement {
            label: String::new(),
            ..wrong.clone()
        };
        site.replace(&mut scenario, vec![wrong]);
        Variation {
            class: Class::WrongTarget,
            change: format_statement(&bare).trim_end_matches(';').into(),
            scenario,
        }
    };
    targets.into_iter().map(variation).collect()
}

/// The other elements of an array, or each for the whole of it.
fn elements(view: &View<'_>, place: &Place) -> Vec<Place> {
    let variables = &view.checked.symbols.variables;
    let found = variables
        .iter()
        .find(|variable| variable.name.text == place.name.text);
    let Some(Count::Many(count)) = found.map(|variable| variable.count) else {
        return Vec::new();
    };
    let own = match place.index.as_deref().map(|index| &index.node) {
        None => None,
        Some(Node::Number(own)) => Some(*own),
        Some(_) => return Vec::new(),
    };
    let others = (0..count).filter(|index| Some(*index) != own);
    let element = |index| Place {
        index: Some(Box::new(number(index))),
        ..place.clone()
    };
    others.map(element).collect()
}

/// Shared entries that the file fills or invalidates: TLBs, not page tables.
pub(in crate::mutate) fn caches(view: &View<'_>) -> Vec<String> {
    let mut named = Vec::new();
    for item in &view.checked.scenario.items {
        match item {
            Item::Procedure(procedure) => gather(&procedure.body, &mut named),
            Item::Event(event) => gather(&event.body, &mut named),
            Item::Agent(agent) => {
                gather(&agent.body, &mut named);
                for interrupt in &agent.interrupts {
                    gather(&interrupt.body, &mut named);
                }
            }
            _ => {}
        }
    }
    let entries = view.checked.symbols.variables.iter();
    let entries = entries.filter(|variable| variable.kind == Kind::Entry);
    entries
        .map(|variable| variable.name.text.clone())
        .filter(|name| named.contains(name))
        .collect()
}

fn gather(block: &[Statement], named: &mut Vec<String>) {
    for statement in block {
        if let Action::Tlbi(place, _) | Action::Fill(place, _) = &statement.action {
            named.push(place.name.text.clone());
        }
        for inner in statement.action.blocks() {
            gather(inner, named);
        }
    }
}
