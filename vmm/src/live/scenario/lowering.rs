//! What all code of a cell is made with, and the small pieces that stand outside of steps.

use std::collections::{BTreeMap, BTreeSet};

use guest::abi::{litmus as code, port};
use notifier::explore::program::{Ex, Field, HardwareOperation, Instr, Program};

use super::assembler::Assembler;
use super::expressions::{Expressions, Tables, Unseen};
use super::places::{Place, Places};
use super::{Ordering, Refusal};

/// What all code of a cell is made with.
pub(super) struct Lowering<'a> {
    pub(super) program: &'a Program,
    pub(super) places: &'a mut Places,
    pub(super) tables: &'a mut Tables,
    pub(super) ordering: Ordering,
    /// Variables that only the model of hardware keeps.
    pub(super) modelled: &'a BTreeSet<Field>,
    /// Ghosts that are written only after a hardware operation is over, and so perhaps late.
    pub(super) late: &'a BTreeSet<Field>,
    pub(super) refusals: &'a mut Vec<Refusal>,
    /// `forbid`s of steps that can't be watched, and why: condition, reason.
    pub(super) unwatched: &'a mut BTreeSet<(usize, String)>,
}

impl Lowering<'_> {
    /// Code that leaves a value on the stack, `instead` of some variables registers.
    ///
    /// # Errors
    /// It looks at something that can't be looked at.
    pub(super) fn expression(
        &mut self,
        value: &Ex,
        instead: &BTreeMap<Field, u64>,
        out: &mut Assembler,
    ) -> Result<(), Unseen> {
        let program = self.program;
        let mut expressions = Expressions {
            places: self.places,
            tables: self.tables,
            instead,
            modelled: self.modelled,
            name: &|field| name_of(program, field),
        };
        expressions.value(value, out)
    }

    /// When a handler may begin.
    pub(super) fn condition(&mut self, context: usize, condition: &Ex, out: &mut Assembler) {
        if let Err(Unseen(why)) = self.expression(condition, &BTreeMap::new(), out) {
            self.refusals.push(Refusal {
                agent: Some(self.program.contexts[context].name.clone()),
                step: String::new(),
                why,
            });
            out.constant(0);
        }
    }

    /// What a variable holds; only of those that there are on a machine.
    pub(super) fn look(&mut self, field: Field, out: &mut Assembler) {
        if self
            .expression(&Ex::Get(field), &BTreeMap::new(), out)
            .is_err()
        {
            out.constant(0);
        }
    }

    /// The code that makes an event happen, if the vCPU of `agent` is the one that can; whether it is.
    pub(super) fn event(&mut self, number: usize, agent: usize, out: &mut Assembler) -> bool {
        match event_by(self.program, self.places, number) {
            Some((by, steps)) if by == agent => {
                let nobody = self.places.register();
                for deed in steps {
                    out.op(deed.operation, deed.page, deed.way);
                    if deed.operation == code::LOAD {
                        out.op(code::SET_REGISTER, nobody, 0);
                    }
                }
                true
            }
            _ => false,
        }
    }
}

/// One instruction of an event: operation and operands.
struct Deed {
    operation: u64,
    page: u64,
    way: u64,
}

impl Deed {
    fn new(operation: u64, page: u64, way: u64) -> Self {
        Self {
            operation,
            page,
            way,
        }
    }
}

/// The agent whose vCPU can make an event happen, if one can.
pub(super) fn agent_of_event(program: &Program, places: &Places, number: usize) -> Option<usize> {
    event_by(program, places, number).map(|(agent, _)| agent)
}

/// Who can make an event happen, and by what: loads through pages (which fill a TLB), and
/// invalidations.
fn event_by(program: &Program, places: &Places, number: usize) -> Option<(usize, Vec<Deed>)> {
    let code = &program.events.get(number)?.code;
    let (mut agent, mut steps) = (None, Vec::new());
    let mut by = |one: usize| match agent.replace(one) {
        None => Some(()),
        Some(before) => (before == one).then_some(()),
    };
    let mut at = 0;
    while !matches!(code.instrs.get(at)?, Instr::End) {
        let operation = code.operations.iter().find(|one| one.code.start == at);
        if let Some(operation) = operation.filter(|one| !one.code.is_empty()) {
            let filled = code.instrs[operation.code.clone()].iter();
            let filled = filled.filter_map(|instr| match instr {
                Instr::Assign(target, ..) => places.of(*target.fields.first()?),
                _ => None,
            });
            let mut tlbs = filled.filter_map(|place| match place {
                Place::Tlb { agent, page } => Some((agent, page)),
                _ => None,
            });
            let (of, page) = tlbs.next()?;
            (operation.what == HardwareOperation::Load).then_some(())?;
            by(of)?;
            steps.push(Deed::new(code::LOAD, page, 0));
            at = operation.code.end;
            continue;
        }
        let Instr::Assign(target, Ex::Const(0), _) = &code.instrs[at] else {
            return None;
        };
        match places.of(*target.fields.first()?)? {
            Place::Tlb { agent, page } => {
                by(agent)?;
                steps.push(Deed::new(code::INVALIDATE, page, 0));
            }
            Place::Smmu { page } => {
                let kind = u64::from(port::NOTIFY_SECONDARY_TLB);
                steps.push(Deed::new(code::NOTIFY, page, kind));
            }
            _ => return None,
        }
        at += 1;
    }
    Some((agent.unwrap_or(0), steps))
}

/// What a variable is called.
pub(super) fn name_of(program: &Program, field: Field) -> String {
    let mut shown = program.shown.iter().chain(&program.registers);
    let shown = shown.find(|shown| shown.field == field);
    shown.map_or_else(|| "a register".into(), |shown| shown.name.clone())
}
