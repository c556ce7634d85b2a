//! Which instructions belong to which step, and which steps need the step lock.
//!
//! The explorer makes a step at once, whatever it touches. A step that touches one word once is one
//! instruction of the processor here too. All others take one lock, and so does whoever touches a word
//! that such a step touches.

use std::collections::{BTreeMap, BTreeSet};

use notifier::explore::program::{
    Code, Context, Ex, Field, HardwareOperation, Instr, Operation, Program, Target,
};

use super::places::{Place, Places};

/// Something that agents share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Slot(u64),
    Page(u64),
    /// What is in frames; which one is often known only when it is used.
    Contents,
    /// Whether an agent has nothing more to do.
    Done(usize),
}

/// Whether a step takes the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    Nothing,
    Lock,
}

/// What is known of the steps of one context.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// For each instruction, the first ones of the steps that it belongs to.
    steps: Vec<BTreeSet<usize>>,
    /// First instructions of steps that take the lock.
    locked: BTreeSet<usize>,
}

impl Flow {
    /// Whether the lock is held where this instruction is carried out.
    pub(super) fn holding(&self, at: usize) -> Holding {
        let mut steps = self.steps[at].iter();
        match steps.any(|step| self.locked.contains(step)) {
            true => Holding::Lock,
            false => Holding::Nothing,
        }
    }

    /// Whether two instructions may be parts of one step.
    pub(super) fn same_step(&self, one: usize, other: usize) -> bool {
        !self.steps[one].is_disjoint(&self.steps[other])
    }

    /// Where the steps begin that this instruction may belong to.
    pub(super) fn steps(&self, at: usize) -> impl Iterator<Item = usize> {
        self.steps[at].iter().copied()
    }

    /// Where the step begins that this instruction belongs to, if there is just one.
    pub(super) fn only_step(&self, at: usize) -> Option<usize> {
        let mut steps = self.steps[at].iter();
        steps.next().filter(|_| steps.next().is_none()).copied()
    }
}

/// Whether it is an access, whose block is left to the hardware.
pub(super) fn is_access(operation: &Operation) -> bool {
    operation.what != HardwareOperation::Event
}

/// The operation whose block begins at this instruction.
pub(super) fn operation_at(code: &Code, at: usize) -> Option<&Operation> {
    let mut operations = code.operations.iter();
    operations.find(|one| is_access(one) && one.code.start == at && !one.code.is_empty())
}

/// The operation in whose block this instruction is.
pub(super) fn operation_around(code: &Code, at: usize) -> Option<&Operation> {
    let mut operations = code.operations.iter();
    operations.find(|one| is_access(one) && one.code.contains(&at))
}

/// Where control goes after the instruction, blocks of hardware operations being one instruction.
pub(super) fn after(code: &Code, at: usize) -> Vec<usize> {
    match operation_at(code, at) {
        Some(operation) => vec![operation.code.end],
        None => code.after(at),
    }
}

/// Whether a step ends before this instruction.
pub(super) fn is_boundary(code: &Code, at: usize) -> bool {
    code.starts[at] || matches!(code.instrs[at], Instr::End) || operation_at(code, at).is_some()
}

/// The flow of every context of a program, in their order.
pub(super) fn flows(program: &Program, places: &Places) -> Vec<Flow> {
    let mut flows: Vec<Flow> = program
        .contexts
        .iter()
        .map(|one| steps(&one.code))
        .collect();
    let contexts = program.contexts.iter().zip(&flows);
    let touched: Vec<_> = contexts
        .map(|(context, flow)| touches(context, flow, places))
        .collect();
    let private = private(program, &touched);
    let mut grouped = BTreeSet::new();
    // Locks spread until nothing changes; each round adds one step at least.
    while spread(&mut flows, &touched, &private, &mut grouped) {}
    flows
}

/// What the instructions of a step touch, and how often; by the step's first instruction.
type Touched = BTreeMap<usize, Vec<Cell>>;

fn steps(code: &Code) -> Flow {
    let mut steps = vec![BTreeSet::new(); code.instrs.len()];
    // The steps within the model of an operation are none here.
    let made =
        |at: &usize| operation_around(code, *at).is_none() || operation_at(code, *at).is_some();
    let starts = (0..code.instrs.len()).filter(|at| is_boundary(code, *at) || *at == 0);
    for start in starts.filter(made) {
        let mut waiting = vec![start];
        while let Some(at) = waiting.pop() {
            if steps[at].insert(start) {
                let next = after(code, at).into_iter();
                waiting.extend(next.filter(|next| !is_boundary(code, *next)));
            }
        }
    }
    Flow {
        steps,
        locked: BTreeSet::new(),
    }
}

