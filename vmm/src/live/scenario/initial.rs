//! How a run begins.

use std::collections::BTreeMap;

use guest::abi::litmus as code;
use notifier::explore::program::{EntryFormat, Field, Program};

use super::Refusal;
use super::assembler::Assembler;
use super::lowering::name_of;
use super::places::{Place, Places};

/// All initial states of a cell.
#[derive(Clone, Debug)]
pub(super) struct Initial {
    states: Vec<BTreeMap<Field, u64>>,
    /// The variables that are not the same in all of them, in the order in which the table has them.
    varying: Vec<Field>,
}

/// A variable's initial value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Always(u64),
    /// Differs from state to state: which one in the table.
    Chosen(u64),
}

impl Value {
    /// Code that puts it on the stack.
    pub(super) fn push(self, out: &mut Assembler) {
        match self {
            Self::Always(value) => out.constant(value.cast_signed()),
            Self::Chosen(number) => out.op(code::INITIAL_VALUE, number, 0),
        }
    }

    pub(super) fn is_zero(self) -> bool {
        self == Self::Always(0)
    }
}

impl Initial {
    /// # Errors
    /// A state that no machine can be put into, or more states than there is room for.
    pub(super) fn new(
        program: &Program,
        states: Vec<BTreeMap<Field, u64>>,
        places: &Places,
    ) -> Result<Self, Refusal> {
        let fields: Vec<Field> = program.shown.iter().map(|shown| shown.field).collect();
        let value = |state: &BTreeMap<Field, u64>, field| state.get(&field).copied().unwrap_or(0);
        let differs = |field: &Field| {
            let mut values = states.iter().map(|state| value(state, *field));
            let first = values.next();
            values.any(|value| Some(value) != first)
        };
        let varying: Vec<Field> = fields.into_iter().filter(differs).collect();
        let words = (states.len() * varying.len().max(1)) as u64;
        if words > (code::INITIAL_END - code::INITIAL) / 8 {
            let why = format!(
                "{} initial states are more than a machine has room for",
                states.len()
            );
            return Err(Refusal::cell(why));
        }
        let initial = Self { states, varying };
        initial.check(program, places)?;
        Ok(initial)
    }

    /// What a CPU has cached at the beginning is what its page's entry says, since only a walk fills a
    /// TLB.
    fn check(&self, program: &Program, places: &Places) -> Result<(), Refusal> {
        let entry_of = |page: u64| {
            let mut fields = program.shown.iter().map(|shown| shown.field);
            fields.find(|field| places.of(*field) == Some(Place::Page(page)))
        };
        let kept = program.format.cached();
        let mut fields = program.format.fields().iter();
        let accessed = fields.find(|(name, ..)| *name == "A");
        let accessed = accessed.map_or(0, |(_, shift, ones)| EntryFormat::ones(*ones) << shift);
        for shown in &program.shown {
            let Some(Place::Tlb { page, .. } | Place::Smmu { page }) = places.of(shown.field)
            else {
                continue;
            };
            for state in &self.states {
                let value = |field: Field| state.get(&field).copied().unwrap_or(0);
                let entry = entry_of(page).map_or(0, value);
                if value(shown.field) != 0
                    && entry & accessed != accessed
                    && is_cpu(places.of(shown.field))
                {
                    let name = name_of(program, shown.field);
                    let why = format!(
                        "`{name}` begins with an entry whose A is 0, and the walk that fills it sets A"
                    );
                    return Err(Refusal::cell(why));
                }
                let entry = entry & kept;
                let cached = value(shown.field);
                if cached != 0 && cached != entry {
                    let name = name_of(program, shown.field);
                    let why = format!(
                        "`{name}` begins with something that its page's entry does not say, and only \
                         a walk fills a TLB"
                    );
                    return Err(Refusal::cell(why));
                }
            }
        }
        Ok(())
    }

    /// Each variable with its initial value.
    pub(super) fn values(&self) -> impl Iterator<Item = (Field, Value)> + use<'_> {
        let first = self.states.first().into_iter().flatten();
        first.map(|(field, value)| {
            let number = self.varying.iter().position(|varying| varying == field);
            let value = number.map_or(Value::Always(*value), |at| Value::Chosen(at as u64));
            (*field, value)
        })
    }

    /// The row of the table that begins with these values; `None` if no initial state has them.
    pub(super) fn row(&self, values: &BTreeMap<Field, u64>) -> Option<Vec<u64>> {
        let mut states = self.states.iter();
        let state = states.find(|state| *state == values)?;
        let row = self
            .varying
            .iter()
            .map(|field| state.get(field).copied().unwrap_or(0));
        Some(row.collect())
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.states.len()
    }

    /// Values of each state in the table.
    pub(super) fn width(&self) -> usize {
        self.varying.len()
    }

    /// The table: one state after the other.
    pub(super) fn words(&self) -> Vec<u64> {
        let states = self.states.iter();
        let row = |state: &BTreeMap<Field, u64>| {
            let values = self.varying.iter();
            let values = values.map(|field| state.get(field).copied().unwrap_or(0));
            values.collect::<Vec<_>>()
        };
        states.flat_map(row).collect()
    }
}

fn is_cpu(place: Option<Place>) -> bool {
    matches!(place, Some(Place::Tlb { .. }))
}
