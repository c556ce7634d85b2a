//! `tests/scenarios/uffd-wp.litmus` by hand for stateright, step for step.

use stateright::{Model, Property};

use crate::bounds::{Bounds, Os};

/// Frame numbers: the page as it was, and above it a copy for each CPU.
const OLD: u8 = 0;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    present: bool,
    writable: bool,
    write_protected: bool,
    frame: u8,
}

impl Entry {
    fn may_write(self) -> bool {
        self.present && self.writable
    }

    fn cached(self) -> Self {
        Self {
            write_protected: false,
            ..self
        }
    }
}

/// Where a monitor is: in the order in which it comes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Change {
    TakeMmap,
    Announce,
    Lock,
    Look,
    Write,
    Stamp,
    Unlock,
    Flush0,
    Flush1,
    NoteFlush,
    Retract,
    DropMmap,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Protect,
    Unprotect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Monitor {
    at: Change,
    kind: Kind,
    round: u8,
    /// What it stamped the table with last, one for each kind of change.
    stamps: [u8; 2],
}

/// Where a CPU is; in the fault handler with the entry that it read there, for as long as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Store,
    TakeMmap,
    Lock,
    Read,
    Check(Entry),
    CheckFlush0(Entry),
    CheckFlush1(Entry),
    Reuse,
    UnlockToCopy(Entry),
    Copy(Entry),
    LockAgain(Entry),
    Compare(Entry),
    Clear,
    Flush0,
    Flush1,
    Install,
    Unlock,
    DropMmap,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Cpu {
    at: At,
    stores: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pte: Entry,
    tlb: [Entry; 2],
    memory: [u8; 3],
    expected: u8,
    locked: bool,
    /// Nobody takes the mmap lock to write in these variants.
    readers: u8,
    pending: u8,
    table_stamp: u8,
    flushed_stamp: u8,
    lost: bool,
    monitors: [Monitor; 2],
    cpus: [Cpu; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Monitor(usize),
    Cpu(usize),
    Evict(usize),
}

impl Model for Bounds {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let monitor = |kind| Monitor {
            at: Change::TakeMmap,
            kind,
            round: 0,
            stamps: [0; 2],
        };
        let cpu = Cpu {
            at: At::Store,
            stores: 0,
        };
        vec![State {
            pte: Entry {
                present: true,
                writable: true,
                ..Entry::default()
            },
            tlb: [Entry::default(); 2],
            memory: [0; 3],
            expected: 0,
            locked: false,
            readers: 0,
            pending: 0,
            table_stamp: 0,
            flushed_stamp: 0,
            lost: false,
            monitors: [monitor(Kind::Protect), monitor(Kind::Unprotect)],
            cpus: [cpu; 2],
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, monitor) in state.monitors.iter().enumerate() {
            let waits = monitor.at == Change::Lock && state.locked;
            if monitor.at != Change::Over && !waits {
                actions.push(Action::Monitor(number));
            }
        }
        for (number, cpu) in state.cpus.iter().enumerate() {
            let waits = matches!(cpu.at, At::Lock | At::LockAgain(_)) && state.locked;
            if cpu.at != At::Over && !waits {
                actions.push(Action::Cpu(number));
            }
        }
        let evictable = (0..2).filter(|tlb| state.tlb[*tlb].present);
        actions.extend(evictable.map(Action::Evict));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Monitor(number) => next.monitor(number, self),
            Action::Cpu(number) => next.cpu(number, self),
            Action::Evict(number) => next.tlb[number] = Entry::default(),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("no lost store", |_, state: &State| {
            !state.lost
        })]
    }
}

impl State {
    fn monitor(&mut self, number: usize, bounds: &Bounds) {
        let mut monitor = self.monitors[number];
        let stamp = monitor.kind as usize;
        monitor.at = match monitor.at {
            Change::TakeMmap => {
                self.readers += 1;
                Change::Announce
            }
            Change::Announce => {
                self.pending += 1;
                Change::Lock
            }
            Change::Lock => {
                self.locked = true;
                Change::Look
            }
            Change::Look if self.pte.present => Change::Write,
            Change::Look => Change::Unlock,
            Change::Write => {
                self.pte.writable = false;
                self.pte.write_protected = monitor.kind == Kind::Protect;
                match bounds.os {
                    Os::TableGeneration => Change::Stamp,
                    _ => Change::Unlock,
                }
            }
            Change::Stamp => {
                self.table_stamp += 1;
                monitor.stamps[stamp] = self.table_stamp;
                Change::Unlock
            }
            Change::Unlock => {
                self.locked = false;
                Change::Flush0
            }
            Change::Flush0 => {
                self.tlb[0] = Entry::default();
                Change::Flush1
            }
            Change::Flush1 => {
                self.tlb[1] = Entry::default();
                match bounds.os {
                    Os::TableGeneration => Change::NoteFlush,
                    _ => Change::Retract,
                }
            }
            Change::NoteFlush => {
                self.flushed_stamp = self.flushed_stamp.max(monitor.stamps[stamp]);
                if monitor.round + 1 == bounds.rounds {
                    monitor.stamps[stamp] = 0;
                }
                Change::Retract
            }
            Change::Retract => {
                self.pending -= 1;
                Change::DropMmap
            }
            Change::DropMmap => {
                self.readers -= 1;
                monitor.next_change(number, bounds)
            }
            Change::Over => Change::Over,
        };
        self.monitors[number] = monitor;
    }

