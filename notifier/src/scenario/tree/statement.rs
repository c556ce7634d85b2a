//! Statements, and the selection of a `when`.

use super::{Axis, Comment, Expression, Gap, HardwareOperation, Name, Place, Typed};
use crate::scenario::Span;

/// A statement with its label, the words in which a trace tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The label; may be empty.
    pub label: String,
    /// What it does.
    pub action: Action,
    /// Where it stands.
    pub span: Span,
    /// What is before it.
    pub gap: Gap,
}

/// What is done with a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockAction {
    /// `lock`
    Lock,
    /// `unlock`
    Unlock,
    /// `read-lock`
    ReadLock,
    /// `read-unlock`
    ReadUnlock,
    /// `write-lock`
    WriteLock,
    /// `write-unlock`
    WriteUnlock,
}

impl LockAction {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Lock,
        Self::Unlock,
        Self::ReadLock,
        Self::ReadUnlock,
        Self::WriteLock,
        Self::WriteUnlock,
    ];

    /// The keyword.
    pub fn word(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::ReadLock => "read-lock",
            Self::ReadUnlock => "read-unlock",
            Self::WriteLock => "write-lock",
            Self::WriteUnlock => "write-unlock",
        }
    }
}

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `// text`
    Comment(Comment),
    /// `reg NAME: KIND;`
    Register(Typed),
    /// `PLACE = EXPRESSION;`
    Assign(Place, Expression),
    /// `cmpxchg PLACE, OLD, NEW -> OK;`
    Cmpxchg {
        /// What is compared and changed.
        place: Place,
        /// What it must be.
        old: Expression,
        /// What it becomes then.
        new: Expression,
        /// Where 1 or 0 goes: whether it did.
        success: Place,
    },
    /// `fill PLACE from EXPRESSION;`: a TLB caches what an entry says.
    Fill(Place, Expression),
    /// `tlbi PLACE on AGENT;`: a TLB drops what it cached (all of an array).
    Tlbi(Place, Option<Name>),
    /// `free FRAME;`: from now on the frame is somebody else's.
    Free(Expression),
    /// `lock L;` and so on
    Lock(LockAction, Place),
    /// `await CONDITION;`
    Await(Expression),
    /// `forbid PROPERTY if CONDITION;`
    Forbid(Name, Expression),
    /// `count COUNTER;`
    Count(Name),
    /// `NAME(ARGUMENTS);`
    Call(Name, Vec<Expression>),
    /// `atomic { ... }`
    Atomic(Vec<Statement>),
    /// `instruction { ... }`
    Instruction(Vec<Statement>),
    /// `live OPERATION PAGE -> RESULT { ... }`: the block is the model of what hardware does at once.
    Live {
        /// What hardware does.
        operation: HardwareOperation,
        /// The page that it goes through; an event has none.
        page: Option<Place>,
        /// Where 1 or 0 goes: whether it got through.
        result: Option<Place>,
        /// What the explorer does instead.
        body: Vec<Statement>,
    },
    /// `if CONDITION { ... } else { ... }`
    If(Expression, Vec<Statement>, Vec<Statement>),
    /// `when VARIANT { ... } else { ... }`
    When(Selection, Vec<Statement>, Vec<Statement>),
    /// `choose { ... } or { ... }`
    Choose(Vec<Vec<Statement>>),
    /// `loop { ... }`
    Loop(Vec<Statement>),
    /// `repeat N { ... }`
    Repeat(u32, Vec<Statement>),
    /// `break;`
    Break,
    /// `return;`
    Return,
}

/// Which cells of the matrix a `when` is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// `os is a | b`
    Is(Axis, Vec<Name>),
    /// A knob.
    Knob(Name),
    /// `not ...`
    Not(Box<Selection>),
    /// `... and ...`
    And(Box<Selection>, Box<Selection>),
    /// `... or ...`
    Or(Box<Selection>, Box<Selection>),
}
