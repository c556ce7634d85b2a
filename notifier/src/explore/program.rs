//! A scenario ready to be explored, in one cell of its matrix.

use super::code::{Code, Ex};
use super::entries::EntryFormat;
use super::layout::Field;
use crate::scenario::tree::{Demand, Kind, Scope};

/// All there is to run.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) contexts: Vec<Context>,
    pub(super) agents: Vec<String>,
    pub(super) events: Vec<Happening>,
    pub(super) properties: Vec<Wanted>,
    pub(super) tables: Vec<WantedTable>,
    pub(super) counters: Vec<String>,
    /// The assignments of the initial state.
    pub(super) initial: Code,
    /// What is where before those.
    pub(super) defaults: Vec<(Field, u64)>,
    pub(super) shown: Vec<Shown>,
    pub(super) frames: Vec<String>,
    pub(super) format: EntryFormat,
    pub(super) bits: usize,
    pub(super) words: usize,
}

/// Something with a program counter: an agent's own code, or the handler of an interrupt.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub(super) agent: usize,
    pub(super) name: String,
    pub(super) code: Code,
    /// The number of the stop; in a handler 0 is idle.
    pub(super) pc: Field,
    /// When a handler may begin; `None` for an agent's own code.
    pub(super) condition: Option<Ex>,
    /// What it interrupts.
    pub(super) below: Vec<usize>,
    /// What interrupts it.
    pub(super) above: Vec<usize>,
}

/// What happens by itself.
#[derive(Debug)]
pub(super) struct Happening {
    pub(super) name: String,
    pub(super) words: String,
    pub(super) condition: Ex,
    pub(super) code: Code,
    /// Its registers, cleared when it is over.
    pub(super) scratch: Vec<Field>,
}

/// A condition.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) demand: Demand,
    pub(super) scope: Scope,
    pub(super) condition: Option<Ex>,
    pub(super) counter: Option<usize>,
}

/// A table of what is reached.
#[derive(Debug)]
pub(super) struct WantedTable {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) columns: Vec<(String, Ex, Kind)>,
}

/// Something of the state that a trace shows.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) field: Field,
    pub(super) kind: Kind,
    pub(super) most: u64,
}

impl Program {
    /// A value as a trace shows it.
    pub(super) fn show(&self, kind: Kind, most: u64, value: u64) -> String {
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
