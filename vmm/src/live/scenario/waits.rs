//! Steps that can't be made yet: they are begun anew until they can.

use std::collections::{BTreeMap, BTreeSet};

use guest::abi::litmus as code;
use notifier::explore::program::{Ex, Field, Instr};

use super::context::Writer;
use super::flow;
use super::places::Place;

impl Writer<'_, '_> {
    /// Looks once more whether the handler may begin, now in the step in which it does.
    pub(super) fn enter(&mut self, at: usize) {
        let Some(condition) = &self.context.condition else {
            return;
        };
        // That it can't be looked at is told where it is looked at first.
        if self.try_read(condition, &BTreeMap::new()).is_err() {
            self.out.constant(0);
        }
        let (not, on) = (self.out.label(), self.out.label());
        self.out.jump(code::UNLESS, not);
        self.out.jump(code::JUMP, on);
        self.out.bind(not);
        self.unlock(at);
        self.out.op(code::STEP_END, 0, 0);
        self.out.jump(code::JUMP, self.over);
        self.out.bind(on);
    }

    /// Waits; the step begins again until it can be made.
    pub(super) fn wait(&mut self, at: usize, condition: &Ex) {
        let Some(step) = self.flow.only_step(at) else {
            self.refuse(at, "a wait that several steps come to".into());
            return;
        };
        if self.writes_before(step, at) {
            self.refuse(
                at,
                "a step that waits after it has done something that would be done again".into(),
            );
        }
        self.read(at, condition);
        let (retry, on) = (self.out.label(), self.out.label());
        self.out.jump(code::UNLESS, retry);
        self.out.jump(code::JUMP, on);
        self.out.bind(retry);
        self.unlock(at);
        self.out.jump(code::RETRY, self.labels[step]);
        self.out.bind(on);
    }

    /// Whether a step may do something, before it comes to an instruction, that shows if the step begins
    /// anew there.
    pub(super) fn writes_before(&self, step: usize, at: usize) -> bool {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![step]);
        while let Some(one) = waiting.pop() {
            if one != at && seen.insert(one) {
                if self.shows(step, one) {
                    return true;
                }
                let next = flow::after(self.code(), one).into_iter();
                waiting.extend(next.filter(|next| !flow::is_boundary(self.code(), *next)));
            }
        }
        false
    }

    /// Whether it shows that an instruction of a step was carried out, if the step begins anew.
    pub(super) fn shows(&self, step: usize, at: usize) -> bool {
        match &self.code().instrs[at] {
            _ if flow::operation_at(self.code(), at).is_some() => true,
            Instr::Assign(target, ..) => match self.element(target) {
                Some((Place::Register(_), field)) => self.is_read_from(step, field),
                _ => true,
            },
            Instr::Cmpxchg(..) | Instr::Forbid(..) | Instr::Count(_) => true,
            _ => false,
        }
    }

    /// Whether a register may be read, from an instruction on, before it is written.
    pub(super) fn is_read_from(&self, start: usize, register: Field) -> bool {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![start]);
        while let Some(one) = waiting.pop() {
            if !seen.insert(one) {
                continue;
            }
            let instr = &self.code().instrs[one];
            let mut reads = false;
            for expression in instr.expressions() {
                expression.reads(&mut |field| reads |= field == register);
            }
            let written = match instr {
                Instr::Assign(target, ..) if target.fields.contains(&register) => {
                    reads |= target.part.is_some();
                    true
                }
                _ => false,
            };
            if reads {
                return true;
            }
            if !written {
                waiting.extend(self.code().after(one));
            }
        }
        false
    }
}
