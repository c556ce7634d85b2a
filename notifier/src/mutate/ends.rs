//! Whether all agents can always come to their end.

use std::ops::ControlFlow;

use crate::explore::{Cell, Limits, Progress, Reductions, Verdict, explore};
use crate::scenario::tree::{
    Demand, Expression, Item, Name, Node, Operator, Place, Property, Scope,
};
use crate::scenario::{Checked, Span, check_edited, format};

/// Whether from every state one stays reachable in which all agents are done; `None` if a limit was
/// reached, or if the file has as many conditions as a file can have.
///
/// A change that makes somebody wait for ever would otherwise pass for harmless, even for a repair:
/// what is never done breaks no condition. To look for a state without steps is not enough, since an
/// event may go on for ever beside those who wait.
pub fn always_ends(
    checked: &Checked,
    cell: &Cell,
    limits: &Limits,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Option<bool> {
    let text = format(&checked.scenario);
    let mut name = String::from("ends");
    while text.contains(&name) {
        name.push('_');
    }
    let done = checked
        .symbols
        .agents
        .iter()
        .map(|agent| done(&agent.name))
        .reduce(and)?;
    let mut scenario = checked.scenario.clone();
    scenario.items.push(Item::Property(Property {
        demand: Demand::Progress,
        name: named(&name),
        about: String::new(),
        scope: Scope::Ever,
        condition: Some(done),
        counter: None,
    }));
    let checked = check_edited(scenario).ok()?;
    let report = explore(&checked, cell, limits, Reductions::On, watch).ok()?;
    match report.properties.last()?.verdict {
        Verdict::Holds => Some(true),
        Verdict::Livelock => Some(false),
        Verdict::Violated | Verdict::Undecided => None,
    }
}

fn done(agent: &Name) -> Expression {
    let who = Place {
        name: agent.clone(),
        index: None,
        field: None,
    };
    value(Node::Call(named("done"), vec![value(Node::Place(who))]))
}

fn and(one: Expression, other: Expression) -> Expression {
    value(Node::Binary(Operator::And, Box::new(one), Box::new(other)))
}

fn value(node: Node) -> Expression {
    Expression {
        node,
        span: Span::default(),
    }
}

fn named(text: &str) -> Name {
    Name {
        text: text.into(),
        span: Span::default(),
    }
}
