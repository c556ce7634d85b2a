//! Batches that run without an exit of their own, as [`abi::probe`](crate::abi::probe) describes
//! them.

mod dirty_race;
mod stale;

use super::{Interpreter, Stop};
use crate::abi::{port, probe};
use crate::rt::Width;
use crate::rt::arch::{self, Entry};

/// The serial port's scratch register, in which a byte may be kept.
const SCRATCH: u16 = port::SERIAL + 7;

impl Interpreter {
    pub(super) fn probe(&mut self, kind: u64, at: u64, count: u64) -> Result<u64, Stop> {
        match kind {
            probe::COUNT_RING_3 => self.timed(1, always(|| arch::count_in_ring_3(count))),
            probe::COUNT_RING_0 => self.timed(1, always(|| arch::count_in_ring_0(count))),
            probe::WRITE_PORT => self.timed(count, always(|| arch::port::write_u8(SCRATCH, 0))),
            probe::WRITE_DEVICE => self.timed(count, |this| this.store(at, 0, Width::Eight)),
            probe::RING_DOORBELL => self.timed(count, |this| this.store(at, 1, Width::Four)),
            probe::READ_CLOCK => self.timed(
                count,
                always(|| {
                    arch::ticks();
                }),
            ),
            probe::INVALIDATE => self.timed(count, always(|| arch::invalidate(at))),
            probe::TAKE_WRITE => self.take_write(at, count),
            probe::STORE_TO_PAGES => self.store_to_pages(at, count),
            probe::CHANGE_AND_USE => self.change_and_use(at, count),
            probe::USE_PAGES => self.use_pages(at, count),
            probe::CHANGE_PAGES => self.change_pages(at, count),
            _ => Err(Stop::Bad),
        }
    }

    fn timed(
        &mut self,
        count: u64,
        what: impl Fn(&mut Self) -> Result<(), Stop>,
    ) -> Result<u64, Stop> {
        let began = arch::ticks();
        for _ in 0..count {
            what(self)?;
        }
        Ok(arch::ticks().wrapping_sub(began))
    }
}

/// A word that both sides of a probe see, or a page-table entry.
#[expect(unsafe_code, reason = "the machine says where these are")]
fn word(address: u64) -> Entry {
    // SAFETY: the machine names entries and shared words, and those alone; they are 8 bytes apart.
    unsafe { Entry::at(address & !7) }
}

/// Waits, for ever if need be: the machine has a watchdog.
fn until(address: u64, done: impl Fn(u64) -> bool) {
    while !done(word(address).load()) {
        core::hint::spin_loop();
    }
}

/// Adds to the word of a structure at `at`.
fn add(at: u64, field: usize, count: u64) {
    let word = word(at + field as u64);
    word.store(word.load().wrapping_add(count));
}

/// Something that can't go wrong.
fn always(what: impl Fn()) -> impl Fn(&mut Interpreter) -> Result<(), Stop> {
    move |_| {
        what();
        Ok(())
    }
}
