//! Invalidations that are reported before they take effect, and what is cached again after them.

use super::{beside, instead, new_name, number, read, value, whole};
use crate::mutate::class::Class;
use crate::mutate::mutant::Variation;
use crate::mutate::site::Site;
use crate::mutate::step::View;
use crate::scenario::tree::{
    Action, Count, Event, Expression, Item, Kind, Name, Node, Operator, Place, Scenario, Statement,
    Variable,
};

/// The invalidation is only issued, and takes effect at any time after; of what is waited for, a
/// part is enough.
pub(super) fn completes_early(
    view: &View<'_>,
    site: &Site,
    statement: &Statement,
) -> Vec<Variation> {
    match &statement.action {
        Action::Await(condition) => parts(condition)
            .into_iter()
            .map(|part| {
                let change = crate::scenario::format_expression(&part);
                let mut scenario = view.checked.scenario.clone();
                site.replace(&mut scenario, vec![instead(statement, Action::Await(part))]);
                Variation {
                    class: Class::CompletesEarly,
                    change: format!("waits only for {change}"),
                    scenario,
                }
            })
            .collect(),
        Action::Tlbi(place, agent) if is_shared(view, place) => {
            vec![late(view, site, statement, place, agent.as_ref())]
        }
        _ => Vec::new(),
    }
}

fn parts(condition: &Expression) -> Vec<Expression> {
    match &condition.node {
        Node::Binary(Operator::And, one, other) => vec![(**one).clone(), (**other).clone()],
        _ => Vec::new(),
    }
}

/// Whether an event can name the place: nobody's register, and no element that is yet to be found.
fn is_shared(view: &View<'_>, place: &Place) -> bool {
    let variables = &view.checked.symbols.variables;
    let fixed = |index: &Expression| matches!(index.node, Node::Number(_));
    let known = variables.iter().any(|one| one.name.text == place.name.text);
    known && place.index.as_deref().is_none_or(fixed)
}

fn late(
    view: &View<'_>,
    site: &Site,
    statement: &Statement,
    place: &Place,
    agent: Option<&Name>,
) -> Variation {
    let flag = new_name(view, "issued");
    let mut scenario = view.checked.scenario.clone();
    let issue = Action::Assign(whole(&flag), number(1));
    site.replace(&mut scenario, vec![instead(statement, issue)]);
    let waiting = read(whole(&flag));
    // An IPI is still taken between two instructions.
    let condition = match agent {
        Some(agent) => and(waiting, between(agent)),
        None => waiting,
    };
    let done = Action::Assign(whole(&flag), number(0));
    let body = vec![
        beside(statement, "", Action::Tlbi(place.clone(), None)),
        beside(statement, "", done),
    ];
    let about = "the invalidation takes effect";
    add(
        &mut scenario,
        &flag,
        Kind::Number(1),
        condition,
        body,
        (view, about),
    );
    Variation {
        class: Class::CompletesEarly,
        change: "takes effect some time later".into(),
        scenario,
    }
}

fn between(agent: &Name) -> Expression {
    let who = read(whole(agent));
    value(Node::Call(super::named("at-boundary"), vec![who]))
}

fn and(one: Expression, other: Expression) -> Expression {
    value(Node::Binary(Operator::And, Box::new(one), Box::new(other)))
}

/// A walk that was in flight when the invalidation came fills the TLB again with what was dropped.
pub(super) fn refilled(view: &View<'_>, site: &Site, statement: &Statement) -> Vec<Variation> {
    let Action::Tlbi(place, _) = &statement.action else {
        return Vec::new();
    };
    if !is_shared(view, place) {
        return Vec::new();
    }
    let again = |cached: Place| {
        let walk = new_name(view, "walk");
        let mut scenario = view.checked.scenario.clone();
        let keep = Action::Assign(whole(&walk), read(cached.clone()));
        let both = vec![
            beside(statement, "", keep),
            Statement {
                label: String::new(),
                ..statement.clone()
            },
        ];
        site.replace(
            &mut scenario,
            vec![instead(statement, Action::Atomic(both))],
        );
        let empty = value(Node::Not(Box::new(present(&cached))));
        let condition = and(present(&whole(&walk)), empty);
        let clear = Action::Assign(whole(&walk), value(Node::Entry(Vec::new())));
        let body = vec![
            beside(statement, "", Action::Fill(cached, read(whole(&walk)))),
            beside(statement, "", clear),
        ];
        let about = "a walk in flight ends, and fills what was dropped";
        add(
            &mut scenario,
            &walk,
            Kind::Entry,
            condition,
            body,
            (view, about),
        );
        Variation {
            class: Class::Refilled,
            change: "a walk in flight fills it again".into(),
            scenario,
        }
    };
    elements(view, place).into_iter().map(again).collect()
}

fn present(place: &Place) -> Expression {
    read(Place {
        field: Some(super::named("P")),
        ..place.clone()
    })
}

/// The place itself, or the elements of an array that is dropped as a whole.
fn elements(view: &View<'_>, place: &Place) -> Vec<Place> {
    let variables = &view.checked.symbols.variables;
    let found = variables
        .iter()
        .find(|variable| variable.name.text == place.name.text);
    match found.map(|variable| variable.count) {
        Some(Count::Many(count)) if place.index.is_none() => (0..count)
            .map(|index| Place {
                index: Some(Box::new(number(index))),
                ..place.clone()
            })
            .collect(),
        Some(Count::PerFrame) if place.index.is_none() => Vec::new(),
        _ => vec![place.clone()],
    }
}

/// Declares a variable and an event.
fn add(
    scenario: &mut Scenario,
    name: &Name,
    kind: Kind,
    condition: Expression,
    body: Vec<Statement>,
    (view, about): (&View<'_>, &str),
) {
    scenario.items.push(Item::Variable(Variable {
        ghost: false,
        name: name.clone(),
        count: Count::One,
        kind,
        value: None,
    }));
    scenario.items.push(Item::Event(Event {
        name: new_name(view, "late"),
        about: about.into(),
        condition,
        body,
    }));
}
