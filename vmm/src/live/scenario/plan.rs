//! A cell of a scenario, made ready for a machine.

use std::collections::{BTreeMap, BTreeSet};

use guest::abi::litmus as code;
use notifier::explore::program::{Field, HardwareOperation, Instr, Program, executable};
use notifier::explore::{self, Cell, Limits};
use notifier::scenario::{Checked, Diagnostic};
use notifier::secondary::smmu::Knobs;

use super::expressions::Tables;
use super::flow;
use super::initial::Initial;
use super::lowering::{Lowering, agent_of_event};
use super::outcome::Key;
use super::places::Places;
use super::sections::{Seat, late, modelled, unreliable};
use super::{Ordering, Refusal};
use crate::arch;

/// A cell that a machine can run.
#[derive(Debug)]
pub struct Plan {
    /// The instructions that the explorer explores.
    pub program: Program,
    /// What the SMMU has to be like.
    pub knobs: Knobs,
    /// Conditions that steps may break without being seen: name and why.
    pub unwatched: Vec<(String, String)>,
    pub(super) places: Places,
    pub(super) key: Key,
    pub(super) initial: Initial,
    pub(super) tables: Vec<u64>,
    /// Of each vCPU.
    pub(super) code: Vec<Vec<u64>>,
    pub(super) entry: EntryMap,
}

/// How an entry of the scenario stands in the processor's.
#[derive(Clone, Debug, Default)]
pub(super) struct EntryMap {
    pub(super) fields: Vec<code::FieldMap>,
    /// Bits of a present entry that are no field's.
    pub(super) present: u64,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum NoPlan {
    /// The scenario makes no sense in this cell.
    #[error("{0}")]
    Scenario(Diagnostic),
    /// Steps that no machine here can carry out.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Refused(Vec<Refusal>),
}

impl From<Refusal> for NoPlan {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(vec![refusal])
    }
}

impl Plan {
    /// Makes one cell ready.
    ///
    /// # Errors
    /// [`NoPlan`], with every step that can't be carried out.
    pub fn new(checked: &Checked, cell: &Cell, ordering: Ordering) -> Result<Self, NoPlan> {
        let program = executable(checked, cell).map_err(NoPlan::Scenario)?;
        let never = program.never.iter();
        let mut refusals: Vec<Refusal> = never
            .map(|(knob, why)| Refusal::cell(format!("{knob}: {why}")))
            .collect();
        if !refusals.is_empty() {
            return Err(NoPlan::Refused(refusals));
        }
        let knobs = knobs(&program)?;
        let entry = entry_map(&program)?;
        let mut places = Places::new(&program)?;
        let states = beginnings(checked, cell, &program)?;
        let initial = Initial::new(&program, states, &places)?;
        let flows = flow::flows(&program, &places);
        let modelled = modelled(&program);
        let late = late(&program, &flows);
        let unknown = modelled
            .union(&unreliable(&program, &late))
            .copied()
            .collect();
        let key = Key::new(&program, &places, &unknown)?;
        let (mut tables, mut unwatched) = (Tables::default(), BTreeSet::new());
        unwatched.extend(inside_operations(&program));
        let mut lowering = Lowering {
            program: &program,
            places: &mut places,
            tables: &mut tables,
            ordering,
            modelled: &modelled,
            late: &late,
            refusals: &mut refusals,
            unwatched: &mut unwatched,
        };
        let seats = (0..program.agents.len().max(1)).map(|agent| Seat {
            agent,
            flows: &flows,
            initial: &initial,
            key: &key,
        });
        let code: Vec<Vec<u64>> = seats.map(|seat| seat.code(&mut lowering)).collect();
        refusals.extend(check(&places, &tables, &code));
        refusals.extend(nested(&program));
        if !refusals.is_empty() {
            refusals.sort();
            refusals.dedup();
            return Err(NoPlan::Refused(refusals));
        }
        let unwatched = unwatched.into_iter();
        let unwatched = unwatched.map(|(at, why)| (program.properties[at].name.clone(), why));
        Ok(Self {
            unwatched: unwatched.collect(),
            knobs,
            places,
            key,
            initial,
            tables: tables.words().to_vec(),
            code,
            entry,
            program,
        })
    }

    /// How many vCPUs it takes: one for each agent.
    pub fn vcpus(&self) -> u64 {
        self.code.len() as u64
    }

    /// What a trace says of a step of this number.
    pub(super) fn step_words(&self, number: u64) -> &str {
        let part = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let context = self.program.contexts.get(part(number >> 16));
        let words = context.and_then(|context| context.code.words.get(part(number & 0xffff)));
        words.map_or("", String::as_str)
    }

