//! All the code of one vCPU: how a run begins, its agent, and what is looked at in the end.

use std::collections::BTreeSet;

use guest::abi::{litmus as code, port};
use notifier::explore::program::{
    Ex, Field, HardwareOperation, Instr, Operation, Owner, Program, Target,
};

use super::assembler::{Assembler, Label};
use super::context::Writer;
use super::flow::{self, Flow};
use super::initial::Initial;
use super::lowering::Lowering;
use super::outcome::Key;
use super::places::Place;

/// What the code of a vCPU is made of.
pub(super) struct Seat<'a> {
    pub(super) agent: usize,
    pub(super) flows: &'a [Flow],
    pub(super) initial: &'a Initial,
    pub(super) key: &'a Key,
}

impl Seat<'_> {
    /// The code of this agent's vCPU.
    pub(super) fn code(&self, lowering: &mut Lowering<'_>) -> Vec<u64> {
        let mut out = Assembler::new();
        let mut sections = code::Sections {
            prime: self.prime(lowering, &mut out),
            body: self.body(lowering, &mut out),
            log: self.log(lowering, &mut out),
            ..code::Sections::default()
        };
        if self.agent == 0 {
            sections.reset = self.reset(lowering, &mut out);
            sections.collect = self.collect(lowering, &mut out);
        }
        (sections.events, sections.event_count) = self.events(lowering, &mut out);
        out.finish(sections)
    }

    /// Sets all words and entries as they are at the beginning, and empties the SMMU.
    fn reset(&self, lowering: &mut Lowering<'_>, out: &mut Assembler) -> u64 {
        let section = out.here();
        for (field, value) in self.initial.values() {
            match lowering.places.of(field) {
                Some(Place::Slot(slot)) => {
                    value.push(out);
                    out.op(code::SET, slot, code::STORE_LOCKED);
                }
                Some(Place::Page(page)) => {
                    value.push(out);
                    out.op(code::SET_ENTRY, page, 0);
                }
                Some(Place::Contents(frame)) => {
                    out.constant(frame.cast_signed());
                    value.push(out);
                    out.op(code::SET_CONTENTS, 0, 0);
                }
                _ => {}
            }
        }
        let program = lowering.program;
        let flags = (0..program.agents.len()).map(|agent| lowering.places.done(agent));
        let broken = (0..program.properties.len()).map(|one| lowering.places.broken(one));
        for slot in flags.chain(broken) {
            out.constant(0);
            out.op(code::SET, slot, code::STORE_LOCKED);
        }
        for page in pages_of_smmu(lowering) {
            out.op(code::NOTIFY, page, port::NOTIFY_SECONDARY_TLB.into());
        }
        out.op(code::END, 0, 0);
        section
    }

    /// Empties this vCPU's TLB, and fills it as the initial state wants it; the SMMU likewise, if this
    /// agent uses it.
    fn prime(&self, lowering: &mut Lowering<'_>, out: &mut Assembler) -> u64 {
        let section = out.here();
        for page in self.pages_of_cpu(lowering) {
            out.op(code::INVALIDATE, page, 0);
        }
        let nobody = lowering.places.register();
        for (field, value) in self.initial.values() {
            let access = match lowering.places.of(field) {
                Some(Place::Tlb { agent, page }) if agent == self.agent => Some((code::LOAD, page)),
                Some(Place::Smmu { page }) if self.fills_smmu(lowering.program) => {
                    Some((code::DMA, page))
                }
                _ => None,
            };
            let Some((access, page)) = access.filter(|_| !value.is_zero()) else {
                continue;
            };
            let skip = out.label();
            value.push(out);
            out.jump(code::UNLESS, skip);
            out.op(access, page, 0);
            out.op(code::SET_REGISTER, nobody, 0);
            out.bind(skip);
        }
        for register in self.registers(lowering) {
            out.constant(0);
            out.op(code::SET_REGISTER, register, 0);
        }
        out.op(code::END, 0, 0);
        section
    }

    /// The scenario's registers of this agent: they begin as 0, and are there before the run.
    fn registers(&self, lowering: &Lowering<'_>) -> BTreeSet<u64> {
        let contexts = lowering.program.contexts.iter();
        let mine = contexts.filter(|context| context.agent == self.agent);
        let mut registers = BTreeSet::new();
        for expression in mine
            .flat_map(|one| &one.code.instrs)
            .flat_map(Instr::expressions)
        {
            expression.reads(&mut |field| {
                if let Some(Place::Register(register)) = lowering.places.of(field) {
                    registers.insert(register);
                }
            });
        }
        registers
    }

    /// Whether this is the first agent whose device accesses memory, or the first if none does.
    fn fills_smmu(&self, program: &Program) -> bool {
        let mut contexts = program.contexts.iter();
        let first = contexts.find(|one| one.code.operations.iter().any(is_dma));
        self.agent == first.map_or(0, |context| context.agent)
    }

    /// Pages that this agent reaches by its own CPU.
    fn pages_of_cpu(&self, lowering: &Lowering<'_>) -> BTreeSet<u64> {
        let program = lowering.program;
        let mine = program
            .contexts
            .iter()
            .filter(|one| one.agent == self.agent);
        let operations = mine.flat_map(|one| &one.code.operations);
        let used = operations.filter(|one| !is_dma(one));
        let used = used.flat_map(|one| one.page.iter().flat_map(|page| &page.fields));
        let held = program.shown.iter().map(|shown| &shown.field);
        let held = held.filter_map(|field| match lowering.places.of(*field) {
            Some(Place::Tlb { agent, page }) if agent == self.agent => Some(page),
            _ => None,
        });
        let used = used.filter_map(|field| match lowering.places.of(*field) {
            Some(Place::Page(page)) => Some(page),
            _ => None,
        });
        used.chain(held).collect()
    }

    /// The scenario.
    fn body(&self, lowering: &mut Lowering<'_>, out: &mut Assembler) -> u64 {
        let contexts = lowering.program.contexts.iter().enumerate();
        let mine: Vec<usize> = contexts
            .filter(|(_, context)| context.agent == self.agent)
            .map(|(number, _)| number)
            .collect();
        let Some((own, handlers)) = mine.split_first() else {
            return 0;
        };
        let entries: Vec<(usize, Label, Label)> = handlers
            .iter()
            .map(|number| (*number, out.label(), out.label()))
            .collect();
        let polls = entries.first().map(|(_, poll, _)| *poll);
        let section = out.here();
        let over = out.label();
        let flow = (*own, &self.flows[*own]);
        Writer::new(lowering, out, flow, polls, over).write();
        out.bind(over);
        self.end(lowering, polls, out);
        for (at, (_, poll, _)) in entries.iter().enumerate() {
            out.bind(*poll);
            self.poll(lowering, &entries[at..], out);
        }
        for (at, (number, _, handler)) in entries.iter().enumerate() {
            out.bind(*handler);
            let polls = entries.get(at + 1).map(|(_, poll, _)| *poll);
            let over = out.label();
            let flow = (*number, &self.flows[*number]);
            Writer::new(lowering, out, flow, polls, over).write();
            out.bind(over);
            out.op(code::RETURN, 0, 0);
        }
        section
    }

    /// The agent is done; it goes on taking interrupts until all others are done, too.
    fn end(&self, lowering: &mut Lowering<'_>, polls: Option<Label>, out: &mut Assembler) {
        out.constant(1);
        let done = lowering.places.done(self.agent);
        out.op(code::SET, done, code::STORE_LOCKED);
        if let Some(polls) = polls {
            let (again, more) = (out.bound(), out.label());
            out.jump(code::CALL, polls);
            out.constant(1);
            for agent in 0..lowering.program.agents.len() {
                out.op(code::GET, lowering.places.done(agent), 0);
                out.op(code::AND, 0, 0);
            }
            out.jump(code::UNLESS, more);
            out.op(code::END, 0, 0);
            out.bind(more);
            out.jump(code::RETRY, again);
        }
        out.op(code::END, 0, 0);
    }

    /// Takes whichever interrupt may come, a later one of the list first.
    fn poll(
        &self,
        lowering: &mut Lowering<'_>,
        handlers: &[(usize, Label, Label)],
        out: &mut Assembler,
    ) {
        for (number, _, handler) in handlers.iter().rev() {
            let next = out.label();
            out.op(code::ENTERS, *number as u64, 0);
            out.jump(code::UNLESS, next);
            let condition = lowering.program.contexts[*number].condition.as_ref();
            if let Some(condition) = condition {
                lowering.condition(*number, condition, out);
                out.jump(code::UNLESS, next);
            }
            out.jump(code::CALL, *handler);
            out.bind(next);
        }
        out.op(code::RETURN, 0, 0);
    }

    fn collect(&self, lowering: &mut Lowering<'_>, out: &mut Assembler) -> u64 {
        let section = out.here();
        for part in self.key.parts() {
            lowering.look(part.field, out);
            out.op(code::KEY, part.word << 8 | u64::from(part.shift), part.ones);
        }
        for (property, part) in (0..).zip(self.key.broken()) {
            out.op(code::GET, lowering.places.broken(property), 0);
            out.op(code::KEY, part.word << 8 | u64::from(part.shift), part.ones);
        }
        out.op(code::END, 0, 0);
        section
    }

    /// The same values, a word each.
    fn log(&self, lowering: &mut Lowering<'_>, out: &mut Assembler) -> u64 {
        let section = out.here();
        for (at, part) in (0..).zip(self.key.parts()) {
            lowering.look(part.field, out);
            out.op(code::LOG, at, 0);
        }
        out.op(code::END, 0, 0);
        section
    }

    /// The code of each event that this vCPU can bring about, for replays; the place of their table
    /// and how many there are.
    fn events(&self, lowering: &mut Lowering<'_>, out: &mut Assembler) -> (u64, u64) {
        let program = lowering.program;
        let places: Vec<u64> = (0..program.events.len())
            .map(|number| {
                let place = out.here();
                let made = lowering.event(number, self.agent, out);
                out.op(code::END, 0, 0);
                if made { place } else { 0 }
            })
            .collect();
        let table = out.here();
        let count = places.len() as u64;
        places.into_iter().for_each(|place| out.place(place));
        (table, count)
    }
}

