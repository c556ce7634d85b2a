//! Page-table entries and what is in frames.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Release, SeqCst};

use super::processor::{Instruction, Processor};
use super::{Break, Flow};
use crate::abi::litmus::{
    CAS_ENTRY, CONTENTS, ENTRY, SET_CONTENTS, SET_ENTRY, STORE_LOCKED, STORE_PLAIN,
};

impl Processor<'_> {
    pub(super) fn entry(&mut self, instruction: Instruction) -> Flow {
        let Instruction {
            operation, a, b, ..
        } = instruction;
        match operation {
            ENTRY => {
                let entry = self.slot(a)?.load(SeqCst);
                self.push(self.setup.fields.decode(entry).cast_signed())
            }
            SET_ENTRY => self.set_entry(a, b),
            CAS_ENTRY => self.cas_entry(a),
            CONTENTS => {
                let frame = self.pop()?;
                let word = self.frame(frame)?.load(SeqCst);
                self.push(word.cast_signed())
            }
            SET_CONTENTS => {
                let value = self.pop()?.cast_unsigned();
                let frame = self.pop()?;
                self.frame(frame)?.store(value, SeqCst);
                Ok(())
            }
            _ => Err(Break::Bad),
        }
    }

    /// The processor's entry of a page.
    fn slot(&self, page: u64) -> Flow<&'static AtomicU64> {
        self.setup.entries.at(page).ok_or(Break::Bad)
    }

    /// The word of a frame.
    fn frame(&self, frame: i64) -> Flow<&'static AtomicU64> {
        let word = self.setup.frames.at(frame.cast_unsigned());
        word.ok_or(Break::Bad)
    }

    fn set_entry(&mut self, page: u64, how: u64) -> Flow {
        let value = self.pop()?.cast_unsigned();
        let slot = self.slot(page)?;
        let entry = self.setup.fields.encode(page, value).ok_or(Break::Bad)?;
        match how {
            STORE_LOCKED => slot.store(entry, SeqCst),
            STORE_PLAIN => slot.store(entry, Release),
            _ => return Err(Break::Bad),
        }
        Ok(())
    }

    /// A compare-exchange of the fields only: bits that stand for none may change meanwhile, as the
    /// processor's own accesses do, and it is tried again.
    fn cas_entry(&mut self, page: u64) -> Flow {
        let new = self.pop()?.cast_unsigned();
        let old = self.pop()?.cast_unsigned();
        let (slot, fields) = (self.slot(page)?, &self.setup.fields);
        let mut entry = slot.load(SeqCst);
        let exchanged = loop {
            // One that can't succeed is made all the same: it is a fence.
            let expected = if fields.decode(entry) == old {
                entry
            } else {
                fields.change(page, entry, old).ok_or(Break::Bad)?
            };
            let wanted = fields.change(page, expected, new).ok_or(Break::Bad)?;
            match slot.compare_exchange(expected, wanted, SeqCst, SeqCst) {
                Ok(_) => break true,
                Err(found) if fields.decode(found) == old => entry = found,
                Err(_) => break false,
            }
        };
        self.push(i64::from(exchanged))
    }
}
