//! What hardware does in a step: accesses, INVLPG and shoot-downs, notifications of the SMMU.

use std::collections::{BTreeMap, BTreeSet};

use guest::abi::{litmus as code, port};
use notifier::explore::program::{Ex, HardwareOperation, Instr, Operation, Target};

use super::context::Writer;
use super::flow;
use super::places::Place;

impl Writer<'_, '_> {
    /// INVLPG on whoever's TLB it is.
    pub(super) fn invalidate(&mut self, at: usize, target: &Target, value: &Ex) {
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

    pub(super) fn shoot(&mut self, agent: usize, page: u64) {
        match agent == self.context.agent {
            true => self.out.op(code::INVALIDATE, page, 0),
            false => self.out.op(code::SHOOT_DOWN, page, 1 << agent),
        }
    }

    /// The notification that has the SMMU invalidate. Several of its caches at once are one.
    pub(super) fn notify(&mut self, at: usize, page: u64, value: &Ex) {
        if value.constant() != Some(0) {
            self.refuse(at, "nothing can be put into the SMMU by hand".into());
            return;
        }
        if at > 0 && !flow::is_boundary(self.code(), at) && self.notifies(at - 1, page) {
            return;
        }
        self.out.op(code::NOTIFY, page, self.kind(at).into());
    }

    pub(super) fn notifies(&self, at: usize, page: u64) -> bool {
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
    pub(super) fn kind(&self, at: usize) -> u32 {
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

    /// A hardware operation, with what belongs to its step; where it goes on.
    pub(super) fn operation(&mut self, at: usize, operation: &Operation) -> Option<usize> {
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
            self.finish(next);
            self.out.op(code::STEP_END, 0, 0);
        } else {
            self.lock(next);
        }
        self.out.jump(code::JUMP, self.labels[next]);
        None
    }

    /// Reads what `forbid`s of the operation's step will ask, as it is before the operation: what was
    /// so before it began was so when it happened.
    pub(super) fn remember(&mut self, end: usize) {
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
                let places = &mut self.lowering.places;
                let register = self.before.entry(field);
                let register = *register.or_insert_with(|| places.register());
                self.out.op(code::SET_REGISTER, register, 0);
            }
        }
    }

    pub(super) fn hardware(&self, operation: &Operation) -> Result<(u64, u64, u64), String> {
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
