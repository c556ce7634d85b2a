//! The steps of one agent or handler, as code.

use std::collections::{BTreeMap, BTreeSet};

use guest::abi::litmus as code;
use notifier::explore::program::{Code, Context, Ex, Field, Instr};

use super::Refusal;
use super::assembler::{Assembler, Label};
use super::expressions::Unseen;
use super::flow::{self, Flow, Holding};
use super::lowering::{Lowering, name_of};
use super::places::Place;

/// One context while its code is written.
pub(super) struct Writer<'a, 'b> {
    pub(super) lowering: &'b mut Lowering<'a>,
    pub(super) out: &'b mut Assembler,
    pub(super) number: usize,
    pub(super) context: &'a Context,
    pub(super) flow: &'b Flow,
    /// Where each instruction is; for the first of a step, behind the end of the step before.
    pub(super) labels: Vec<Label>,
    /// The code that takes interrupts, if somebody may interrupt here.
    polls: Option<Label>,
    /// Where it goes on at the end.
    over: Label,
    /// What ghosts were before the operation whose step it is.
    pub(super) before: BTreeMap<Field, u64>,
}

impl<'a, 'b> Writer<'a, 'b> {
    pub(super) fn new(
        lowering: &'b mut Lowering<'a>,
        out: &'b mut Assembler,
        (number, flow): (usize, &'b Flow),
        polls: Option<Label>,
        over: Label,
    ) -> Self {
        let context = &lowering.program.contexts[number];
        let labels = context.code.instrs.iter().map(|_| out.label()).collect();
        Self {
            lowering,
            out,
            number,
            context,
            flow,
            labels,
            polls,
            over,
            before: BTreeMap::new(),
        }
    }

    pub(super) fn code(&self) -> &'a Code {
        &self.context.code
    }

    /// All of it. The first step begins here; `over` is where the end leads.
    pub(super) fn write(&mut self) {
        for at in 0..self.code().instrs.len() {
            if flow::operation_around(self.code(), at).is_none()
                || flow::operation_at(self.code(), at).is_some()
            {
                self.instruction(at);
            }
        }
    }

    pub(super) fn instruction(&mut self, at: usize) {
        self.out.bind(self.labels[at]);
        if matches!(self.code().instrs[at], Instr::End) {
            self.out.jump(code::JUMP, self.over);
            return;
        }
        if flow::is_boundary(self.code(), at) {
            self.begin(at);
        }
        let next = match flow::operation_at(self.code(), at) {
            Some(operation) => self.operation(at, operation),
            None => self.statement(at),
        };
        if let Some(next) = next {
            self.go(at, next);
        }
    }

    /// The beginning of a step.
    pub(super) fn begin(&mut self, at: usize) {
        if self.code().inside[at] {
            let why =
                "a step in the midst of an instruction: this host's instructions are made at once";
            self.refuse(at, why.into());
        }
        // That a handler is entered is part of its first step.
        let entered = matches!(self.code().instrs[at], Instr::Enter);
        let between = !self.code().inside[at] && !entered;
        if let Some(polls) = self.polls.filter(|_| between) {
            self.out.jump(code::CALL, polls);
        }
        self.out.op(code::STEP, 0, step_number(self.number, at));
        if flow::operation_at(self.code(), at).is_none() {
            self.lock(at);
        }
    }

    pub(super) fn lock(&mut self, at: usize) {
        if self.flow.holding(at) == Holding::Lock {
            self.out.op(code::LOCK, 0, 0);
        }
    }

    pub(super) fn unlock(&mut self, at: usize) {
        if self.flow.holding(at) == Holding::Lock {
            self.out.op(code::UNLOCK, 0, 0);
        }
    }

    /// Goes on from one instruction at another.
    pub(super) fn go(&mut self, from: usize, to: usize) {
        if flow::is_boundary(self.code(), to) {
            self.unlock(from);
            self.out.op(code::STEP_END, 0, 0);
        }
        self.out.jump(code::JUMP, self.labels[to]);
    }

