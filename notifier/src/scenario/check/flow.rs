//! Termination, and the initial state.

use crate::scenario::tree::{Action, Expression, Item, Name, Node, Place, Scenario, Statement};
use crate::scenario::{Diagnostic, Symbols, format_expression};

/// Whether a loop's body has a way out of it.
pub(super) fn can_leave(body: &[Statement]) -> bool {
    body.iter().any(|statement| match &statement.action {
        Action::Break | Action::Return => true,
        // What leaves the inner one does not leave this one.
        Action::Loop(inner) | Action::Repeat(_, inner) => returns(inner),
        action => action.blocks().into_iter().any(can_leave),
    })
}

fn returns(body: &[Statement]) -> bool {
    body.iter().any(|statement| match &statement.action {
        Action::Return => true,
        action => action.blocks().into_iter().any(returns),
    })
}

/// Procedures and functions that call themselves, directly or not, would never end.
pub(super) fn no_recursion(symbols: &Symbols) -> Result<(), Diagnostic> {
    let mut graph = Vec::new();
    for procedure in &symbols.procedures {
        let mut called = Vec::new();
        calls(&procedure.body, &mut called);
        graph.push((&procedure.name, called));
    }
    for function in &symbols.functions {
        let mut called = Vec::new();
        uses(&function.body, &mut called);
        graph.push((&function.name, called));
    }
    // Whoever calls only what ends, ends; what is left in the end goes in circles.
    loop {
        let before = graph.len();
        let left: Vec<&str> = graph.iter().map(|(name, _)| name.text.as_str()).collect();
        let ends = |called: &[&Name]| {
            called
                .iter()
                .all(|name| !left.contains(&name.text.as_str()))
        };
        let kept: Vec<_> = graph
            .iter()
            .filter(|(_, called)| !ends(called))
            .cloned()
            .collect();
        graph = kept;
        let Some((name, _)) = graph.first() else {
            return Ok(());
        };
        if graph.len() == before {
            let message = format!("`{}` can't terminate: it comes to call itself", name.text);
            return Err(Diagnostic::new(name.span, message));
        }
    }
}

fn calls<'a>(body: &'a [Statement], called: &mut Vec<&'a Name>) {
    for statement in body {
        if let Action::Call(name, _) = &statement.action {
            called.push(name);
        }
        for block in statement.action.blocks() {
            calls(block, called);
        }
    }
}

fn uses<'a>(value: &'a Expression, called: &mut Vec<&'a Name>) {
    match &value.node {
        Node::Call(name, arguments) => {
            called.push(name);
            arguments.iter().for_each(|argument| uses(argument, called));
        }
        Node::Not(inner) | Node::Field(inner, _) => uses(inner, called),
        Node::Binary(_, left, right) => [left, right]
            .into_iter()
            .for_each(|part| uses(part, called)),
        Node::If(one, two, three) => [one, two, three]
            .into_iter()
            .for_each(|part| uses(part, called)),
        Node::With(inner, fields) => {
            uses(inner, called);
            fields
                .iter()
                .filter_map(|field| field.value.as_ref())
                .for_each(|value| uses(value, called));
        }
        Node::Entry(fields) => {
            fields
                .iter()
                .filter_map(|field| field.value.as_ref())
                .for_each(|value| uses(value, called));
        }
        Node::Number(_) | Node::Place(_) => {}
    }
}

/// The initial state only assigns, and nothing twice on one way.
pub(super) fn initial_state(scenario: &Scenario) -> Result<(), Diagnostic> {
    let bodies = scenario.items.iter().filter_map(|item| match item {
        Item::Initially(body) => Some(body),
        _ => None,
    });
    let mut set = Vec::new();
    bodies
        .into_iter()
        .try_for_each(|body| assignments(body, &mut set))
}

fn assignments<'a>(body: &'a [Statement], set: &mut Vec<&'a Place>) -> Result<(), Diagnostic> {
    for statement in body {
        match &statement.action {
            Action::Comment(_) => {}
            Action::Assign(place, _) => once(place, set)?,
            Action::When(..) | Action::If(..) | Action::Choose(_) => {
                let before = set.len();
                for block in statement.action.blocks() {
                    let mut inner = set[..before].to_vec();
                    assignments(block, &mut inner)?;
                    set.extend_from_slice(&inner[before..]);
                }
            }
            _ => {
                let error =
                    Diagnostic::new(statement.span, "the initial state is not done step by step");
                return Err(error.hint("only assignments, choose, if and when"));
            }
        }
    }
    Ok(())
}

fn once<'a>(place: &'a Place, set: &mut Vec<&'a Place>) -> Result<(), Diagnostic> {
    let index = |place: &Place| place.index.as_deref().map(format_expression);
    let clash = |other: &&Place| {
        other.name == place.name
            && index(other) == index(place)
            && (other.field.is_none() || place.field.is_none() || other.field == place.field)
    };
    if set.iter().any(clash) {
        let message = format!(
            "contradictory initial state: `{}` is set twice",
            place.name.text
        );
        return Err(Diagnostic::new(place.name.span, message));
    }
    set.push(place);
    Ok(())
}
