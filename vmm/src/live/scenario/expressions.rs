//! Expressions, as code for the stack machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use guest::abi::litmus as code;
use notifier::explore::program::{Ex, Field};

use super::assembler::Assembler;
use super::places::{Place, Places};

/// The most values that an expression may have on the stack at once. Some more places are for what a
/// statement has put there before it.
const DEEPEST: u64 = code::STACK - 8;

/// The look-up tables of a program, each once.
#[derive(Debug, Default)]
pub(super) struct Tables {
    words: Vec<u64>,
    known: BTreeMap<usize, u64>,
}

impl Tables {
    fn add(&mut self, table: &Arc<[u64]>) -> u64 {
        let identity = Arc::as_ptr(table).cast::<u64>() as usize;
        let words = &mut self.words;
        *self.known.entry(identity).or_insert_with(|| {
            let first = words.len() as u64;
            words.extend(table.iter());
            first
        })
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }
}

/// Why an expression has no code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unseen(pub(super) String);

/// What an expression is made into code with.
pub(super) struct Expressions<'a> {
    pub(super) places: &'a Places,
    pub(super) tables: &'a mut Tables,
    /// Registers that stand for variables: read before, and not again.
    pub(super) instead: &'a BTreeMap<Field, u64>,
    /// Variables that only the model of hardware keeps.
    pub(super) modelled: &'a BTreeSet<Field>,
    /// How a variable is called in messages.
    pub(super) name: &'a dyn Fn(Field) -> String,
}

