//! Where a step puts something: words, registers, entries of pages, frames.

use std::collections::BTreeMap;

use guest::abi::litmus as code;
use notifier::explore::program::{Ex, Field, Target};

use super::Ordering;
use super::context::Writer;
use super::expressions::Unseen;
use super::flow::Holding;
use super::places::Place;

impl Writer<'_, '_> {
    pub(super) fn assign(&mut self, at: usize, target: &Target, value: &Ex) {
        match self.element(target) {
            Some((Place::Register(register), _)) => {
                self.changed(at, target, value);
                self.out.op(code::SET_REGISTER, register, 0);
            }
            Some((Place::Slot(slot), _)) if target.index.is_none() => {
                self.changed(at, target, value);
                self.out.op(code::SET, slot, self.store(at));
            }
            Some((Place::Slot(first), _)) => self.assign_element(at, first, target, value),
            Some((Place::Page(page), field)) => self.set_entry(at, page, field, (target, value)),
            Some((Place::Contents(frame), _)) => self.set_contents(at, frame, target, value),
            Some((Place::Tlb { .. }, _)) => self.invalidate(at, target, value),
            Some((Place::Smmu { page }, _)) => self.notify(at, page, value),
            None => self.refuse(at, "which of several it is must be known before".into()),
        }
    }

    /// The place that is meant: the first of an array where the index is used to find others.
    pub(super) fn element(&self, target: &Target) -> Option<(Place, Field)> {
        let index = target.index.as_ref().map(|index| index.constant());
        let field = match index {
            None | Some(None) => target.fields.first(),
            Some(Some(index)) => target.fields.get(usize::try_from(index).ok()?),
        };
        let place = self.lowering.places.of(*field?)?;
        let movable = matches!(
            place,
            Place::Slot(_) | Place::Contents(_) | Place::Tlb { .. }
        );
        (index != Some(None) || movable).then_some((place, *field?))
    }

    /// How a word is stored.
    pub(super) fn store(&self, at: usize) -> u64 {
        let alone = self.flow.holding(at) == Holding::Nothing;
        match self.lowering.ordering {
            Ordering::Processor if alone => code::STORE_PLAIN,
            _ => code::STORE_LOCKED,
        }
    }

    /// The value that a place gets: the new one, or what it holds with a part of it replaced.
    pub(super) fn changed(&mut self, at: usize, target: &Target, value: &Ex) {
        match (target.part, target.fields.first()) {
            (Some((shift, ones)), Some(field)) => {
                self.read(at, &Ex::Get(*field));
                self.read(at, value);
                self.out.op(code::WITH, shift.into(), ones);
            }
            _ => self.read(at, value),
        }
    }

    pub(super) fn assign_element(&mut self, at: usize, first: u64, target: &Target, value: &Ex) {
        let count = target.fields.len() as u64;
        let index = target.index.as_deref().cloned().unwrap_or(Ex::Const(0));
        self.read(at, &index);
        if let Some((shift, ones)) = target.part {
            self.read(at, &index);
            self.out.op(code::GET_AT, first, count);
            self.read(at, value);
            self.out.op(code::WITH, shift.into(), ones);
        } else {
            self.read(at, value);
        }
        // The array's first word, whatever constant the index is.
        let base = target
            .fields
            .first()
            .and_then(|field| self.lowering.places.of(*field));
        let base = match base {
            Some(Place::Slot(base)) => base,
            _ => first,
        };
        self.out.op(code::SET_AT, base, count);
    }

    pub(super) fn set_contents(&mut self, at: usize, frame: u64, target: &Target, value: &Ex) {
        match &target.index {
            Some(index) => self.read(at, index),
            None => self.out.constant(frame.cast_signed()),
        }
        if target.part.is_some() {
            self.refuse(at, "a part of what is in a frame can't be changed".into());
        }
        self.read(at, value);
        self.out.op(code::SET_CONTENTS, 0, 0);
    }

    /// A store to an entry. What depends on the entry itself is one compare-exchange, since the
    /// processor may change it meanwhile.
    pub(super) fn set_entry(&mut self, at: usize, page: u64, field: Field, change: (&Target, &Ex)) {
        if let Some(register) = self.held_at(at).get(&field).copied() {
            self.exchange_held(at, page, register, change);
            return;
        }
        let (target, value) = change;
        let mut reads = target.part.is_some();
        value.reads(&mut |read| reads |= read == field);
        if !reads {
            self.read(at, value);
            self.out.op(code::SET_ENTRY, page, 0);
            return;
        }
        let register = self.lowering.places.register();
        let instead = BTreeMap::from([(field, register)]);
        let again = self.out.bound();
        self.out.op(code::ENTRY, page, 0);
        self.out.op(code::SET_REGISTER, register, 0);
        self.out.op(code::REGISTER, register, 0);
        if target.part.is_some() {
            self.out.op(code::REGISTER, register, 0);
        }
        if let Err(Unseen(why)) = self.try_read(value, &instead) {
            self.refuse(at, why);
            self.out.constant(0);
        }
        if let Some((shift, ones)) = target.part {
            self.out.op(code::WITH, shift.into(), ones);
        }
        self.out.op(code::CAS_ENTRY, page, 0);
        self.out.jump(code::UNLESS, again);
    }

    pub(super) fn cmpxchg(
        &mut self,
        at: usize,
        target: &Target,
        values: [&Ex; 2],
        success: &Target,
    ) {
        let operation = match self.element(target).map(|(place, _)| place) {
            Some(Place::Page(page)) if target.part.is_none() => Some((code::CAS_ENTRY, page)),
            Some(Place::Slot(slot)) if target.part.is_none() && target.index.is_none() => {
                Some((code::CAS, slot))
            }
            _ => None,
        };
        let Some((operation, place)) = operation else {
            self.refuse(
                at,
                "only a whole word or entry can be compared and exchanged".into(),
            );
            return;
        };
        values.into_iter().for_each(|value| self.read(at, value));
        self.out.op(operation, place, 0);
        self.put_result(at, success);
    }

    /// What is on the stack goes to a register or a word.
    pub(super) fn put_result(&mut self, at: usize, result: &Target) {
        match self.element(result).map(|(place, _)| place) {
            Some(Place::Register(register)) if result.part.is_none() => {
                self.out.op(code::SET_REGISTER, register, 0);
            }
            Some(Place::Slot(slot)) if result.part.is_none() && result.index.is_none() => {
                self.out.op(code::SET, slot, code::STORE_LOCKED);
            }
            _ => self.refuse(at, "the result has to go to a register".into()),
        }
    }
}