fn touches(context: &Context, flow: &Flow, places: &Places) -> Touched {
    let mut touched = Touched::new();
    for (at, steps) in flow.steps.iter().enumerate() {
        if operation_around(&context.code, at).is_some() {
            continue;
        }
        let mut cells = cells(&context.code.instrs[at], places);
        // Whether a handler may begin is looked at in its first step.
        if let (Instr::Enter, Some(condition)) = (&context.code.instrs[at], &context.condition) {
            condition.reads(&mut |field| cells.extend(places.of(field).and_then(cell)));
        }
        if ends(context, at) {
            cells.push(Cell::Done(context.agent));
        }
        for step in steps {
            touched.entry(*step).or_default().extend(&cells);
        }
    }
    touched
}

/// What an instruction touches, each as often as it does.
fn cells(instr: &Instr, places: &Places) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut see = |field: Field| cells.extend(places.of(field).and_then(cell));
    for expression in instr.expressions() {
        expression.reads(&mut see);
    }
    let mut done = Vec::new();
    for expression in instr.expressions() {
        expression.visit(&mut |part| {
            if let Ex::Done(agent) = part {
                done.push(Cell::Done(*agent));
            }
        });
    }
    let targets: Vec<&Target> = match instr {
        Instr::Assign(target, ..) => vec![target],
        Instr::Cmpxchg(target, .., success, _) => vec![target, success],
        _ => Vec::new(),
    };
    for target in targets {
        target.fields.iter().for_each(|field| see(*field));
    }
    // A part of a word is changed by reading and writing it.
    if let Instr::Assign(target, ..) = instr
        && target.part.is_some()
    {
        target.fields.iter().for_each(|field| see(*field));
    }
    cells.extend(done);
    cells
}

/// Whether an agent has nothing more to do behind this instruction. One with interrupts goes on taking them.
pub(super) fn ends(context: &Context, at: usize) -> bool {
    let last = |at: usize| matches!(context.code.instrs[at], Instr::End);
    let own = context.condition.is_none() && context.above.is_empty();
    own && !last(at) && after(&context.code, at).into_iter().any(last)
}

/// Whether a step asks whether an agent has nothing more to do.
pub(super) fn is_asked_done(program: &Program, agent: usize) -> bool {
    let instrs = program.contexts.iter().flat_map(|one| &one.code.instrs);
    let mut asked = false;
    for expression in instrs.flat_map(Instr::expressions) {
        expression.visit(&mut |part| asked |= *part == Ex::Done(agent));
    }
    asked
}

fn cell(place: Place) -> Option<Cell> {
    match place {
        Place::Slot(slot) => Some(Cell::Slot(slot)),
        Place::Page(page) => Some(Cell::Page(page)),
        Place::Contents(_) => Some(Cell::Contents),
        Place::Register(_) | Place::Tlb { .. } | Place::Smmu { .. } => None,
    }
}

/// What one agent alone touches: nobody can see when.
fn private(program: &Program, touched: &[Touched]) -> BTreeSet<Cell> {
    let mut agents: BTreeMap<Cell, BTreeSet<usize>> = BTreeMap::new();
    for (context, touched) in program.contexts.iter().zip(touched) {
        for cell in touched.values().flatten() {
            agents.entry(*cell).or_default().insert(context.agent);
        }
    }
    let alone = agents.into_iter().filter(|(_, agents)| agents.len() == 1);
    alone.map(|(cell, _)| cell).collect()
}

/// Whether one more step takes the lock.
fn spread(
    flows: &mut [Flow],
    touched: &[Touched],
    private: &BTreeSet<Cell>,
    grouped: &mut BTreeSet<Cell>,
) -> bool {
    let mut more = false;
    for (flow, touched) in flows.iter_mut().zip(touched) {
        for (step, cells) in touched {
            let shared: Vec<Cell> = cells
                .iter()
                .filter(|cell| !private.contains(cell))
                .copied()
                .collect();
            let needs = shared.len() > 1 || shared.iter().any(|cell| grouped.contains(cell));
            if needs && flow.locked.insert(*step) {
                grouped.extend(shared);
                more = true;
            }
        }
        more |= level(flow, touched, private, grouped);
    }
    more
}

/// Steps that share instructions all take the lock, or none does.
fn level(
    flow: &mut Flow,
    touched: &Touched,
    private: &BTreeSet<Cell>,
    grouped: &mut BTreeSet<Cell>,
) -> bool {
    let together = flow
        .steps
        .iter()
        .filter(|steps| steps.len() > 1 && steps.iter().any(|step| flow.locked.contains(step)));
    let all: BTreeSet<usize> = together.flatten().copied().collect();
    let before = flow.locked.len();
    for step in all {
        if flow.locked.insert(step) {
            let cells = touched.get(&step).into_iter().flatten();
            grouped.extend(cells.filter(|cell| !private.contains(cell)));
        }
    }
    flow.locked.len() > before
}