impl Expressions<'_> {
    /// Code that leaves the value on the stack.
    ///
    /// # Errors
    /// It looks at something that can't be looked at on a machine.
    pub(super) fn value(&mut self, ex: &Ex, out: &mut Assembler) -> Result<(), Unseen> {
        if self.depth(ex) > DEEPEST {
            let why = format!("it is computed from more than {DEEPEST} values at a time");
            return Err(Unseen(why));
        }
        self.part(ex, out)
    }

    /// How many values its code has on the stack at once.
    fn depth(&self, ex: &Ex) -> u64 {
        // Each begins where so many of those before it have left their value.
        let row = |parts: &[&Ex]| {
            let parts = (0..).zip(parts);
            parts.map(|(before, part)| before + self.depth(part)).max()
        };
        let most = match ex {
            Ex::Const(_) | Ex::Get(_) | Ex::AtBoundary(_) | Ex::Done(_) => None,
            // Of elements that are looked at one by one each leaves two values.
            Ex::At(fields, index) if self.is_one_by_one(fields) => {
                Some(2 * fields.len() as u64 + self.depth(index) + 1)
            }
            Ex::At(_, index) => Some(self.depth(index)),
            Ex::Part(inner, ..) | Ex::Not(inner) | Ex::One(_, inner) => Some(self.depth(inner)),
            Ex::With(inner, parts) => {
                let parts = parts.iter().map(|(_, _, part)| 1 + self.depth(part));
                parts.chain([self.depth(inner)]).max()
            }
            Ex::Or(one, other)
            | Ex::And(one, other)
            | Ex::Equal(one, other)
            | Ex::Less(one, other)
            | Ex::Add(one, other)
            | Ex::Subtract(one, other) => row(&[one, other]),
            Ex::If(condition, then, otherwise) => row(&[condition, then, otherwise]),
            Ex::Two(_, _, one, other) => row(&[other, one]),
        };
        most.unwrap_or(1)
    }

    /// Whether there is no operation for looking at the element of an array by its number.
    fn is_one_by_one(&self, fields: &[Field]) -> bool {
        let first = fields.first().and_then(|field| self.places.of(*field));
        let known = matches!(first, Some(Place::Slot(_) | Place::Contents(_)));
        !known || fields.iter().any(|field| self.instead.contains_key(field))
    }

    fn part(&mut self, ex: &Ex, out: &mut Assembler) -> Result<(), Unseen> {
        match ex {
            Ex::Const(number) => out.constant(*number),
            Ex::Get(field) => self.get(*field, out)?,
            Ex::At(fields, index) => self.element(fields, index, out)?,
            Ex::Part(inner, shift, ones) => {
                self.part(inner, out)?;
                out.op(code::PART, u64::from(*shift), *ones);
            }
            Ex::With(inner, parts) => {
                self.part(inner, out)?;
                for (shift, ones, part) in parts {
                    self.part(part, out)?;
                    out.op(code::WITH, u64::from(*shift), *ones);
                }
            }
            Ex::Not(inner) => {
                self.part(inner, out)?;
                out.op(code::NOT, 0, 0);
            }
            Ex::Or(one, other) => self.two(code::OR, one, other, out)?,
            Ex::And(one, other) => self.two(code::AND, one, other, out)?,
            Ex::Equal(one, other) => self.two(code::EQUAL, one, other, out)?,
            Ex::Less(one, other) => self.two(code::LESS, one, other, out)?,
            Ex::Add(one, other) => self.two(code::ADD, one, other, out)?,
            Ex::Subtract(one, other) => self.two(code::SUBTRACT, one, other, out)?,
            Ex::If(condition, then, otherwise) => {
                self.part(condition, out)?;
                self.part(then, out)?;
                self.part(otherwise, out)?;
                out.op(code::SELECT, 0, 0);
            }
            Ex::One(table, one) => {
                self.part(one, out)?;
                let table = self.tables.add(table);
                out.op(code::LOOK_UP, table, 0);
            }
            Ex::Two(table, bits, one, other) => {
                self.pair(*bits, one, other, out)?;
                let table = self.tables.add(table);
                out.op(code::LOOK_UP, table, 0);
            }
            Ex::AtBoundary(_) => {
                let why = "whether a CPU is between two instructions can't be seen";
                return Err(Unseen(why.into()));
            }
            Ex::Done(agent) => out.op(code::GET, self.places.done(*agent), 0),
        }
        Ok(())
    }

    fn two(&mut self, op: u64, one: &Ex, other: &Ex, out: &mut Assembler) -> Result<(), Unseen> {
        self.part(one, out)?;
        self.part(other, out)?;
        out.op(op, 0, 0);
        Ok(())
    }

    /// Two entries side by side: the first in the bits above the other's.
    fn pair(&mut self, bits: u32, one: &Ex, other: &Ex, out: &mut Assembler) -> Result<(), Unseen> {
        self.part(other, out)?;
        self.part(one, out)?;
        let ones = (1 << bits) - 1;
        out.op(code::WITH, bits.into(), ones);
        Ok(())
    }

    fn get(&mut self, field: Field, out: &mut Assembler) -> Result<(), Unseen> {
        if let Some(register) = self.instead.get(&field) {
            out.op(code::REGISTER, *register, 0);
            return Ok(());
        }
        match self.places.of(field) {
            Some(Place::Slot(_)) if self.modelled.contains(&field) => {
                return Err(self.hidden(field, "kept by the model of the hardware"));
            }
            Some(Place::Slot(slot)) => out.op(code::GET, slot, 0),
            Some(Place::Register(register)) => out.op(code::REGISTER, register, 0),
            Some(Place::Page(page)) => out.op(code::ENTRY, page, 0),
            Some(Place::Contents(frame)) => {
                out.constant(frame.cast_signed());
                out.op(code::CONTENTS, 0, 0);
            }
            Some(Place::Tlb { .. }) => return Err(self.hidden(field, "a CPU's TLB")),
            Some(Place::Smmu { .. }) => return Err(self.hidden(field, "the SMMU")),
            None => return Err(self.hidden(field, "nowhere on a machine")),
        }
        Ok(())
    }

    /// One of several; 0 past the last.
    fn element(&mut self, fields: &[Field], index: &Ex, out: &mut Assembler) -> Result<(), Unseen> {
        if let Some(index) = index.constant() {
            let field = usize::try_from(index)
                .ok()
                .and_then(|index| fields.get(index));
            return match field {
                Some(field) => self.get(*field, out),
                None => {
                    out.constant(0);
                    Ok(())
                }
            };
        }
        // What was read before is read from its register, whichever it is.
        if fields.iter().any(|field| self.instead.contains_key(field)) {
            return self.one_by_one(fields, index, out);
        }
        let places: Option<Vec<Place>> =
            fields.iter().map(|field| self.places.of(*field)).collect();
        let count = fields.len() as u64;
        match places.as_deref() {
            Some([Place::Slot(first), ..]) => {
                self.part(index, out)?;
                out.op(code::GET_AT, *first, count);
            }
            Some([Place::Contents(_), ..]) => {
                self.part(index, out)?;
                out.op(code::CONTENTS, 0, 0);
            }
            _ => self.one_by_one(fields, index, out)?,
        }
        Ok(())
    }

    fn one_by_one(
        &mut self,
        fields: &[Field],
        index: &Ex,
        out: &mut Assembler,
    ) -> Result<(), Unseen> {
        for (number, field) in (0..).zip(fields) {
            self.part(index, out)?;
            out.constant(number);
            out.op(code::EQUAL, 0, 0);
            self.get(*field, out)?;
        }
        out.constant(0);
        fields.iter().for_each(|_| out.op(code::SELECT, 0, 0));
        Ok(())
    }

    fn hidden(&self, field: Field, place: &str) -> Unseen {
        let name = (self.name)(field);
        Unseen(format!("`{name}` is {place}, which can't be looked into"))
    }
}
