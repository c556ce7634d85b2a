//! A scenario ready to be explored, in one cell of its matrix: instructions over a packed state.
//!
//! A live run reads it, too: what is done there is what was explored.

pub use super::binding::{HardwareOperation, Operation, Owner, PageId, Role};
pub use super::code::{Code, Ex, Instr, Target};
pub use super::entries::{EntryFormat, Table};
pub use super::layout::Field;
use super::layout::MAX_WORDS;
use super::machine::Machine;
use super::{Cell, Reductions, compile};
use crate::scenario::tree::{Demand, Kind, Scope};
use crate::scenario::{Checked, Diagnostic};

/// Compiles `checked` for one cell, with each statement in its own place, so that
/// [`Code::operations`] are known.
///
/// # Errors
/// A variant that the file does not declare; a program, an entry or a state that is too large; a
/// value that can't fit where it is put; a `live` block that is no hardware operation. Not yet
/// [located](Diagnostic::locate).
pub fn executable(checked: &Checked, cell: &Cell) -> Result<Program, Diagnostic> {
    compile::compile(checked, cell, Reductions::Off)
}

/// All there is to run.
#[derive(Debug)]
pub struct Program {
    /// Agents, each followed by its handlers.
    pub contexts: Vec<Context>,
    /// The names of the agents.
    pub agents: Vec<String>,
    /// What happens by itself.
    pub events: Vec<Happening>,
    /// The conditions.
    pub properties: Vec<Wanted>,
    /// The tables.
    pub tables: Vec<WantedTable>,
    /// The names of the counters.
    pub counters: Vec<String>,
    /// The assignments of the initial state.
    pub initial: Code,
    /// What is where before those.
    pub defaults: Vec<(Field, u64)>,
    /// Variables, element by element, and which frames are freed.
    pub shown: Vec<Shown>,
    /// The registers of all contexts and events.
    pub registers: Vec<Shown>,
    /// The knobs of the cell that machines have: name, and how they are turned on.
    pub knobs: Vec<(String, String)>,
    /// The knobs of the cell that no machine has: name, and why.
    pub never: Vec<(String, String)>,
    /// The names of the frames.
    pub frames: Vec<String>,
    /// What is where in an entry.
    pub format: EntryFormat,
    /// How many bits a state has.
    pub bits: usize,
    /// How many 64-bit words it has, at least 1.
    pub words: usize,
}

/// Something with a program counter: an agent's own code, or the handler of an interrupt.
#[derive(Debug, Default)]
pub struct Context {
    /// The number of the agent.
    pub agent: usize,
    /// The agent's name; a handler's is `AGENT.INTERRUPT`.
    pub name: String,
    /// What it does.
    pub code: Code,
    /// The number of the stop; in a handler 0 is idle.
    pub pc: Field,
    /// When a handler may begin; `None` for an agent's own code.
    pub condition: Option<Ex>,
    /// What it interrupts.
    pub below: Vec<usize>,
    /// What interrupts it.
    pub above: Vec<usize>,
}

/// What happens by itself.
#[derive(Debug)]
pub struct Happening {
    /// Its name.
    pub name: String,
    /// What happens, as a trace tells it.
    pub words: String,
    /// When it may happen.
    pub condition: Ex,
    /// What it does.
    pub code: Code,
    /// Its registers, cleared when it is over.
    pub scratch: Vec<Field>,
}

/// A condition.
#[derive(Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// What it means; may be empty.
    pub about: String,
    /// What is asked for.
    pub demand: Demand,
    /// Where it is looked for.
    pub scope: Scope,
    /// What is looked for; `None` if only steps can break it.
    pub condition: Option<Ex>,
    /// The number of the counter of what may happen on the way.
    pub counter: Option<usize>,
}

/// A table of what is reached.
#[derive(Debug)]
pub struct WantedTable {
    /// Its name.
    pub name: String,
    /// What it shows; may be empty.
    pub about: String,
    /// Text, value and kind of each column.
    pub columns: Vec<(String, Ex, Kind)>,
}

/// Something of the state that has a name.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The name: `pte`, `tlb[1]`, `freed(page)`; of a register `CPU0.old`, or `CPU0.walk.old` if it is
    /// the procedure `walk`'s.
    pub name: String,
    /// Where it is.
    pub field: Field,
    /// What it holds.
    pub kind: Kind,
    /// Its greatest value.
    pub most: u64,
    /// Who can see it.
    pub owner: Owner,
    /// What it is on real hardware.
    pub role: Role,
}

impl Program {
    /// The value of an expression where these fields have these values, and all others 0; every agent
    /// is done.
    pub fn evaluate(&self, ex: &Ex, values: &[(Field, u64)]) -> i64 {
        let mut state = [0; MAX_WORDS];
        for (field, value) in values {
            field.set(&mut state, *value);
        }
        for context in self
            .contexts
            .iter()
            .filter(|context| context.condition.is_none())
        {
            let last = context.code.stops.len().saturating_sub(1);
            context.pc.set(&mut state, last as u64);
        }
        Machine::new(self).eval(ex, &state)
    }

    /// A value as a trace shows it.
    pub fn show(&self, kind: Kind, most: u64, value: u64) -> String {
        let frame = usize::try_from(value)
            .ok()
            .and_then(|value| self.frames.get(value));
        match (kind, frame) {
            (Kind::Entry, _) => self.format.show(value, &self.frames),
            (Kind::Frame, Some(frame)) => frame.clone(),
            (Kind::Lock, _) => if value == 0 { "free" } else { "held" }.into(),
            (Kind::RwLock, _) if value == most => "held to write".into(),
            (Kind::RwLock, _) if value == 0 => "free".into(),
            (Kind::RwLock, _) => format!("held by {value} to read"),
            _ => value.to_string(),
        }
    }
}
