//! Instructions that change words and registers, and those that make results.

use core::sync::atomic::Ordering::{Relaxed, Release, SeqCst};

use super::area::index;
use super::processor::{Instruction, Processor, Section};
use super::{Break, Flow};
use crate::abi::litmus::{
    CAS, CHOOSE, GROW, KEY, LOG, SET, SET_AT, SET_REGISTER, STORE_LOCKED, STORE_PLAIN, WAYS,
};

impl Processor<'_> {
    pub(super) fn statement(&mut self, instruction: Instruction) -> Flow {
        let Instruction {
            operation, a, b, ..
        } = instruction;
        match operation {
            SET => self.set(a, b),
            SET_AT => self.set_at(a, b),
            SET_REGISTER => {
                let value = self.pop()?;
                *self.register(a)? = value;
                Ok(())
            }
            CAS => self.cas(a),
            GROW => self.grow(a),
            CHOOSE => self.choose(a),
            _ => Err(Break::Bad),
        }
    }

    fn set(&mut self, slot: u64, how: u64) -> Flow {
        let value = self.pop()?.cast_unsigned();
        let word = self.run.words.at(slot).ok_or(Break::Bad)?;
        match how {
            STORE_LOCKED => word.store(value, SeqCst),
            STORE_PLAIN => word.store(value, Release),
            _ => return Err(Break::Bad),
        }
        Ok(())
    }

    fn set_at(&mut self, first: u64, count: u64) -> Flow {
        let value = self.pop()?.cast_unsigned();
        let at = self.pop()?.cast_unsigned();
        if at < count {
            let word = self.run.words.at(first + at).ok_or(Break::Bad)?;
            word.store(value, SeqCst);
        }
        Ok(())
    }

    fn cas(&mut self, slot: u64) -> Flow {
        let new = self.pop()?.cast_unsigned();
        let old = self.pop()?.cast_unsigned();
        let word = self.run.words.at(slot).ok_or(Break::Bad)?;
        let exchanged = word.compare_exchange(old, new, SeqCst, SeqCst);
        self.push(i64::from(exchanged.is_ok()))
    }

    fn grow(&mut self, slot: u64) -> Flow {
        let by = self.pop()?.cast_unsigned();
        let word = self.run.words.at(slot).ok_or(Break::Bad)?;
        word.fetch_add(by, SeqCst);
        Ok(())
    }

    fn choose(&mut self, ways: u64) -> Flow {
        if !(1..=WAYS).contains(&ways) {
            return Err(Break::Bad);
        }
        let way = match &mut self.taken {
            Some(turn) => turn.choice(ways)?,
            None => self.run.random.below(ways),
        };
        self.push(way.cast_signed())
    }

    /// What a section makes of what everything is.
    pub(super) fn result(&mut self, instruction: Instruction) -> Flow {
        let Instruction {
            operation, a, b, ..
        } = instruction;
        let value = self.pop()?.cast_unsigned();
        match (operation, self.section) {
            (KEY, Section::Collect) => self.key(value & b, a >> 8, a & 0xff),
            (LOG, Section::Log) => self.log(value, a),
            _ => Err(Break::Bad),
        }
    }

    fn key(&mut self, part: u64, word: u64, lowest: u64) -> Flow {
        let word = self.run.key.get_mut(index(word)).ok_or(Break::Bad)?;
        if lowest >= 64 {
            return Err(Break::Bad);
        }
        *word |= part << lowest;
        Ok(())
    }

    fn log(&mut self, value: u64, number: u64) -> Flow {
        let turn = self.taken.as_ref().ok_or(Break::Bad)?.index();
        let width = self.setup.control.log_width;
        if number >= width {
            return Err(Break::Bad);
        }
        let word = self.setup.log.at(turn * width + number);
        word.ok_or(Break::Bad)?.store(value, Relaxed);
        Ok(())
    }
}
