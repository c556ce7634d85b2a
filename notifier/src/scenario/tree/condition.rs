//! What is asked of a scenario: conditions and tables.

use super::{Expression, Name};

/// What a condition asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// `forbidden`: it must not be.
    Forbidden,
    /// `allowed`: it must be possible.
    Allowed,
    /// `required`: it must be in every state (of those that the scope names).
    Required,
    /// `progress`: from every state, one in which it is must stay reachable.
    Progress,
}

/// Which states a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every state: `ever` and `always`.
    Ever,
    /// The states in which all agents are done: `finally`.
    Finally,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// What is asked for.
    pub demand: Demand,
    /// Its name.
    pub name: Name,
    /// What it means, in a line; may be empty.
    pub about: String,
    /// Where it is looked for.
    pub scope: Scope,
    /// What is looked for; `None` if only `forbid` statements do.
    pub condition: Option<Expression>,
    /// The counter of what may happen on the way (progress only).
    pub counter: Option<Name>,
}

/// `table NAME "text": EXPRESSION, ...;`: all the combinations of values that are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: Name,
    /// What it shows, in a line; may be empty.
    pub about: String,
    /// The columns.
    pub columns: Vec<Expression>,
}
