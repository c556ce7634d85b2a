//! What the machine says of a batch, checked once.

use super::area::{self, Words};
use crate::abi::layout::{FRAMES, FRAMES_END, IDENTITY_END, MAX_VCPUS, PAGE};
use crate::abi::litmus::{
    Control, Fields, INITIAL, INITIAL_END, MODE_BATCH, MODE_REPLAY, PAGES, REPLAY_LOG,
    REPLAY_LOG_END, SCHEDULE, SCHEDULE_END, Sections, TABLES, TABLES_END, Turn,
};
use crate::rt::Width;
use crate::rt::arch::Memory;

/// How steps follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// As they come.
    Batch,
    /// As the schedule says.
    Replay,
}

/// A batch, as one vCPU needs to know it.
pub(super) struct Setup {
    pub(super) mode: Mode,
    pub(super) control: Control,
    pub(super) fields: Fields,
    pub(super) sections: Sections,
    /// Whether any vCPU has a section `prime`, so that all have to wait for each other after it.
    pub(super) primes: bool,
    pub(super) entries: Words,
    pub(super) frames: Words,
    pub(super) initial: Words,
    pub(super) tables: Words,
    pub(super) log: Words,
}

impl Setup {
    /// Reads and checks it; `None` if it makes no sense.
    pub(super) fn read(memory: &Memory, vcpu: u64) -> Option<Self> {
        let control = area::control();
        if vcpu >= control.vcpus || control.vcpus > MAX_VCPUS {
            return None;
        }
        Some(Self {
            mode: mode(&control)?,
            fields: Fields::new(&control, area::field_maps())?,
            sections: area::sections(vcpu),
            primes: (0..control.vcpus).any(|vcpu| area::sections(vcpu).prime != 0),
            entries: entries(memory, &control)?,
            frames: frames(&control)?,
            initial: initial(&control)?,
            tables: Words::between(TABLES, TABLES_END),
            log: Words::between(REPLAY_LOG, REPLAY_LOG_END),
            control,
        })
    }

    /// How many runs there are to be.
    pub(super) fn runs(&self) -> u64 {
        match self.mode {
            Mode::Batch => self.control.runs,
            Mode::Replay => 1,
        }
    }
}

fn mode(control: &Control) -> Option<Mode> {
    match control.mode {
        MODE_BATCH => Some(Mode::Batch),
        MODE_REPLAY => {
            let fits = |each: u64, room: u64| {
                let all = control.turns.checked_mul(each);
                all.is_some_and(|all| all <= room)
            };
            let turns = fits(Turn::SIZE as u64, SCHEDULE_END - SCHEDULE);
            let log = fits(
                control.log_width.checked_mul(8)?,
                REPLAY_LOG_END - REPLAY_LOG,
            );
            (turns && log).then_some(Mode::Replay)
        }
        _ => None,
    }
}

/// The pages' entries, all of which are in memory.
fn entries(memory: &Memory, control: &Control) -> Option<Words> {
    let (first, count) = (control.entries, control.pages);
    let end = first.checked_add(8 * count);
    if count > PAGES || !first.is_multiple_of(8) || end? > IDENTITY_END {
        return None;
    }
    let entries = Words::new(first, count, 3);
    let mut addresses = (0..count).map(|page| first + 8 * page);
    let in_memory = addresses.all(|at| memory.load(at, Width::Eight).is_ok());
    in_memory.then_some(entries)
}

/// The first words of the frames that can be named, and of those that pages have for themselves.
fn frames(control: &Control) -> Option<Words> {
    let count = control.frame_count.checked_add(control.pages)?;
    if count == 0 {
        return Some(Words::new(FRAMES, 0, 0));
    }
    let end = control.frames.checked_add(count.checked_mul(PAGE)?)?;
    let inside = control.frames >= FRAMES && end <= FRAMES_END;
    let sound = inside && control.frames.is_multiple_of(PAGE);
    sound.then(|| Words::new(control.frames, count, PAGE.ilog2().into()))
}

fn initial(control: &Control) -> Option<Words> {
    let words = control.initial_states.checked_mul(control.initial_width)?;
    let fits = control.initial_states != 0 && words <= (INITIAL_END - INITIAL) / 8;
    fits.then(|| Words::between(INITIAL, INITIAL_END))
}
