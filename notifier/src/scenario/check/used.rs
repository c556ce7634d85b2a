//! What is declared and of no use: most likely a name that is written in two ways.

use std::collections::BTreeSet;

use crate::scenario::tree::{
    Action, Expression, Item, Name, Node, Place, Property, Scenario, Selection, Statement,
};
use crate::scenario::{Diagnostic, Symbols, nearest};

/// Sees whether every knob is read, every condition without an expression is named by a `forbid`, and
/// every counter is counted.
///
/// # Errors
/// The first one that is not.
pub(super) fn all_used(scenario: &Scenario, symbols: &Symbols) -> Result<(), Diagnostic> {
    let mut used = Used::default();
    scenario.items.iter().for_each(|item| used.item(item));
    let unused = used.knob(symbols).or_else(|| used.property(symbols));
    match unused.or_else(|| used.counter(symbols)) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn hinted(name: &Name, message: String, meant: Option<&str>, otherwise: &str) -> Diagnostic {
    let error = Diagnostic::new(name.span, message);
    match meant {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => error.hint(otherwise),
    }
}

/// The names that the scenario makes use of.
#[derive(Default)]
struct Used<'a> {
    /// In expressions, and after `when`.
    names: BTreeSet<&'a str>,
    /// After `forbid`.
    forbidden: BTreeSet<&'a str>,
    /// After `count`.
    counted: BTreeSet<&'a str>,
}

impl<'a> Used<'a> {
    /// The error for a knob that is not read.
    fn knob(&self, symbols: &Symbols) -> Option<Diagnostic> {
        let mut knobs = symbols.variants.iter().flat_map(|variant| &variant.knobs);
        let knob = knobs.find(|knob| !self.names.contains(knob.text.as_str()))?;
        let message = format!("nothing reads the knob `{}`", knob.text);
        let others = symbols.knobs().filter(|other| self.names.contains(other));
        Some(hinted(
            knob,
            message,
            nearest(&knob.text, others),
            "no `when` and no expression names it",
        ))
    }

    /// The error for a condition that is asked of no state and of no step.
    fn property(&self, symbols: &Symbols) -> Option<Diagnostic> {
        let asks_nothing = |one: &&Property| {
            one.condition.is_none() && !self.forbidden.contains(one.name.text.as_str())
        };
        let name = &symbols.properties.iter().find(asks_nothing)?.name;
        let message = format!("nothing is asked by `{}`: no `forbid` names it", name.text);
        let meant = nearest(&name.text, self.forbidden.iter().copied());
        let example = format!(
            "`forbid {} if ...;` in a step, or `ever: ...` here",
            name.text
        );
        Some(hinted(name, message, meant, &example))
    }

    /// The error for a counter that is not counted.
    fn counter(&self, symbols: &Symbols) -> Option<Diagnostic> {
        let mut counters = symbols.counters.iter();
        let name = counters.find(|name| !self.counted.contains(name.text.as_str()))?;
        let message = format!("nothing counts `{}`", name.text);
        let example = format!("`count {};` in a step", name.text);
        Some(hinted(name, message, None, &example))
    }

    fn item(&mut self, item: &'a Item) {
        match item {
            Item::Variable(variable) => self.values(&variable.value),
            Item::Function(function) => self.value(&function.body),
            Item::Procedure(procedure) => self.body(&procedure.body),
            Item::Agent(agent) => {
                self.body(&agent.body);
                for interrupt in &agent.interrupts {
                    self.value(&interrupt.condition);
                    self.body(&interrupt.body);
                }
            }
            Item::Event(event) => {
                self.value(&event.condition);
                self.body(&event.body);
            }
            Item::Initially(body) => self.body(body),
            Item::Property(property) => self.values(&property.condition),
            Item::Table(table) => self.values(&table.columns),
            Item::Comment(_)
            | Item::Variant(_)
            | Item::Frames(_)
            | Item::Format(_)
            // A knob that only a binding names turns nothing on.
            | Item::Binding(_)
            | Item::Counter(..) => {}
        }
    }

    fn body(&mut self, body: &'a [Statement]) {
        for statement in body {
            self.action(&statement.action);
            let blocks = statement.action.blocks();
            blocks.into_iter().for_each(|block| self.body(block));
        }
    }

    fn action(&mut self, action: &'a Action) {
        match action {
            Action::Assign(place, value) | Action::Fill(place, value) => {
                self.place(place);
                self.value(value);
            }
            Action::Cmpxchg {
                place,
                old,
                new,
                success,
            } => {
                self.place(place);
                self.place(success);
                self.values([old, new]);
            }
            Action::Tlbi(place, _) | Action::Lock(_, place) => self.place(place),
            Action::Free(value) | Action::Await(value) | Action::If(value, ..) => self.value(value),
            Action::Forbid(name, value) => {
                self.forbidden.insert(&name.text);
                self.value(value);
            }
            Action::Count(name) => {
                self.counted.insert(&name.text);
            }
            Action::Call(_, arguments) => self.values(arguments),
            Action::Live { page, result, .. } => {
                page.iter()
                    .chain(result)
                    .for_each(|place| self.place(place));
            }
            Action::When(selection, ..) => self.selection(selection),
            Action::Comment(_)
            | Action::Register(_)
            | Action::Atomic(_)
            | Action::Instruction(_)
            | Action::Choose(_)
            | Action::Loop(_)
            | Action::Repeat(..)
            | Action::Break
            | Action::Return => {}
        }
    }

    fn selection(&mut self, selection: &'a Selection) {
        match selection {
            Selection::Is(..) => {}
            Selection::Knob(name) => {
                self.names.insert(&name.text);
            }
            Selection::Not(inner) => self.selection(inner),
            Selection::And(one, other) | Selection::Or(one, other) => {
                self.selection(one);
                self.selection(other);
            }
        }
    }

    fn place(&mut self, place: &'a Place) {
        self.names.insert(&place.name.text);
        if let Some(index) = &place.index {
            self.value(index);
        }
    }

    fn values(&mut self, values: impl IntoIterator<Item = &'a Expression>) {
        values.into_iter().for_each(|value| self.value(value));
    }

    fn value(&mut self, value: &'a Expression) {
        match &value.node {
            Node::Number(_) => {}
            Node::Place(place) => self.place(place),
            Node::Entry(fields) => self.values(fields.iter().filter_map(|one| one.value.as_ref())),
            Node::With(inner, fields) => {
                self.value(inner);
                self.values(fields.iter().filter_map(|one| one.value.as_ref()));
            }
            Node::Field(inner, _) | Node::Not(inner) => self.value(inner),
            Node::Binary(_, left, right) => self.values([&**left, &**right]),
            Node::If(one, two, three) => self.values([&**one, &**two, &**three]),
            Node::Call(_, arguments) => self.values(arguments),
        }
    }
}
