//! Bytecode for operation `LITMUS`, by hand, as `guest::abi::litmus` describes it.

use guest::abi::layout::{FRAMES, WINDOW};
use guest::abi::litmus::{
    self, CONTROL, Control, END, FIELD_MAPS, FieldMap, HISTOGRAM, INITIAL, LITMUS, Outcome,
    REPLAY_LOG, SCHEDULE, STANDING_STRIDE, STANDINGS, Sections, Standing, TABLES, TURN_EVENT,
    TURN_HANDLER, TURN_STEP, Turn, instruction,
};
use notifier::addr::Gpa;
use notifier::paging::TableMemory;
use vmm::machine::Machine;
use vmm::memory::Ram;

/// One vCPU's code.
#[derive(Clone, Debug)]
pub struct Code {
    sections: Sections,
    words: Vec<u64>,
}

impl Default for Code {
    fn default() -> Self {
        Self {
            sections: Sections::default(),
            words: vec![0; Sections::SIZE / 8],
        }
    }
}

impl Code {
    /// Code with a body of these instructions.
    pub fn of_body(body: &[u64]) -> Self {
        Self::default().body(body)
    }

    /// With the section `reset`.
    #[must_use]
    pub fn reset(mut self, instructions: &[u64]) -> Self {
        self.sections.reset = self.section(instructions);
        self
    }

    /// With the section `prime`.
    #[must_use]
    pub fn prime(mut self, instructions: &[u64]) -> Self {
        self.sections.prime = self.section(instructions);
        self
    }

    /// With the section `body`.
    #[must_use]
    pub fn body(mut self, instructions: &[u64]) -> Self {
        self.sections.body = self.section(instructions);
        self
    }

    /// With the section `collect`.
    #[must_use]
    pub fn collect(mut self, instructions: &[u64]) -> Self {
        self.sections.collect = self.section(instructions);
        self
    }

    /// With the section `log`.
    #[must_use]
    pub fn log(mut self, instructions: &[u64]) -> Self {
        self.sections.log = self.section(instructions);
        self
    }

    /// With one event.
    #[must_use]
    pub fn event(mut self, instructions: &[u64]) -> Self {
        let code = self.section(instructions);
        self.sections.events = self.here();
        self.sections.event_count = 1;
        self.words.push(code);
        self
    }

    /// With these sections, wherever they lead.
    #[must_use]
    pub fn with_sections(mut self, sections: Sections) -> Self {
        self.sections = sections;
        self
    }

    /// Index of the word that the next section begins with.
    pub fn here(&self) -> u64 {
        self.words.len() as u64
    }

    fn section(&mut self, instructions: &[u64]) -> u64 {
        let begin = self.here();
        self.words.extend(instructions);
        self.words.push(instruction(END, 0, 0));
        begin
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = to_bytes(&self.words);
        bytes[..Sections::SIZE].copy_from_slice(&self.sections.to_bytes());
        bytes
    }
}

/// What a machine is to be told of a batch or a replay.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The control words; pages and numbers of things are filled in.
    pub control: Control,
    /// Fields of entries.
    pub fields: Vec<FieldMap>,
    /// Values of initial states, one after the other.
    pub initial: Vec<u64>,
    /// What `LOOK_UP` looks up.
    pub tables: Vec<u64>,
    /// The schedule of a replay.
    pub schedule: Vec<Turn>,
    /// The vCPUs' code.
    pub code: Vec<Code>,
}

impl Batch {
    /// So many runs of this code. There are 8 pages and 4 frames with names.
    pub fn new(runs: u64, code: &[Code]) -> Self {
        let control = Control {
            mode: litmus::MODE_BATCH,
            runs,
            seed: 1,
            initial_states: 1,
            pages: 8,
            frames: FRAMES,
            frame_count: 4,
            window: WINDOW,
            patience: 1000,
            ..Control::default()
        };
        Self {
            control,
            code: code.to_vec(),
            ..Self::default()
        }
    }

    /// A replay of this code.
    pub fn replay(schedule: &[Turn], code: &[Code]) -> Self {
        let mut batch = Self::new(1, code);
        batch.control.mode = litmus::MODE_REPLAY;
        batch.schedule = schedule.to_vec();
        batch
    }

