//! A driver in front, a core that writes down what it is told behind.

mod commands;
mod records;
mod registers;

use std::collections::VecDeque;

use super::super::spec::{Cons, InterruptEnables, QueueBase, Register};
use super::*;
use crate::addr::{Gpa, StreamId, Vmid};
use crate::paging::{FlatMemory, TableMemory, TableMemoryMut};
use crate::secondary::smmu::spec::tests::ALL;

const COMMANDS: u64 = 0x1000;
const EVENTS: u64 = 0x2000;
const PAGES: u64 = 0x3000;
const MSI: u64 = 0x800;
const SIZE: u64 = 0x4000;

/// What the core was told, and what it is to answer.
#[derive(Default)]
struct Told {
    commands: Mutex<Vec<Command>>,
    refuse: Mutex<Option<CommandError>>,
    syncs: Mutex<VecDeque<SyncState>>,
    begun: Mutex<u64>,
    global: Mutex<Option<Global>>,
    /// Commands take so long that another thread gets in between, if it can.
    slow: Mutex<bool>,
}

impl Core for Told {
    fn command(&self, command: Command) -> Result<(), CommandError> {
        if let Some(error) = lock(&self.refuse).take() {
            return Err(error);
        }
        let slow = *lock(&self.slow);
        if slow {
            std::thread::sleep(std::time::Duration::from_micros(20));
        }
        lock(&self.commands).push(command);
        Ok(())
    }

    fn begin_sync(&self) -> SyncTicket {
        *lock(&self.begun) += 1;
        SyncTicket(*lock(&self.begun))
    }

    fn poll_sync(&self, ticket: SyncTicket) -> SyncState {
        assert_eq!(ticket, SyncTicket(*lock(&self.begun)), "the last begun");
        lock(&self.syncs).pop_front().unwrap_or(SyncState::Done)
    }

    fn configure(&self, global: Global) {
        *lock(&self.global) = Some(global);
    }
}

/// Interrupts, oldest first, and what CMDQ_CONS was at each.
#[derive(Default)]
struct Line {
    raised: Mutex<Vec<Interrupt>>,
    woken: Mutex<u32>,
    messages: Mutex<Vec<(Gpa, u32)>>,
    controller: Option<Gpa>,
}

impl Interrupts for Line {
    fn raise(&self, interrupt: Interrupt) {
        lock(&self.raised).push(interrupt);
    }

    fn message(&self, address: Gpa, data: u32) -> Result<(), crate::paging::NoMemory> {
        if self.controller != Some(address) {
            return Err(crate::paging::NoMemory(address));
        }
        lock(&self.messages).push((address, data));
        Ok(())
    }

    fn wake(&self) {
        *lock(&self.woken) += 1;
    }
}

struct Driver {
    smmu: Interface<Told>,
    memory: Arc<FlatMemory>,
    line: Arc<Line>,
}

impl Driver {
    /// Queues of four entries each, interrupts by wire, all enabled.
    fn new() -> Self {
        let driver = Self::off(ALL);
        driver.enable();
        driver
    }

    fn off(abilities: Abilities) -> Self {
        let size = usize::try_from(SIZE).unwrap();
        let memory = Arc::new(FlatMemory::new(size));
        let controller = Some(Gpa::new(0x800_0000));
        let line = Arc::new(Line {
            controller,
            ..Line::default()
        });
        let (of_memory, of_line) = (Arc::clone(&memory), Arc::clone(&line));
        let smmu = Interface::new(Told::default(), abilities, of_memory, of_line);
        Self { smmu, memory, line }
    }

    fn enable(&self) {
        for (register, address) in [
            (Register::CmdqBase, COMMANDS),
            (Register::EventqBase, EVENTS),
            (Register::PriqBase, PAGES),
        ] {
            let base = QueueBase::encode(Gpa::new(address), 2);
            self.smmu.write(register.offset(), Width::Double, base);
        }
        self.set(Register::IrqCtrl, InterruptEnables::all().bits());
        self.set(Register::Cr0, Cr0::all().bits());
    }

    fn get(&self, register: Register) -> u32 {
        let value = self.smmu.read(register.offset(), Width::Word);
        u32::try_from(value).unwrap()
    }

    fn set(&self, register: Register, value: u32) -> Vec<Effect> {
        self.smmu
            .write(register.offset(), Width::Word, u64::from(value))
    }

    /// Writes commands from the producer on, and rings the bell.
    fn submit(&self, commands: &[[u64; 2]]) -> Vec<Effect> {
        let mut prod = self.get(Register::CmdqProd);
        for words in commands {
            self.put(prod & 3, *words);
            prod = (prod + 1) & 7;
        }
        self.set(Register::CmdqProd, prod)
    }

    fn put(&self, index: u32, words: [u64; 2]) {
        let at = COMMANDS + 16 * u64::from(index);
        self.memory.write_entry(Gpa::new(at), words[0]).unwrap();
        self.memory.write_entry(Gpa::new(at + 8), words[1]).unwrap();
    }

    fn word(&self, address: u64) -> u64 {
        self.memory.read_entry(Gpa::new(address)).unwrap()
    }

    fn told(&self) -> Vec<Command> {
        lock(&self.smmu.core().commands).clone()
    }

    fn raised(&self) -> Vec<Interrupt> {
        std::mem::take(&mut lock(&self.line.raised))
    }

    /// Acknowledges every active error.
    fn acknowledge(&self) -> Vec<Effect> {
        self.set(Register::Gerrorn, self.get(Register::Gerror))
    }

    fn active(&self) -> u32 {
        self.get(Register::Gerror) ^ self.get(Register::Gerrorn)
    }
}

fn tlbi(vmid: u16) -> Command {
    Command::TlbiAll(Vmid(vmid))
}
