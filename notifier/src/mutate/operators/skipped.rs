//! Invalidations that somebody thinks are not needed.

use super::lost::is_step;
use super::target::caches;
use super::{beside, named, number, read, value, whole};
use crate::mutate::class::Class;
use crate::mutate::mutant::{Variation, is_in_atomic};
use crate::mutate::site::Site;
use crate::mutate::step::{Sort, View};
use crate::scenario::format_expression;
use crate::scenario::tree::{Action, Count, Expression, Kind, Node, Operator, Place, Statement};

/// Only if the entry is present, writable, dirty or accessed now; only if a shared word is 0.
pub(super) fn skipped(view: &View<'_>, site: &Site, statement: &Statement) -> Vec<Variation> {
    let fits = is_step(&statement.action)
        && view.sort(statement) == Sort::Invalidation
        && !is_in_atomic(&view.checked.scenario, site);
    if !fits {
        return Vec::new();
    }
    let variation = |condition: Expression| {
        let change = format!("only if {}", format_expression(&condition));
        let wrapped = Action::If(condition, vec![statement.clone()], Vec::new());
        let mut scenario = view.checked.scenario.clone();
        site.replace(&mut scenario, vec![beside(statement, "", wrapped)]);
        Variation {
            class: Class::Skipped,
            change,
            scenario,
        }
    };
    conditions(view).into_iter().map(variation).collect()
}

/// What an optimisation could look at.
fn conditions(view: &View<'_>) -> Vec<Expression> {
    let symbols = &view.checked.symbols;
    let caches = caches(view);
    let mut all = Vec::new();
    for variable in &symbols.variables {
        if variable.ghost || variable.count != Count::One || caches.contains(&variable.name.text) {
            continue;
        }
        match variable.kind {
            Kind::Entry => {
                let asked = ["P", "W", "D", "A"].into_iter();
                let asked = asked.filter(|field| symbols.fields.contains(field));
                all.extend(asked.map(|field| {
                    read(Place {
                        field: Some(named(field)),
                        ..whole(&variable.name)
                    })
                }));
            }
            Kind::Number(_) => {
                let (one, none) = (read(whole(&variable.name)), number(0));
                let node = Node::Binary(Operator::Equal, Box::new(one), Box::new(none));
                all.push(value(node));
            }
            _ => {}
        }
    }
    all
}