    /// Writes it into a machine's memory.
    ///
    /// # Panics
    /// If it has no room there.
    pub fn load(&self, machine: &Machine) {
        let entries = machine.window_slot(0).map_or(0, |slot| slot.raw());
        let control = Control {
            vcpus: self.code.len() as u64,
            fields: self.fields.len() as u64,
            turns: self.schedule.len() as u64,
            entries: self.control.entries.wrapping_add(entries),
            ..self.control
        };
        let write = |offset: u64, bytes: &[u8]| {
            let written = machine.ram().write(Gpa::new(LITMUS + offset), bytes);
            written.expect("the area is in memory");
        };
        write(CONTROL, &control.to_bytes());
        let maps: Vec<_> = self.fields.iter().flat_map(|map| map.to_bytes()).collect();
        write(FIELD_MAPS, &maps);
        write(INITIAL, &to_bytes(&self.initial));
        write(TABLES, &to_bytes(&self.tables));
        let turns: Vec<_> = self
            .schedule
            .iter()
            .flat_map(|one| one.to_bytes())
            .collect();
        write(SCHEDULE, &turns);
        for (vcpu, code) in (0..).zip(&self.code) {
            write(litmus::code(vcpu) - LITMUS, &code.bytes());
        }
    }
}

/// The control words as a run left them.
///
/// # Panics
/// If there is no such memory.
pub fn control(ram: &Ram) -> Control {
    let mut bytes = [0; Control::SIZE];
    let read = ram.read(Gpa::new(LITMUS + CONTROL), &mut bytes);
    read.expect("the area is in memory");
    Control::from_bytes(&bytes)
}

/// All outcomes that a run saw.
///
/// # Panics
/// If there is no such memory.
pub fn outcomes(ram: &Ram) -> Vec<Outcome> {
    let outcome = |number: u64| {
        let mut bytes = [0; Outcome::SIZE];
        let at = LITMUS + HISTOGRAM + number * Outcome::SIZE as u64;
        let read = ram.read(Gpa::new(at), &mut bytes);
        read.expect("the area is in memory");
        Outcome::from_bytes(&bytes)
    };
    (0..control(ram).outcomes).map(outcome).collect()
}

/// The first words of the keys and how often each was seen, in ascending order.
///
/// # Panics
/// If there is no such memory.
pub fn keys(ram: &Ram) -> Vec<(u64, u64)> {
    let outcomes = outcomes(ram);
    let mut keys: Vec<_> = outcomes.iter().map(|one| (one.key0, one.count)).collect();
    keys.sort_unstable();
    keys
}

/// Where a vCPU was last.
///
/// # Panics
/// If there is no such memory.
pub fn standing(ram: &Ram, vcpu: u64) -> Standing {
    let mut bytes = [0; Standing::SIZE];
    let at = LITMUS + STANDINGS + vcpu * STANDING_STRIDE;
    let read = ram.read(Gpa::new(at), &mut bytes);
    read.expect("the area is in memory");
    Standing::from_bytes(&bytes)
}

/// So many words of a replay's log.
///
/// # Panics
/// If there is no such memory.
pub fn log(ram: &Ram, words: u64) -> Vec<u64> {
    let word = |number| ram.read_entry(Gpa::new(LITMUS + REPLAY_LOG + 8 * number));
    let words = (0..words).map(word).collect::<Result<_, _>>();
    words.expect("the area is in memory")
}

/// The turn of a vCPU's step.
pub const fn step_of(vcpu: u64, at: u64) -> Turn {
    turn(vcpu, TURN_STEP, at)
}

/// The turn in which a vCPU enters a handler.
pub const fn handler_of(vcpu: u64, at: u64) -> Turn {
    turn(vcpu, TURN_HANDLER, at)
}

/// The turn of an event on a vCPU.
pub const fn event_of(vcpu: u64, at: u64) -> Turn {
    turn(vcpu, TURN_EVENT, at)
}

const fn turn(vcpu: u64, kind: u64, at: u64) -> Turn {
    Turn {
        vcpu,
        kind,
        at,
        choices: 0,
    }
}

/// An instruction without operands.
pub const fn plain(operation: u64) -> u64 {
    instruction(operation, 0, 0)
}

/// An instruction on word, register, page or whatever `a`.
pub const fn on(operation: u64, a: u64) -> u64 {
    instruction(operation, a, 0)
}

/// The beginning of step `number`.
pub const fn step(number: u64) -> u64 {
    instruction(litmus::STEP, 0, number)
}

/// Puts the bits `ones` of a value into the key's first word, `lowest` and up.
pub const fn key(lowest: u64, ones: u64) -> u64 {
    instruction(litmus::KEY, lowest, ones)
}

fn to_bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