fn pages_of_smmu(lowering: &Lowering<'_>) -> BTreeSet<u64> {
    let fields = lowering.program.shown.iter().map(|shown| shown.field);
    let pages = fields.filter_map(|field| match lowering.places.of(field) {
        Some(Place::Smmu { page }) => Some(page),
        _ => None,
    });
    pages.collect()
}

/// Variables that the blocks of hardware operations write: the model keeps them, nobody else.
pub(super) fn modelled(program: &Program) -> BTreeSet<Field> {
    let mut modelled = BTreeSet::new();
    for context in &program.contexts {
        for (at, instr) in context.code.instrs.iter().enumerate() {
            if flow::operation_around(&context.code, at).is_some() {
                modelled.extend(targets(instr).into_iter().flat_map(|target| &target.fields));
            }
        }
    }
    modelled
}

/// Where an instruction puts something.
pub(super) fn targets(instr: &Instr) -> Vec<&Target> {
    match instr {
        Instr::Assign(target, ..) => vec![target],
        Instr::Cmpxchg(target, .., success, _) => vec![target, success],
        _ => Vec::new(),
    }
}

/// Ghosts that are written behind hardware operations, in their steps.
pub(super) fn late(program: &Program, flows: &[Flow]) -> BTreeSet<Field> {
    let mut late = BTreeSet::new();
    for (context, flow) in program.contexts.iter().zip(flows) {
        let code = &context.code;
        let hardware = code.operations.iter().filter(|one| flow::is_access(one));
        for operation in hardware {
            for (at, instr) in code.instrs.iter().enumerate() {
                let tail = flow.same_step(at, operation.code.end) && !flow::is_boundary(code, at);
                if let (true, Instr::Assign(target, ..)) = (tail, instr) {
                    late.extend(&target.fields);
                }
            }
        }
    }
    let ghosts = program
        .shown
        .iter()
        .filter(|shown| shown.owner == Owner::Ghost);
    let ghosts: BTreeSet<Field> = ghosts.map(|shown| shown.field).collect();
    late.intersection(&ghosts).copied().collect()
}

