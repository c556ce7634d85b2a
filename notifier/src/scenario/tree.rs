//! The grammar tree. It says what the text says and no more; nothing in it is resolved.
//!
//! Whoever changes a scenario (mutation, repair) changes the tree and hands it to
//! [`check`](super::check); every node is `Clone` and compares without its place in the text.

use super::Span;

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
    /// Without the slashes.
    pub text: String,
    /// Whether it stands behind something on the same line.
    pub follows: bool,
}

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

/// `agent NAME { ... interrupt NAME when CONDITION { ... } }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its name.
    pub name: Name,
    /// What it does.
    pub body: Vec<Statement>,
    /// What interrupts it: a later one interrupts an earlier one.
    pub interrupts: Vec<Interrupt>,
}

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

/// A statement with its label, the words in which a trace tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The label; may be empty.
    pub label: String,
    /// What it does.
    pub action: Action,
    /// Where it stands.
    pub span: Span,
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

/// What can be assigned to: `NAME`, `NAME[INDEX]`, either with `.FIELD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The variable, register or parameter.
    pub name: Name,
    /// Which one of an array.
    pub index: Option<Box<Expression>>,
    /// A field of an entry.
    pub field: Option<Name>,
}

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// What it is.
    pub node: Node,
    /// Where.
    pub span: Span,
}

/// What is compared or computed with two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `or`
    Or,
    /// `and`
    And,
    /// `==`
    Equal,
    /// `!=`
    Differ,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `+`
    Add,
    /// `-`
    Subtract,
}

impl Operator {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Or,
        Self::And,
        Self::Equal,
        Self::Differ,
        Self::Less,
        Self::LessEqual,
        Self::Greater,
        Self::GreaterEqual,
        Self::Add,
        Self::Subtract,
    ];

    /// How it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Equal => "==",
            Self::Differ => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Add => "+",
            Self::Subtract => "-",
        }
    }

    /// How strongly it binds; 0 is the weakest.
    pub fn strength(self) -> u8 {
        match self {
            Self::Or => 0,
            Self::And => 1,
            Self::Add | Self::Subtract => 3,
            _ => 2,
        }
    }
}

/// One field of an entry that is written out: `W`, `W = 0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValue {
    /// The field.
    pub field: Name,
    /// What it is set to; 1 if nothing is said.
    pub value: Option<Expression>,
}

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// `7`
    Number(u32),
    /// A variable, register, parameter, frame or knob.
    Place(Place),
    /// `entry { P, F = old }`: what is not named is 0.
    Entry(Vec<FieldValue>),
    /// `EXPRESSION with { W = 0 }`
    With(Box<Expression>, Vec<FieldValue>),
    /// `EXPRESSION.FIELD` where the expression is no place.
    Field(Box<Expression>, Name),
    /// `not EXPRESSION`
    Not(Box<Expression>),
    /// Two values.
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// `if CONDITION then EXPRESSION else EXPRESSION`
    If(Box<Expression>, Box<Expression>, Box<Expression>),
    /// A function, the file's own or one of the language's.
    Call(Name, Vec<Expression>),
}
