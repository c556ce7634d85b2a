//! Steps that look at an entry and change it: at once, also for hardware.
//!
//! The step lock keeps other agents' steps out, not the processor's walks, which set bits of their own.
//! So what such a step looks at is read once, and the change is a compare-exchange against that. If it
//! fails the step begins anew.

use std::collections::BTreeSet;

use guest::abi::litmus as code;
use notifier::explore::program::{Ex, Field, Instr, Target};

use super::context::Writer;
use super::places::Place;

impl Writer<'_, '_> {
    /// Reads the entries that the step looks at before it changes them, once.
    pub(super) fn hold_entries(&mut self, step: usize) {
        for (field, page) in self.looked_at_and_changed(step) {
            let register = self.lowering.places.register();
            self.out.op(code::ENTRY, page, 0);
            self.out.op(code::SET_REGISTER, register, 0);
            self.held.insert((step, field), register);
        }
    }

    /// The entries that one instruction of a step changes, and another one touches as well.
    fn looked_at_and_changed(&self, step: usize) -> Vec<(Field, u64)> {
        let (mut touched, mut changed) = (Vec::new(), BTreeSet::new());
        for at in 0..self.code().instrs.len() {
            if self.flow.only_step(at) == Some(step) {
                let (touches, change) = self.entries_of(&self.code().instrs[at]);
                touched.extend(touches);
                changed.extend(change);
            }
        }
        let often = |field: &Field| touched.iter().filter(|one| *one == field).count() > 1;
        let changed = changed.into_iter().filter(often);
        changed
            .filter_map(|field| Some((field, self.page_of(field)?)))
            .collect()
    }

    /// The entries that an instruction touches, each once, and the one that it changes.
    fn entries_of(&self, instr: &Instr) -> (BTreeSet<Field>, Option<Field>) {
        let mut touched = BTreeSet::new();
        for expression in instr.expressions() {
            expression.reads(&mut |field| {
                touched.insert(field);
            });
        }
        let changed = match instr {
            Instr::Assign(target, ..) => self.element(target).map(|(_, field)| field),
            _ => None,
        };
        touched.extend(changed);
        touched.retain(|field| self.page_of(*field).is_some());
        (
            touched,
            changed.filter(|field| self.page_of(*field).is_some()),
        )
    }

    fn page_of(&self, field: Field) -> Option<u64> {
        match self.lowering.places.of(field) {
            Some(Place::Page(page)) => Some(page),
            _ => None,
        }
    }

    /// Changes an entry that the step has read into `register`.
    pub(super) fn exchange_held(
        &mut self,
        at: usize,
        page: u64,
        register: u64,
        change: (&Target, &Ex),
    ) {
        let (target, value) = change;
        let step = self.flow.only_step(at).unwrap_or(at);
        if self.writes_before(step, at) {
            let why = "a step that changes something else before an entry that it has looked at";
            self.refuse(at, why.into());
        }
        if target.part.is_some() {
            self.out.op(code::REGISTER, register, 0);
        }
        self.read(at, value);
        if let Some((shift, ones)) = target.part {
            self.out.op(code::WITH, shift.into(), ones);
        }
        let new = self.lowering.places.register();
        self.out.op(code::SET_REGISTER, new, 0);
        self.out.op(code::REGISTER, register, 0);
        self.out.op(code::REGISTER, new, 0);
        self.out.op(code::CAS_ENTRY, page, 0);
        let (again, on) = (self.out.label(), self.out.label());
        self.out.jump(code::UNLESS, again);
        self.out.jump(code::JUMP, on);
        self.out.bind(again);
        self.unlock(at);
        self.out.jump(code::RETRY, self.labels[step]);
        self.out.bind(on);
        self.out.op(code::REGISTER, new, 0);
        self.out.op(code::SET_REGISTER, register, 0);
    }
}
