//! `forbid`s: whether a step breaks a condition, as far as that can be known when it is made.

use std::collections::{BTreeMap, BTreeSet};

use guest::abi::litmus as code;
use notifier::explore::program::{Ex, Field, Instr};

use super::context::Writer;
use super::expressions::Unseen;
use super::flow;
use super::lowering::name_of;

impl Writer<'_, '_> {
    /// Notes that a step breaks a condition, if what it asks can be known when it is made.
    pub(super) fn forbid(&mut self, at: usize, property: usize, condition: &Ex) {
        let mark = self.out.here();
        let asked = match self.instead(at, condition) {
            Ok(instead) => {
                let mut all = self.held_at(at);
                all.extend(&instead);
                self.try_read(condition, &all).map(|()| instead)
            }
            Err(why) => Err(Unseen(why)),
        };
        match asked {
            Ok(instead) => {
                for (field, register) in instead {
                    self.read(at, &Ex::Get(field));
                    self.out.op(code::REGISTER, register, 0);
                    self.out.op(code::EQUAL, 0, 0);
                    self.out.op(code::AND, 0, 0);
                }
                let skip = self.out.label();
                let broken = self.lowering.places.broken(property);
                self.out.jump(code::UNLESS, skip);
                self.out.constant(1);
                self.out.op(code::SET, broken, code::STORE_LOCKED);
                self.out.bind(skip);
            }
            Err(Unseen(why)) => {
                self.out.cut(mark);
                self.lowering.unwatched.insert((property, why));
            }
        }
    }

    /// The registers that a `forbid` reads instead of variables: behind an operation those of before
    /// it. What was so before, is so now and changes only once was so when the operation happened.
    pub(super) fn instead(
        &self,
        at: usize,
        condition: &Ex,
    ) -> Result<BTreeMap<Field, u64>, String> {
        let (mut late, mut changing) = (None, None);
        let mut instead = BTreeMap::new();
        condition.reads(&mut |field| {
            late = late.or(self.is_late(field).then_some(field));
            if let Some(register) = self.before.get(&field) {
                instead.insert(field, *register);
                changing = changing.or((!self.changes_once(field)).then_some(field));
            }
        });
        let name = |field| name_of(self.lowering.program, field);
        if let Some(field) = late {
            let name = name(field);
            return Err(format!("`{name}` is known only a while after it happened"));
        }
        let behind = |step: usize| flow::operation_at(self.code(), step).is_some();
        let steps = self.flow.steps(at).count();
        match self.flow.steps(at).filter(|step| behind(*step)).count() {
            0 => Ok(BTreeMap::new()),
            some if some < steps => {
                Err("it is asked behind hardware operations and elsewhere".into())
            }
            _ => match changing {
                Some(field) => {
                    let name = name(field);
                    Err(format!(
                        "`{name}` may change, and change back, while hardware acts"
                    ))
                }
                None => Ok(instead),
            },
        }
    }

    /// Whether all that is ever written to a variable is the same.
    pub(super) fn changes_once(&self, field: Field) -> bool {
        let program = self.lowering.program;
        let contexts = program.contexts.iter().map(|context| &context.code);
        let events = program.events.iter().map(|event| &event.code);
        let mut written = BTreeSet::new();
        for instr in contexts.chain(events).flat_map(|code| &code.instrs) {
            match instr {
                Instr::Assign(target, value, _) if target.fields.contains(&field) => {
                    written.insert(value.constant().filter(|_| target.part.is_none()));
                }
                Instr::Cmpxchg(target, .., success, _)
                    if target.fields.contains(&field) || success.fields.contains(&field) =>
                {
                    written.insert(None);
                }
                _ => {}
            }
        }
        written.len() < 2 && !written.contains(&None)
    }

    pub(super) fn is_late(&self, field: Field) -> bool {
        self.lowering.late.contains(&field)
    }
}