    /// The names of the variables that an outcome shows.
    pub fn visible(&self) -> Vec<&str> {
        let fields = self.key.fields().into_iter();
        let shown = fields.filter_map(|field| {
            let mut shown = self.program.shown.iter();
            shown.find(|shown| shown.field == field)
        });
        shown.map(|shown| shown.name.as_str()).collect()
    }

    /// The agent whose vCPU can make an event happen, for replays.
    pub fn agent_of_event(&self, number: usize) -> Option<usize> {
        agent_of_event(&self.program, &self.places, number)
    }
}

/// What the cell's knobs make of the SMMU.
fn knobs(program: &Program) -> Result<Knobs, Refusal> {
    let texts: Vec<&str> = program
        .knobs
        .iter()
        .map(|(_, text)| text.as_str())
        .collect();
    let text = texts.join(",");
    text.parse()
        .map_err(|error| Refusal::cell(format!("`{text}` makes no SMMU: {error}")))
}

fn entry_map(program: &Program) -> Result<EntryMap, Refusal> {
    let fields = program.format.fields();
    let names: Vec<&str> = fields.iter().map(|(name, ..)| *name).collect();
    let mut map = EntryMap {
        present: arch::present_bits(&names),
        ..EntryMap::default()
    };
    for (name, scenario, most) in fields {
        let is_frame = *name == "F";
        let entry = match (is_frame, arch::entry_bit(name)) {
            (true, _) => 0,
            (false, Some(bit)) => bit,
            (false, None) => {
                let why = format!("this processor's entries have nothing for `{name}`");
                return Err(Refusal::cell(why));
            }
        };
        map.fields.push(code::FieldMap {
            scenario: u64::from(*scenario),
            ones: notifier::explore::program::EntryFormat::ones(*most),
            entry: entry.into(),
            is_frame: is_frame.into(),
        });
    }
    Ok(map)
}

fn beginnings(
    checked: &Checked,
    cell: &Cell,
    program: &Program,
) -> Result<Vec<BTreeMap<Field, u64>>, NoPlan> {
    let states = explore::beginnings(checked, cell, &Limits::default());
    let states = states.map_err(NoPlan::Scenario)?;
    let states = states.map_err(|_| Refusal::cell("there are too many initial states"))?;
    let field = |name: &str| {
        let mut shown = program.shown.iter();
        shown
            .find(|shown| shown.name == name)
            .map(|shown| shown.field)
    };
    let states = states.into_iter().map(|values| {
        let values = values.into_iter();
        let values = values.filter_map(|value| Some((field(&value.name)?, value.value)));
        values.collect()
    });
    Ok(states.collect())
}

/// Conditions that a step breaks within the model of a hardware operation, of which nothing is seen
/// but the result.
fn inside_operations(program: &Program) -> BTreeSet<(usize, String)> {
    let mut inside = BTreeSet::new();
    let contexts = program.contexts.iter().map(|context| &context.code);
    for code in contexts.chain(program.events.iter().map(|event| &event.code)) {
        let hardware = code.operations.iter();
        let hardware = hardware.filter(|one| one.what != HardwareOperation::Event);
        for instr in hardware.flat_map(|one| &code.instrs[one.code.clone()]) {
            if let Instr::Forbid(property, _) = instr {
                let why = "it may be broken within a hardware operation".to_owned();
                inside.insert((*property, why));
            }
        }
    }
    inside
}

/// What has grown too large.
fn check(places: &Places, tables: &Tables, code: &[Vec<u64>]) -> Vec<Refusal> {
    let longest = code.iter().map(Vec::len).max().unwrap_or(0) as u64;
    let tables = tables.words().len() as u64;
    let room = (code::TABLES_END - code::TABLES) / 8;
    let limits = [
        (longest, code::CODE_STRIDE / 8, "the code of an agent is"),
        (tables, room, "the look-up tables are"),
        (places.registers(), code::REGISTERS, "registers are"),
    ];
    let over = limits.into_iter().filter(|(used, most, _)| used > most);
    let refused = over.map(|(used, most, what)| {
        Refusal::cell(format!(
            "{what} {used} words: a machine has room for {most}"
        ))
    });
    refused.collect()
}

/// Agents whose interrupts may be nested deeper than the payload's calls: two for each, the look whether
/// it may come and the handler.
fn nested(program: &Program) -> Vec<Refusal> {
    let most = code::DEPTH / 2;
    let agents = (0..).zip(&program.agents).filter(|(agent, _)| {
        let contexts = program.contexts.iter();
        let all = contexts.filter(|context| context.agent == *agent).count();
        all as u64 > 1 + most
    });
    let refused = agents.map(|(_, name)| {
        Refusal::cell(format!(
            "{name} has more than {most} interrupts, which may be nested"
        ))
    });
    refused.collect()
}