/// Late ghosts of which the last value is not known either: several agents write them, and it matters
/// who was last.
pub(super) fn unreliable(program: &Program, late: &BTreeSet<Field>) -> BTreeSet<Field> {
    let matters = |field: &&Field| {
        let (mut agents, mut values) = (BTreeSet::new(), Vec::new());
        for context in &program.contexts {
            for instr in &context.code.instrs {
                if let Instr::Assign(target, value, _) = instr
                    && target.fields.contains(field)
                {
                    agents.insert(context.agent);
                    values.push(value);
                }
            }
        }
        let same = values.windows(2).all(|pair| pair[0] == pair[1]);
        let sums = values.iter().all(|value| is_sum(value, **field));
        let constant = values.iter().all(|value| value.constant().is_some());
        agents.len() > 1 && !(same && constant) && !sums
    };
    let mut unreliable: BTreeSet<Field> = late.iter().filter(matters).copied().collect();
    while spread(program, late, &mut unreliable) {}
    unreliable
}

/// Whether one more variable is made of a late ghost, and so is as late.
fn spread(program: &Program, late: &BTreeSet<Field>, unreliable: &mut BTreeSet<Field>) -> bool {
    let before = unreliable.len();
    for instr in program
        .contexts
        .iter()
        .flat_map(|context| &context.code.instrs)
    {
        let Instr::Assign(target, value, _) = instr else {
            continue;
        };
        let mut is_late = false;
        value.reads(&mut |field| {
            let own = target.fields.contains(&field);
            is_late |= unreliable.contains(&field) || late.contains(&field) && !own;
        });
        if is_late {
            unreliable.extend(&target.fields);
        }
    }
    unreliable.len() > before
}

/// Whether a value adds something that is always the same, so that the order of several does not matter.
fn is_sum(value: &Ex, field: Field) -> bool {
    match value {
        Ex::Add(one, other) => **one == Ex::Get(field) && other.constant().is_some(),
        _ => false,
    }
}

/// Whether it is the device's.
pub(super) fn is_dma(operation: &Operation) -> bool {
    let dma = [HardwareOperation::DmaRead, HardwareOperation::DmaWrite];
    dma.contains(&operation.what)
}