    fn cpu(&mut self, number: usize, bounds: &Bounds) {
        let copy = OLD + 1 + u8::from(number == 1);
        self.cpus[number].at = match self.cpus[number].at {
            At::Store => self.store(number, bounds),
            At::TakeMmap => {
                self.readers += 1;
                At::Lock
            }
            At::Lock => {
                self.locked = true;
                At::Read
            }
            At::Read => match self.pte {
                seen if !seen.present || seen.writable || seen.write_protected => At::Unlock,
                seen if bounds.os == Os::None => checked(seen),
                seen => At::Check(seen),
            },
            At::Check(seen) if self.needs_flush(bounds) => At::CheckFlush0(seen),
            At::Check(seen) => checked(seen),
            At::CheckFlush0(seen) => {
                self.tlb[0] = Entry::default();
                At::CheckFlush1(seen)
            }
            At::CheckFlush1(seen) => {
                self.tlb[1] = Entry::default();
                checked(seen)
            }
            At::Reuse => {
                self.pte.writable = true;
                At::Unlock
            }
            At::UnlockToCopy(seen) => {
                self.locked = false;
                At::Copy(seen)
            }
            At::Copy(seen) => {
                self.memory[usize::from(copy)] = self.memory[usize::from(OLD)];
                At::LockAgain(seen)
            }
            At::LockAgain(seen) => {
                self.locked = true;
                At::Compare(seen)
            }
            At::Compare(seen) if self.pte != seen => At::Unlock,
            At::Compare(_) => At::Clear,
            At::Clear => {
                self.pte = Entry::default();
                At::Flush0
            }
            At::Flush0 => {
                self.tlb[0] = Entry::default();
                At::Flush1
            }
            At::Flush1 => {
                self.tlb[1] = Entry::default();
                At::Install
            }
            At::Install => {
                self.pte = Entry {
                    present: true,
                    writable: true,
                    frame: copy,
                    ..Entry::default()
                };
                self.lost |= self.memory[usize::from(copy)] != self.expected;
                At::Unlock
            }
            At::Unlock => {
                self.locked = false;
                At::DropMmap
            }
            At::DropMmap => {
                self.readers -= 1;
                At::Store
            }
            At::Over => At::Over,
        };
    }

    fn store(&mut self, number: usize, bounds: &Bounds) -> At {
        let cached = self.tlb[number];
        if !cached.may_write() {
            self.tlb[number] = self.pte.cached();
            return match self.pte.may_write() {
                true => At::Store,
                false => At::TakeMmap,
            };
        }
        self.memory[usize::from(cached.frame)] += 1;
        self.expected += 1;
        self.lost |= self.pte.present && cached.frame != self.pte.frame;
        self.cpus[number].stores += 1;
        match self.cpus[number].stores == bounds.stores {
            true => At::Over,
            false => At::Store,
        }
    }

    fn needs_flush(&self, bounds: &Bounds) -> bool {
        match bounds.os {
            Os::TableGeneration => self.flushed_stamp < self.table_stamp,
            _ => self.pending > 0,
        }
    }
}

/// The page is a copy already, or has to be copied.
fn checked(seen: Entry) -> At {
    match seen.frame {
        OLD => At::UnlockToCopy(seen),
        _ => At::Reuse,
    }
}

impl Monitor {
    /// The first monitor protects and unprotects in turn, the second only unprotects.
    fn next_change(&mut self, number: usize, bounds: &Bounds) -> Change {
        if number == 0 && self.kind == Kind::Protect {
            self.kind = Kind::Unprotect;
            return Change::TakeMmap;
        }
        self.round += 1;
        if self.round == bounds.rounds {
            return Change::Over;
        }
        if number == 0 {
            self.kind = Kind::Protect;
        }
        Change::TakeMmap
    }
}
