//! What a file declares: variants, variables, functions and procedures.

use super::{Expression, Name, Statement};

/// The two axes of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Axis {
    /// What the software does.
    Os,
    /// What the hardware is.
    Hardware,
}

impl Axis {
    /// The keyword.
    pub fn word(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Hardware => "hardware",
        }
    }
}

/// `os NAME "text": knob, knob;`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Of which axis.
    pub axis: Axis,
    /// Its name.
    pub name: Name,
    /// What it is, in a line; may be empty.
    pub about: String,
    /// The knobs that it turns on.
    pub knobs: Vec<Name>,
}

/// The kind of a value, and for a number its greatest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `0..N`: from 0 to N, both included.
    Number(u32),
    /// One of the declared frames.
    Frame,
    /// A page-table entry, or what a TLB cached of one.
    Entry,
    /// A spin lock or mutex.
    Lock,
    /// A lock that many may hold to read and one to write.
    RwLock,
}

/// How many there are of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Just one.
    One,
    /// An array with indices from 0 up to, not including, this.
    Many(u32),
    /// One for each frame.
    PerFrame,
}

/// `shared NAME: KIND = VALUE;` or `ghost ...`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Whether only conditions may look at it.
    pub ghost: bool,
    /// Its name.
    pub name: Name,
    /// How many.
    pub count: Count,
    /// What it holds.
    pub kind: Kind,
    /// Its value (of each, if there are many) at the beginning; otherwise 0.
    pub value: Option<Expression>,
}

/// A parameter or a register: `NAME: KIND`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// Its name.
    pub name: Name,
    /// What it holds.
    pub kind: Kind,
}

/// `function NAME(PARAMETERS) = EXPRESSION;`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: Name,
    /// What it takes.
    pub parameters: Vec<Typed>,
    /// What it gives.
    pub body: Expression,
}

/// `procedure NAME(PARAMETERS) { ... }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Procedure {
    /// Its name.
    pub name: Name,
    /// What it takes, by reference.
    pub parameters: Vec<Typed>,
    /// What it does.
    pub body: Vec<Statement>,
}
