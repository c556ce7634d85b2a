//! Instructions that compute and change nothing.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::processor::{Instruction, Processor};
use super::{Break, Flow};
use crate::abi::litmus::{
    ADD, AND, EQUAL, GET, GET_AT, INITIAL_VALUE, LESS, LOOK_UP, NOT, OR, PART, REGISTER, SELECT,
    SUBTRACT, WITH,
};

impl Processor<'_> {
    pub(super) fn expression(&mut self, instruction: Instruction) -> Flow {
        let Instruction {
            operation, a, b, ..
        } = instruction;
        match operation {
            GET => {
                let value = self.get(a)?;
                self.push(value)
            }
            GET_AT => self.get_at(a, b),
            REGISTER => {
                let value = *self.register(a)?;
                self.push(value)
            }
            PART => self.part(a, b),
            WITH => self.with(a, b),
            NOT => {
                let value = self.pop()?;
                self.push(i64::from(value == 0))
            }
            OR => self.binary(|one, other| i64::from(one != 0 || other != 0)),
            AND => self.binary(|one, other| i64::from(one != 0 && other != 0)),
            EQUAL => self.binary(|one, other| i64::from(one == other)),
            LESS => self.binary(|one, other| i64::from(one < other)),
            ADD => self.binary(i64::wrapping_add),
            SUBTRACT => self.binary(i64::wrapping_sub),
            SELECT => self.select(),
            LOOK_UP => self.look_up(a),
            INITIAL_VALUE => self.initial_value(a),
            _ => Err(Break::Bad),
        }
    }

    /// Word `slot` of the scenario.
    fn get(&self, slot: u64) -> Flow<i64> {
        let word = self.run.words.at(slot).ok_or(Break::Bad)?;
        Ok(word.load(SeqCst).cast_signed())
    }

    fn get_at(&mut self, first: u64, count: u64) -> Flow {
        let at = self.pop()?.cast_unsigned();
        let value = if at < count { self.get(first + at)? } else { 0 };
        self.push(value)
    }

    fn part(&mut self, lowest: u64, ones: u64) -> Flow {
        let value = self.pop()?.cast_unsigned();
        let part = value >> shift(lowest)? & ones;
        self.push(part.cast_signed())
    }

    fn with(&mut self, lowest: u64, ones: u64) -> Flow {
        let part = self.pop()?.cast_unsigned();
        let value = self.pop()?.cast_unsigned();
        let lowest = shift(lowest)?;
        let with = value & !(ones << lowest) | (part & ones) << lowest;
        self.push(with.cast_signed())
    }

    fn binary(&mut self, of: impl FnOnce(i64, i64) -> i64) -> Flow {
        let other = self.pop()?;
        let one = self.pop()?;
        self.push(of(one, other))
    }

    fn select(&mut self) -> Flow {
        let otherwise = self.pop()?;
        let value = self.pop()?;
        let chosen = if self.pop()? != 0 { value } else { otherwise };
        self.push(chosen)
    }

    fn look_up(&mut self, table: u64) -> Flow {
        let bit = self.pop()?.cast_unsigned();
        let word = self.setup.tables.at(table + bit / 64).ok_or(Break::Bad)?;
        let is = word.load(Relaxed) >> (bit % 64) & 1;
        self.push(is.cast_signed())
    }

    fn initial_value(&mut self, number: u64) -> Flow {
        let width = self.setup.control.initial_width;
        if number >= width {
            return Err(Break::Bad);
        }
        let at = self.run.initial_state * width + number;
        let word = self.setup.initial.at(at).ok_or(Break::Bad)?;
        self.push(word.load(Relaxed).cast_signed())
    }
}

/// By how much to shift, if a word has so many bits.
fn shift(lowest: u64) -> Flow<u64> {
    if lowest < 64 {
        Ok(lowest)
    } else {
        Err(Break::Bad)
    }
}
