//! What agents are compiled to: a short list of instructions over the packed state.

use super::binding::Operation;
use super::entries::Table;
use super::layout::Field;
use crate::scenario::Span;

/// A value that is worked out from a state.
#[derive(Clone, Debug, PartialEq)]
pub enum Ex {
    /// The same in all states.
    Const(i64),
    /// What a field has.
    Get(Field),
    /// One of several: the one with this number, 0 if there is none.
    At(Vec<Field>, Box<Ex>),
    /// Some bits of a value: shifted down by so many, then these ones.
    Part(Box<Ex>, u32, u64),
    /// A value with some of its bits replaced: lowest bit, ones, new value.
    With(Box<Ex>, Vec<(u32, u64, Ex)>),
    /// 1 if the value is 0, else 0.
    Not(Box<Ex>),
    /// 1 if either is not 0, else 0.
    Or(Box<Ex>, Box<Ex>),
    /// 1 if neither is 0, else 0.
    And(Box<Ex>, Box<Ex>),
    /// 1 if they are the same, else 0.
    Equal(Box<Ex>, Box<Ex>),
    /// 1 if the first is less, else 0.
    Less(Box<Ex>, Box<Ex>),
    /// The sum.
    Add(Box<Ex>, Box<Ex>),
    /// The first without the second, which may be below 0.
    Subtract(Box<Ex>, Box<Ex>),
    /// The second where the first is not 0, else the third.
    If(Box<Ex>, Box<Ex>, Box<Ex>),
    /// Looked up by one entry.
    One(Table, Box<Ex>),
    /// Looked up by two entries of so many bits, the first of which is the upper part of the index.
    Two(Table, u32, Box<Ex>, Box<Ex>),
    /// Whether an agent is between two instructions.
    AtBoundary(usize),
    /// Whether an agent has nothing more to do.
    Done(usize),
}

impl Ex {
    /// The number, if it is the same in all states.
    pub fn constant(&self) -> Option<i64> {
        match self {
            Self::Const(number) => Some(*number),
            _ => None,
        }
    }

    /// Calls `see` for each field that is read; program counters are not among them.
    pub fn reads(&self, see: &mut impl FnMut(Field)) {
        self.visit(&mut |part| match part {
            Self::Get(field) => see(*field),
            Self::At(fields, _) => fields.iter().for_each(|field| see(*field)),
            _ => {}
        });
    }

    /// Calls `see` for this expression and everything in it.
    pub fn visit(&self, see: &mut impl FnMut(&Self)) {
        see(self);
        match self {
            Self::Const(_) | Self::Get(_) | Self::AtBoundary(_) | Self::Done(_) => {}
            Self::At(_, inner) | Self::Part(inner, ..) | Self::Not(inner) | Self::One(_, inner) => {
                inner.visit(see);
            }
            Self::With(inner, parts) => {
                inner.visit(see);
                parts.iter().for_each(|(_, _, value)| value.visit(see));
            }
            Self::Or(one, other)
            | Self::And(one, other)
            | Self::Equal(one, other)
            | Self::Less(one, other)
            | Self::Add(one, other)
            | Self::Subtract(one, other)
            | Self::Two(_, _, one, other) => {
                [one, other].into_iter().for_each(|part| part.visit(see))
            }
            Self::If(one, two, three) => [one, two, three]
                .into_iter()
                .for_each(|part| part.visit(see)),
        }
    }
}

/// Where a value goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// One field, or all those of an array.
    pub fields: Vec<Field>,
    /// Which of them; the first if nothing is said.
    pub index: Option<Box<Ex>>,
    /// Some bits of it: lowest bit, ones.
    pub part: Option<(u32, u64)>,
    /// The greatest value that may be put there.
    pub most: u64,
}

/// One instruction.
#[derive(Clone, Debug)]
pub enum Instr {
    /// Puts a value somewhere.
    Assign(Target, Ex, Span),
    /// Target, what it is now, old, new, success.
    Cmpxchg(Target, Ex, Ex, Ex, Target, Span),
    /// The step can't be made where this is 0.
    Await(Ex),
    /// Goes on there where this is 0.
    Unless(Ex, usize),
    /// Goes on there.
    Jump(usize),
    /// Goes on at any of these.
    Choose(Vec<usize>),
    /// Breaks a condition where this is not 0.
    Forbid(usize, Ex),
    /// Counts.
    Count(usize),
    /// An interrupt is taken; always the first of a handler.
    Enter,
    /// There is nothing more to do.
    End,
}

impl Instr {
    /// What it works out, where it puts something included.
    pub fn expressions(&self) -> Vec<&Ex> {
        match self {
            Self::Assign(target, value, _) => {
                target.index.as_deref().into_iter().chain([value]).collect()
            }
            Self::Cmpxchg(target, now, old, new, success, _) => {
                let places = [target, success].into_iter();
                let indices = places.filter_map(|place| place.index.as_deref());
                indices.chain([now, old, new]).collect()
            }
            Self::Await(value) | Self::Unless(value, _) | Self::Forbid(_, value) => vec![value],
            Self::Jump(_) | Self::Choose(_) | Self::Count(_) | Self::Enter | Self::End => {
                Vec::new()
            }
        }
    }
}

/// The instructions of an agent, a handler or an event.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// What is done.
    pub instrs: Vec<Instr>,
    /// Whether others may do something before this instruction.
    pub starts: Vec<bool>,
    /// Whether the processor is in the midst of an instruction of its own there.
    pub inside: Vec<bool>,
    /// How a trace tells the step that begins here.
    pub words: Vec<String>,
    /// Where in the text this instruction comes from.
    pub spans: Vec<Span>,
    /// For each instruction at which a step can begin, and for the end, its number in the packed
    /// program counter.
    pub stop_of: Vec<Option<u32>>,
    /// The way back.
    pub stops: Vec<usize>,
    /// For each stop, what stays of the state's words: registers that nobody reads any more are
    /// cleared, so that states that differ in nothing else are one.
    pub keep: Vec<Vec<u64>>,
    /// Which of the instructions are the model of hardware, ascending and apart; none where places
    /// that are alike were made one.
    pub operations: Vec<Operation>,
}

impl Code {
    pub(super) fn push(&mut self, instr: Instr, start: bool, words: &str, span: Span) -> usize {
        self.instrs.push(instr);
        self.starts.push(start);
        self.inside.push(false);
        self.words.push(words.into());
        self.spans.push(span);
        self.instrs.len() - 1
    }

    /// Numbers the stops. All steps of an event are one, so it has none.
    pub(super) fn number_stops(&mut self) {
        self.stop_of = vec![None; self.instrs.len()];
        for at in 0..self.instrs.len() {
            if self.starts[at] || matches!(self.instrs[at], Instr::End) {
                self.stop_of[at] = u32::try_from(self.stops.len()).ok();
                self.stops.push(at);
            }
        }
    }

    /// The instructions that may come after this one.
    pub fn after(&self, at: usize) -> Vec<usize> {
        match &self.instrs[at] {
            Instr::Jump(to) => vec![*to],
            Instr::Unless(_, to) => vec![at + 1, *to],
            Instr::Choose(to) => to.clone(),
            Instr::End => Vec::new(),
            _ => vec![at + 1],
        }
    }
}
