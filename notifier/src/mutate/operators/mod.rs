//! What each class does to a step.

mod early;
mod lost;
mod moved;
mod skipped;
mod target;

pub(super) use lost::is_step;
pub(super) use moved::{carried, outside};

use super::mutant::Variation;
use super::site::Site;
use super::step::View;
use crate::scenario::tree::{Action, Expression, Gap, Name, Node, Place, Statement};
use crate::scenario::{Span, format};

/// Everything that can be made of one step.
pub(super) fn all(view: &View<'_>, site: &Site, statement: &Statement) -> Vec<Variation> {
    let mut all = lost::missing(view, site, statement);
    all.extend(moved::moved(view, site, statement));
    all.extend(target::wrong_target(view, site, statement));
    all.extend(skipped::skipped(view, site, statement));
    all.extend(early::completes_early(view, site, statement));
    all.extend(early::refilled(view, site, statement));
    all.extend(lost::not_live(view, site, statement));
    all
}

/// A name that is nowhere in the scenario.
fn new_name(view: &View<'_>, wanted: &str) -> Name {
    let text = format(&view.checked.scenario);
    let mut name = named(wanted);
    while text.contains(&name.text) {
        name.text.push('_');
    }
    name
}

fn named(text: &str) -> Name {
    Name {
        text: text.into(),
        span: Span::default(),
    }
}

fn whole(name: &Name) -> Place {
    Place {
        name: name.clone(),
        index: None,
        field: None,
    }
}

fn value(node: Node) -> Expression {
    Expression {
        node,
        span: Span::default(),
    }
}

fn number(number: u32) -> Expression {
    value(Node::Number(number))
}

fn read(place: Place) -> Expression {
    value(Node::Place(place))
}

/// A statement in the place of another one, with its label.
fn instead(of: &Statement, action: Action) -> Statement {
    Statement {
        label: of.label.clone(),
        action,
        ..of.clone()
    }
}

/// A statement beside another one.
fn beside(of: &Statement, label: &str, action: Action) -> Statement {
    Statement {
        label: label.into(),
        action,
        span: of.span,
        gap: Gap::None,
    }
}
