//! What is inside a statement, and which side of a `when` counts.

use super::tree::{Action, Axis, Selection, Statement};

impl Action {
    /// The blocks in it, in the order of the text; the `else` of an `if` or `when` always counts.
    pub fn blocks(&self) -> Vec<&[Statement]> {
        match self {
            Self::Atomic(body)
            | Self::Instruction(body)
            | Self::Live { body, .. }
            | Self::Loop(body)
            | Self::Repeat(_, body) => vec![body],
            Self::If(_, then, otherwise) | Self::When(_, then, otherwise) => vec![then, otherwise],
            Self::Choose(branches) => branches.iter().map(Vec::as_slice).collect(),
            _ => Vec::new(),
        }
    }

    /// The same blocks, to be changed.
    pub fn blocks_mut(&mut self) -> Vec<&mut Vec<Statement>> {
        match self {
            Self::Atomic(body)
            | Self::Instruction(body)
            | Self::Live { body, .. }
            | Self::Loop(body)
            | Self::Repeat(_, body) => vec![body],
            Self::If(_, then, otherwise) | Self::When(_, then, otherwise) => vec![then, otherwise],
            Self::Choose(branches) => branches.iter_mut().collect(),
            _ => Vec::new(),
        }
    }
}

impl Selection {
    /// Whether it is met where `is` says what the value of an axis is and `knob` what is turned on.
    pub fn holds(&self, is: &dyn Fn(Axis, &str) -> bool, knob: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Is(axis, names) => names.iter().any(|name| is(*axis, &name.text)),
            Self::Knob(name) => knob(&name.text),
            Self::Not(inner) => !inner.holds(is, knob),
            Self::And(one, other) => one.holds(is, knob) && other.holds(is, knob),
            Self::Or(one, other) => one.holds(is, knob) || other.holds(is, knob),
        }
    }
}