    /// One instruction; where it goes on, unless that is said already.
    pub(super) fn statement(&mut self, at: usize) -> Option<usize> {
        match &self.code().instrs[at] {
            Instr::Assign(target, value, _) => self.assign(at, target, value),
            Instr::Cmpxchg(target, _, old, new, success, _) => {
                self.cmpxchg(at, target, [old, new], success);
            }
            // How often something happens on one way is the explorer's question.
            Instr::Await(Ex::AtBoundary(_)) | Instr::Enter | Instr::Count(_) => {}
            Instr::Await(condition) => self.wait(at, condition),
            Instr::Unless(condition, to) => {
                self.read(at, condition);
                let otherwise = self.out.label();
                self.out.jump(code::UNLESS, otherwise);
                self.go(at, at + 1);
                self.out.bind(otherwise);
                self.go(at, *to);
                return None;
            }
            Instr::Jump(to) => return Some(*to),
            Instr::Choose(branches) => {
                self.choose(at, branches);
                return None;
            }
            Instr::Forbid(property, condition) => self.forbid(*property, condition),
            Instr::End => return None,
        }
        Some(at + 1)
    }

    /// Puts a value on the stack; a refusal if it can't be known.
    pub(super) fn read(&mut self, at: usize, value: &Ex) {
        if let Err(Unseen(why)) = self.try_read(value, &BTreeMap::new()) {
            self.refuse(at, why);
            self.out.constant(0);
        }
    }

    /// The same. Each page's entry is read once, whatever the value looks at in it.
    pub(super) fn try_read(
        &mut self,
        value: &Ex,
        instead: &BTreeMap<Field, u64>,
    ) -> Result<(), Unseen> {
        let mut pages = BTreeSet::new();
        value.reads(&mut |field| {
            if let Some(Place::Page(page)) = self.lowering.places.of(field)
                && !instead.contains_key(&field)
            {
                pages.insert((field, page));
            }
        });
        let mut instead = instead.clone();
        for (field, page) in pages {
            let register = self.lowering.places.register();
            self.out.op(code::ENTRY, page, 0);
            self.out.op(code::SET_REGISTER, register, 0);
            instead.insert(field, register);
        }
        self.lowering.expression(value, &instead, self.out)
    }

    pub(super) fn refuse(&mut self, at: usize, why: String) {
        let (agent, step) = (self.context.name.clone(), self.words(at));
        self.lowering.refusals.push(Refusal {
            agent: Some(agent),
            step,
            why,
        });
    }

    /// What a trace says of the step that this instruction belongs to.
    pub(super) fn words(&self, at: usize) -> String {
        let step = self.flow.only_step(at).unwrap_or(at);
        self.code().words[step].clone()
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
                "a step that waits after it has written something".into(),
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

    /// Whether a step may write something that others see before it comes to an instruction.
    pub(super) fn writes_before(&self, step: usize, at: usize) -> bool {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![step]);
        while let Some(one) = waiting.pop().filter(|one| *one != at) {
            if seen.insert(one) {
                let target = match &self.code().instrs[one] {
                    Instr::Assign(target, ..) | Instr::Cmpxchg(target, ..) => Some(target),
                    _ => None,
                };
                let place = target.and_then(|target| self.element(target));
                if target.is_some() && !matches!(place, Some((Place::Register(_), _))) {
                    return true;
                }
                let next = flow::after(self.code(), one).into_iter();
                waiting.extend(next.filter(|next| !flow::is_boundary(self.code(), *next)));
            }
        }
        false
    }

    pub(super) fn choose(&mut self, at: usize, branches: &[usize]) {
        let register = self.lowering.places.register();
        self.out.op(code::CHOOSE, branches.len() as u64, 0);
        self.out.op(code::SET_REGISTER, register, 0);
        for (number, branch) in (0..).zip(branches) {
            let other = self.out.label();
            self.out.op(code::REGISTER, register, 0);
            self.out.constant(number);
            self.out.op(code::EQUAL, 0, 0);
            self.out.jump(code::UNLESS, other);
            self.go(at, *branch);
            self.out.bind(other);
        }
        // The interpreter gives one of these numbers and no other.
        self.out.jump(code::JUMP, self.over);
    }

    /// Notes that a step breaks a condition, if what it asks can be known when it is made.
    pub(super) fn forbid(&mut self, property: usize, condition: &Ex) {
        let mut late = None;
        condition.reads(&mut |field| late = late.or(self.is_late(field).then_some(field)));
        if let Some(field) = late {
            let name = name_of(self.lowering.program, field);
            let why = format!("`{name}` is known only a while after it happened");
            self.lowering.unwatched.insert((property, why));
            return;
        }
        let before = self.before.clone();
        let mark = self.out.here();
        match self.try_read(condition, &before) {
            Ok(()) => {
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

    pub(super) fn is_late(&self, field: Field) -> bool {
        self.lowering.late.contains(&field)
    }
}

/// The number of a step in the code of its vCPU: context and first instruction.
pub(super) fn step_number(context: usize, at: usize) -> u64 {
    (context as u64) << 16 | at as u64
}
