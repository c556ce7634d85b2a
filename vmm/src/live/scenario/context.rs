//! The steps of one agent or handler, as code.

use std::collections::{BTreeMap, BTreeSet};

use guest::abi::{litmus as code, port};
use notifier::explore::program::{
    Code, Context, Ex, Field, HardwareOperation, Instr, Operation, Target,
};

use super::assembler::{Assembler, Label};
use super::expressions::Unseen;
use super::flow::{self, Flow, Holding};
use super::lowering::{Lowering, name_of};
use super::places::Place;
use super::{Ordering, Refusal};

/// One context while its code is written.
pub(super) struct Writer<'a, 'b> {
    pub(super) lowering: &'b mut Lowering<'a>,
    pub(super) out: &'b mut Assembler,
    pub(super) number: usize,
    context: &'a Context,
    flow: &'b Flow,
    /// Where each instruction is; for the first of a step, behind the end of the step before.
    labels: Vec<Label>,
    /// The code that takes interrupts, if somebody may interrupt here.
    polls: Option<Label>,
    /// Where it goes on at the end.
    over: Label,
    /// What ghosts were before the operation whose step it is.
    before: BTreeMap<Field, u64>,
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

    fn code(&self) -> &'a Code {
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

    fn instruction(&mut self, at: usize) {
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
    fn begin(&mut self, at: usize) {
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

    fn lock(&mut self, at: usize) {
        if self.flow.holding(at) == Holding::Lock {
            self.out.op(code::LOCK, 0, 0);
        }
    }

    fn unlock(&mut self, at: usize) {
        if self.flow.holding(at) == Holding::Lock {
            self.out.op(code::UNLOCK, 0, 0);
        }
    }

    /// Goes on from one instruction at another.
    fn go(&mut self, from: usize, to: usize) {
        if flow::is_boundary(self.code(), to) {
            self.unlock(from);
            self.out.op(code::STEP_END, 0, 0);
        }
        self.out.jump(code::JUMP, self.labels[to]);
    }

    /// One instruction; where it goes on, unless that is said already.
    fn statement(&mut self, at: usize) -> Option<usize> {
        match &self.code().instrs[at] {
            Instr::Assign(target, value, _) => self.assign(at, target, value),
            Instr::Cmpxchg(target, _, old, new, success, _) => {
                self.cmpxchg(at, target, [old, new], success);
            }
            Instr::Await(Ex::AtBoundary(_)) | Instr::Enter => {}
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
            Instr::Count(counter) => {
                let counter = self.lowering.places.counter(*counter);
                self.out.constant(1);
                self.out.op(code::GROW, counter, 0);
            }
            Instr::End => return None,
        }
        Some(at + 1)
    }

    /// Puts a value on the stack; a refusal if it can't be known.
    fn read(&mut self, at: usize, value: &Ex) {
        if let Err(Unseen(why)) = self.try_read(value, &BTreeMap::new()) {
            self.refuse(at, why);
            self.out.constant(0);
        }
    }

    /// The same. Each page's entry is read once, whatever the value looks at in it.
    fn try_read(&mut self, value: &Ex, instead: &BTreeMap<Field, u64>) -> Result<(), Unseen> {
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

    fn refuse(&mut self, at: usize, why: String) {
        let (agent, step) = (self.context.name.clone(), self.words(at));
        self.lowering.refusals.push(Refusal {
            agent: Some(agent),
            step,
            why,
        });
    }

    /// What a trace says of the step that this instruction belongs to.
    fn words(&self, at: usize) -> String {
        let step = self.flow.only_step(at).unwrap_or(at);
        self.code().words[step].clone()
    }

    fn assign(&mut self, at: usize, target: &Target, value: &Ex) {
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
    fn element(&self, target: &Target) -> Option<(Place, Field)> {
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
    fn store(&self, at: usize) -> u64 {
        let alone = self.flow.holding(at) == Holding::Nothing;
        match self.lowering.ordering {
            Ordering::Processor if alone => code::STORE_PLAIN,
            _ => code::STORE_LOCKED,
        }
    }

    /// The value that a place gets: the new one, or what it holds with a part of it replaced.
    fn changed(&mut self, at: usize, target: &Target, value: &Ex) {
        match (target.part, target.fields.first()) {
            (Some((shift, ones)), Some(field)) => {
                self.read(at, &Ex::Get(*field));
                self.read(at, value);
                self.out.op(code::WITH, shift.into(), ones);
            }
            _ => self.read(at, value),
        }
    }

    fn assign_element(&mut self, at: usize, first: u64, target: &Target, value: &Ex) {
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

    fn set_contents(&mut self, at: usize, frame: u64, target: &Target, value: &Ex) {
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
    fn set_entry(&mut self, at: usize, page: u64, field: Field, change: (&Target, &Ex)) {
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

    fn cmpxchg(&mut self, at: usize, target: &Target, values: [&Ex; 2], success: &Target) {
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
    fn put_result(&mut self, at: usize, result: &Target) {
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

    /// INVLPG on whoever's TLB it is.
    fn invalidate(&mut self, at: usize, target: &Target, value: &Ex) {
        if value.constant() != Some(0) {
            self.refuse(at, "nothing can be put into a CPU's TLB by hand".into());
            return;
        }
        match target
            .index
            .as_deref()
            .filter(|index| index.constant().is_none())
        {
            None => match self.element(target) {
                Some((Place::Tlb { agent, page }, _)) => self.shoot(agent, page),
                _ => self.refuse(at, "whose TLB it is must be known".into()),
            },
            Some(index) => {
                let index = index.clone();
                for (number, field) in (0..).zip(&target.fields) {
                    let skip = self.out.label();
                    self.read(at, &index);
                    self.out.constant(number);
                    self.out.op(code::EQUAL, 0, 0);
                    self.out.jump(code::UNLESS, skip);
                    if let Some(Place::Tlb { agent, page }) = self.lowering.places.of(*field) {
                        self.shoot(agent, page);
                    }
                    self.out.bind(skip);
                }
            }
        }
    }

    fn shoot(&mut self, agent: usize, page: u64) {
        match agent == self.context.agent {
            true => self.out.op(code::INVALIDATE, page, 0),
            false => self.out.op(code::SHOOT_DOWN, page, 1 << agent),
        }
    }

    /// The notification that has the SMMU invalidate. Several of its caches at once are one.
    fn notify(&mut self, at: usize, page: u64, value: &Ex) {
        if value.constant() != Some(0) {
            self.refuse(at, "nothing can be put into the SMMU by hand".into());
            return;
        }
        if at > 0 && !flow::is_boundary(self.code(), at) && self.notifies(at - 1, page) {
            return;
        }
        self.out.op(code::NOTIFY, page, self.kind(at).into());
    }

    fn notifies(&self, at: usize, page: u64) -> bool {
        match &self.code().instrs[at] {
            Instr::Assign(target, Ex::Const(0), _) => {
                let place = self.element(target).map(|(place, _)| place);
                place == Some(Place::Smmu { page })
            }
            _ => false,
        }
    }

    /// By what the SMMU hears of an invalidation: an event if the scenario says so; the CPUs' own
    /// broadcast if their TLBs are invalidated by the same step; else the call for secondary TLBs.
    fn kind(&self, at: usize) -> u32 {
        let mut operations = self.code().operations.iter();
        let event =
            operations.any(|one| one.what == HardwareOperation::Event && one.code.contains(&at));
        if event {
            return port::NOTIFY_EVENT;
        }
        let steps = (0..self.code().instrs.len())
            .filter(|other| self.flow.only_step(*other) == self.flow.only_step(at));
        let mut steps = steps.filter_map(|other| match &self.code().instrs[other] {
            Instr::Assign(target, Ex::Const(0), _) => self.element(target),
            _ => None,
        });
        match steps.any(|(place, _)| matches!(place, Place::Tlb { .. })) {
            true => port::NOTIFY_BROADCAST,
            false => port::NOTIFY_SECONDARY_TLB,
        }
    }

    /// Waits; the step begins again until it can be made.
    fn wait(&mut self, at: usize, condition: &Ex) {
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
    fn writes_before(&self, step: usize, at: usize) -> bool {
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

    fn choose(&mut self, at: usize, branches: &[usize]) {
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
    fn forbid(&mut self, property: usize, condition: &Ex) {
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

    fn is_late(&self, field: Field) -> bool {
        self.lowering.late.contains(&field)
    }

    /// A hardware operation, with what belongs to its step; where it goes on.
    fn operation(&mut self, at: usize, operation: &Operation) -> Option<usize> {
        self.remember(operation.code.end);
        match self.hardware(operation) {
            Ok((code, page, way)) => self.out.op(code, page, way),
            Err(why) => {
                self.refuse(at, why);
                self.out.constant(0);
            }
        }
        match &operation.result {
            // It can't fail, and says nothing.
            None if operation.what == HardwareOperation::Invalidate => {}
            Some(result) => self.put_result(at, result),
            None => {
                let nobody = self.lowering.places.register();
                self.out.op(code::SET_REGISTER, nobody, 0);
            }
        }
        let next = operation.code.end;
        if flow::is_boundary(self.code(), next) {
            self.out.op(code::STEP_END, 0, 0);
        } else {
            self.lock(next);
        }
        self.out.jump(code::JUMP, self.labels[next]);
        None
    }

    /// Reads what `forbid`s of the operation's step will ask, as it is before the operation: what was
    /// so before it began was so when it happened.
    fn remember(&mut self, end: usize) {
        let mut asked = BTreeSet::new();
        for (at, instr) in self.code().instrs.iter().enumerate() {
            let tail = self.flow.same_step(at, end) && !flow::is_boundary(self.code(), at);
            if let (true, Instr::Forbid(_, condition)) = (tail, instr) {
                condition.reads(&mut |field| {
                    asked.insert(field);
                });
            }
        }
        for field in asked {
            let seen = matches!(
                self.lowering.places.of(field),
                Some(Place::Slot(_) | Place::Page(_) | Place::Contents(_))
            );
            if seen
                && self
                    .lowering
                    .expression(&Ex::Get(field), &BTreeMap::new(), self.out)
                    .is_ok()
            {
                let register = self.lowering.places.register();
                self.out.op(code::SET_REGISTER, register, 0);
                self.before.insert(field, register);
            }
        }
    }

    fn hardware(&self, operation: &Operation) -> Result<(u64, u64, u64), String> {
        let page = operation.page.as_ref().and_then(|page| self.element(page));
        let Some((Place::Page(page), _)) = page else {
            return Err("the page has to be one whose entry is real".into());
        };
        Ok(match operation.what {
            HardwareOperation::Load => (code::LOAD, page, 0),
            HardwareOperation::Store => (code::STORE, page, 0),
            HardwareOperation::Increment => (code::INCREMENT, page, 0),
            HardwareOperation::DmaRead => (code::DMA, page, 0),
            HardwareOperation::DmaWrite => (code::DMA, page, 1),
            HardwareOperation::Invalidate => {
                (code::NOTIFY, page, self.kind(operation.code.start).into())
            }
            HardwareOperation::Event => return Err("an event is no access".into()),
        })
    }
}

/// The number of a step in the code of its vCPU: context and first instruction.
pub(super) fn step_number(context: usize, at: usize) -> u64 {
    (context as u64) << 16 | at as u64
}
