//! The grammar tree. It says what the text says and no more; nothing in it is resolved.
//!
//! Whoever changes a scenario (mutation, repair) changes the tree and hands it to
//! [`check`](super::check); every node is `Clone` and compares without its place in the text
//! and without its [`Layout`] and [`Gap`].

mod agent;
mod binding;
mod condition;
mod declaration;
mod expression;
mod gap;
mod statement;

use super::Span;

pub use agent::{Agent, Event, Interrupt, Layout};
pub use binding::{Binding, HardwareOperation};
pub use condition::{Demand, Property, Scope, Table};
pub use declaration::{Axis, Count, Function, Kind, Procedure, Typed, Variable, Variant};
pub use expression::{Expression, FieldValue, Node, Operator, Place};
pub use gap::{Gap, Gaps};
pub use statement::{Action, LockAction, Selection, Statement};

/// A name where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// A whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// `scenario NAME`
    pub name: Name,
    /// What it is about, in a line; may be empty.
    pub about: String,
    /// Declarations, agents and conditions in the order of the file.
    pub items: Vec<Item>,
    /// Which of these stand behind a blank line.
    pub gaps: Gaps,
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// `// text`
    Comment(Comment),
    /// A value of an axis of the matrix.
    Variant(Variant),
    /// `frames a, b;`
    Frames(Vec<Name>),
    /// `entry { P, W, D };`
    Format(Vec<Name>),
    /// `shared` or `ghost`
    Variable(Variable),
    /// `function`
    Function(Function),
    /// `procedure`
    Procedure(Procedure),
    /// `agent`
    Agent(Agent),
    /// `event`
    Event(Event),
    /// `initially { ... }`
    Initially(Vec<Statement>),
    /// `live page NAME;` and so on
    Binding(Binding),
    /// `counter NAME "text";`
    Counter(Name, String),
    /// A condition.
    Property(Property),
    /// `table NAME "text": a, b;`
    Table(Table),
}

/// A comment up to the end of its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// All that stands behind the slashes, without blanks at the end.
    pub text: String,
    /// Whether it stands behind something on the same line.
    pub follows: bool,
}
