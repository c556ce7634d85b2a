//! Where each variable of a scenario is on a machine.

use std::collections::BTreeMap;

use guest::abi::{layout, litmus};
use notifier::explore::program::{Field, Owner, Program, Role, Shown};

use super::Refusal;

/// Where a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A word of guest memory.
    Slot(u64),
    /// A register of the interpreter, of one agent only.
    Register(u64),
    /// The entry of a page.
    Page(u64),
    /// The word in a frame.
    Contents(u64),
    /// A vCPU's TLB.
    Tlb { agent: usize, page: u64 },
    /// The SMMU.
    Smmu { page: u64 },
}

/// All of them, and the words that the engine needs for itself.
#[derive(Debug)]
pub(super) struct Places {
    of: BTreeMap<Field, Place>,
    slots: u64,
    registers: u64,
    /// A word for each agent: it has nothing more to do.
    done: u64,
    /// A word for each condition: a step has broken it.
    broken: u64,
}

impl Places {
    /// # Errors
    /// There are more variables than a machine has room for.
    pub(super) fn new(program: &Program) -> Result<Self, Refusal> {
        let mut places = Self {
            of: BTreeMap::new(),
            slots: 0,
            registers: 0,
            done: 0,
            broken: 0,
        };
        for shown in &program.shown {
            let place = places.place(shown);
            places.of.insert(shown.field, place);
        }
        for shown in &program.registers {
            let register = places.register();
            places.of.insert(shown.field, Place::Register(register));
        }
        places.done = places.room(program.agents.len());
        places.broken = places.room(program.properties.len());
        places.check(program)?;
        Ok(places)
    }

    fn place(&mut self, shown: &Shown) -> Place {
        match (shown.role, shown.owner) {
            (_, Owner::Register) => Place::Register(self.register()),
            (Role::Page(page), _) => Place::Page(page.0 as u64),
            (Role::Tlb { agent, page }, _) => Place::Tlb {
                agent,
                page: page.0 as u64,
            },
            (Role::Smmu { page }, _) => Place::Smmu {
                page: page.0 as u64,
            },
            (Role::Contents { frame }, _) => Place::Contents(frame as u64),
            (Role::Word | Role::Freed { .. }, _) => Place::Slot(self.room(1)),
        }
    }

    /// So many words in a row; the first.
    fn room(&mut self, words: usize) -> u64 {
        let first = self.slots;
        self.slots += words as u64;
        first
    }

    /// A register that nobody has.
    pub(super) fn register(&mut self) -> u64 {
        self.registers += 1;
        self.registers - 1
    }

    fn check(&self, program: &Program) -> Result<(), Refusal> {
        let agents = program.agents.len() as u64;
        let pages = self.pages();
        let limits = [
            (agents, layout::MAX_VCPUS, "agents", "vCPUs"),
            (self.slots, litmus::SLOTS, "variables", "words"),
            (pages, litmus::PAGES, "page-table entries", "pages"),
        ];
        let over = limits.into_iter().find(|(used, most, ..)| used > most);
        over.map_or(Ok(()), |(used, most, what, of)| {
            let why = format!("{used} {what}: a machine has {most} {of} for them");
            Err(Refusal::cell(why))
        })
    }

    /// How many pages there are.
    pub(super) fn pages(&self) -> u64 {
        let pages = self.of.values().filter_map(|place| match place {
            Place::Page(page) => Some(page + 1),
            _ => None,
        });
        pages.max().unwrap_or(0)
    }

    /// Where a variable is; whatever the program names has a place.
    pub(super) fn of(&self, field: Field) -> Option<Place> {
        self.of.get(&field).copied()
    }

    /// The word that says that an agent is done.
    pub(super) fn done(&self, agent: usize) -> u64 {
        self.done + agent as u64
    }

    /// The word that says that a step has broken a condition.
    pub(super) fn broken(&self, property: usize) -> u64 {
        self.broken + property as u64
    }

    /// Registers in use.
    pub(super) fn registers(&self) -> u64 {
        self.registers
    }
}
