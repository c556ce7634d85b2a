//! Who acts: agents, what interrupts them, and what happens by itself.

use super::{Expression, Gap, Name, Statement};

/// `agent NAME { ... interrupt NAME when CONDITION { ... } }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its name.
    pub name: Name,
    /// What it does.
    pub body: Vec<Statement>,
    /// What interrupts it: a later one interrupts an earlier one.
    pub interrupts: Vec<Interrupt>,
    /// How it is written.
    pub layout: Layout,
}

/// How an agent is written.
///
/// All layouts compare equal: two trees are the same if they say the same, in whatever form.
#[derive(Clone, Debug, Default)]
pub enum Layout {
    /// `agent NAME { ... }`
    #[default]
    Block,
    /// A column of `agents { ... }`.
    Column {
        /// Which one, from 0.
        number: usize,
        /// The row of each statement, ascending. A row is a step of the reader's eye, not of time.
        rows: Vec<usize>,
    },
}

impl PartialEq for Layout {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Layout {}

/// `interrupt NAME "text" when CONDITION { ... }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Its name.
    pub name: Name,
    /// What happens when it is taken, in a line; may be empty.
    pub about: String,
    /// When it may be taken.
    pub condition: Expression,
    /// What its handler does.
    pub body: Vec<Statement>,
    /// What is before it.
    pub gap: Gap,
}

/// `event NAME "text" when CONDITION { ... }`: what happens by itself, in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: Name,
    /// What happens, in a line; may be empty.
    pub about: String,
    /// When it may happen.
    pub condition: Expression,
    /// What it does.
    pub body: Vec<Statement>,
}
