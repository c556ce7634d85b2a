//! The steps of one agent or handler, as code.

use std::collections::{BTreeMap, BTreeSet};

use guest::abi::litmus as code;
use notifier::explore::program::{Code, Context, Ex, Field, Instr};

use super::Refusal;
use super::assembler::{Assembler, Label};
use super::expressions::Unseen;
use super::flow::{self, Flow, Holding};
use super::lowering::Lowering;
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
    pub(super) over: Label,
    /// Where that is which `forbid`s behind operations ask for, as it was before the operation.
    pub(super) before: BTreeMap<Field, u64>,
    /// Where that is which a step has read of an entry that it changes: by its first instruction.
    pub(super) held: BTreeMap<(usize, Field), u64>,
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
            held: BTreeMap::new(),
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
            self.hold_entries(at);
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

    /// That an agent is done is part of its last step, if others ask.
    pub(super) fn finish(&mut self, to: usize) {
        let over = matches!(self.code().instrs[to], Instr::End);
        let own = self.context.condition.is_none() && self.context.above.is_empty();
        if over && own && flow::is_asked_done(self.lowering.program, self.context.agent) {
            self.out.constant(1);
            let done = self.lowering.places.done(self.context.agent);
            self.out.op(code::SET, done, code::STORE_LOCKED);
        }
    }

    /// Goes on from one instruction at another.
    pub(super) fn go(&mut self, from: usize, to: usize) {
        if flow::is_boundary(self.code(), to) {
            self.finish(to);
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
            Instr::Await(Ex::AtBoundary(_)) | Instr::Count(_) => {}
            Instr::Enter => self.enter(at),
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
            Instr::Forbid(property, condition) => self.forbid(at, *property, condition),
            Instr::End => return None,
        }
        Some(at + 1)
    }

    /// Puts a value on the stack; a refusal if it can't be known.
    pub(super) fn read(&mut self, at: usize, value: &Ex) {
        if let Err(Unseen(why)) = self.try_read(value, &self.held_at(at)) {
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

    /// What stands for entries that the step of this instruction has read.
    pub(super) fn held_at(&self, at: usize) -> BTreeMap<Field, u64> {
        let step = self.flow.only_step(at);
        let held = self.held.iter().filter(|((of, _), _)| Some(*of) == step);
        held.map(|((_, field), register)| (*field, *register))
            .collect()
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

    pub(super) fn choose(&mut self, at: usize, branches: &[usize]) {
        if branches.len() as u64 > code::WAYS {
            let why = format!("a choice of more than {} ways", code::WAYS);
            self.refuse(at, why);
        }
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
}

/// The number of a step in the code of its vCPU: context and first instruction.
pub(super) fn step_number(context: usize, at: usize) -> u64 {
    (context as u64) << 16 | at as u64
}
