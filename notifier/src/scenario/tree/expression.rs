//! Places and expressions.

use super::Name;
use crate::scenario::Span;

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
