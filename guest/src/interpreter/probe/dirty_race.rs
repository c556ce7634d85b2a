//! A race between a store and the loss of the permission to store.
//!
//! ```text
//! taker                                        storer
//! all entries writable and clean
//! READY = round ---------------------------->  forget all translations; use every other page
//! for each page:  <------------------- AT      for each page: wait a little, store
//!   wait until it is there, and a little
//!   take W away, and note what the entry was
//! CHANGED = round -------------------------->  [forget all translations]
//!                                              for each page stored to: store once more
//! count            <------------------ OVER
//! ```

use core::mem::offset_of;

use super::{add, until, word};
use crate::abi::layout::PAGE;
use crate::abi::pattern;
use crate::abi::probe::{self, DIRTY, OUTCOMES, PAGES, Race, SAVED_DIRTY, WRITABLE};
use crate::interpreter::{Interpreter, Stop};
use crate::rt::{Width, arch};

/// The taking side's longest random delay is one less, in pauses.
const DELAYS: u64 = 128;
/// The storing side's: so that it does not always come first where the two take turns on a processor.
const STORING_DELAYS: u64 = 32;

/// The words of a [`Race`] that say what is wanted.
struct Wanted {
    at: u64,
    slot: u64,
    page: u64,
    entry: u64,
    way: u64,
    flush: u64,
    seed: u64,
}

impl Wanted {
    fn read(at: u64) -> Self {
        let field = |offset: usize| word(at + offset as u64).load();
        Self {
            at,
            slot: field(offset_of!(Race, slot)),
            page: field(offset_of!(Race, page)),
            entry: field(offset_of!(Race, entry)),
            way: field(offset_of!(Race, way)),
            flush: field(offset_of!(Race, flush)),
            seed: field(offset_of!(Race, seed)),
        }
    }

    fn slot(&self, page: u64) -> u64 {
        self.slot + 8 * page
    }

    fn page(&self, page: u64) -> u64 {
        self.page + PAGE * page
    }

    /// A random while, less than `most` pauses.
    fn delay(&self, round: u64, page: u64, most: u64) {
        let index = round.wrapping_mul(PAGES).wrapping_add(page);
        let random = pattern::word(self.seed.wrapping_add(most), index);
        for _ in 0..random % most {
            core::hint::spin_loop();
        }
    }

    /// Takes W away; what the entry was.
    fn take(&self, page: u64) -> u64 {
        let entry = word(self.slot(page));
        match self.way {
            probe::COMPARE_EXCHANGE => entry.compare_exchange(write_protected),
            probe::PLAIN => {
                let old = entry.load();
                entry.store(old & !WRITABLE);
                old
            }
            _ => entry.take_locked(WRITABLE),
        }
    }

    fn count(&self, page: u64, old: u64) {
        let now = word(self.slot(page)).load();
        let outcome = word(OUTCOMES + 8 * page).load();
        let is = |bit| outcome & bit != 0;
        let add_if = |field, holds: bool| add(self.at, field, u64::from(holds));
        let dirty = now & DIRTY != 0;
        add(self.at, offset_of!(Race, tries), 1);
        add_if(offset_of!(Race, stored), is(probe::STORED_FIRST));
        add_if(offset_of!(Race, refused), !is(probe::STORED_FIRST));
        add_if(offset_of!(Race, dirty_before), old & DIRTY != 0);
        add_if(offset_of!(Race, dirty_after), old & DIRTY == 0 && dirty);
        add_if(offset_of!(Race, left_dirty), now & WRITABLE == 0 && dirty);
        let kept = now & (DIRTY | SAVED_DIRTY) != 0;
        add_if(
            offset_of!(Race, lost_dirty),
            is(probe::STORED_FIRST) && !kept,
        );
        add_if(offset_of!(Race, late), is(probe::STORED_LATE));
        add_if(offset_of!(Race, strange), is(probe::STORED_STRANGE));
    }
}

/// [`PAGES`], as a length.
const TRIES: usize = 64;

const _: () = assert!(TRIES as u64 == PAGES);

/// Linux's `pte_wrprotect` from 6.6 on: W=0, and D moves into a bit of software's.
fn write_protected(entry: u64) -> u64 {
    let saved = if entry & DIRTY == 0 { 0 } else { SAVED_DIRTY };
    entry & !(WRITABLE | DIRTY) | saved
}

impl Interpreter {
    pub(super) fn take_write(&mut self, at: u64, rounds: u64) -> Result<u64, Stop> {
        let wanted = Wanted::read(at);
        for round in 1..=rounds {
            for page in 0..PAGES {
                word(wanted.slot(page)).store(wanted.entry);
                word(OUTCOMES + 8 * page).store(0);
            }
            word(probe::AT).store(0);
            word(probe::READY).store(round);
            let mut old = [0; TRIES];
            for (page, old) in (0..).zip(&mut old) {
                until(probe::AT, |storing| storing > page);
                wanted.delay(round, page, DELAYS);
                *old = wanted.take(page);
            }
            word(probe::CHANGED).store(round);
            until(probe::OVER, |over| over >= round);
            for (page, old) in (0..).zip(old) {
                wanted.count(page, old);
            }
        }
        Ok(0)
    }

    pub(super) fn store_to_pages(&mut self, at: u64, rounds: u64) -> Result<u64, Stop> {
        let wanted = Wanted::read(at);
        for round in 1..=rounds {
            until(probe::READY, |ready| ready >= round);
            arch::invalidate_all();
            for page in 0..PAGES {
                word(probe::AT).store(page + 1);
                // Every other page has a translation that is writable and not yet dirty.
                if page % 2 == 0 {
                    let _ = self.memory.load(wanted.page(page), Width::Eight);
                }
                wanted.delay(round, page, STORING_DELAYS);
                self.store_and_note(&wanted, page, probe::STORED_FIRST);
            }
            until(probe::CHANGED, |changed| changed >= round);
            if wanted.flush != probe::FLUSH_NOT {
                arch::invalidate_all();
            }
            for page in 0..PAGES {
                // Where the first store was refused there is no translation that lets one through.
                if word(OUTCOMES + 8 * page).load() & probe::STORED_FIRST != 0 {
                    self.store_and_note(&wanted, page, probe::STORED_LATE);
                }
            }
            word(probe::OVER).store(round);
        }
        Ok(0)
    }

    fn store_and_note(&mut self, wanted: &Wanted, page: u64, bit: u64) {
        let stored = self.memory.store(wanted.page(page), bit, Width::Eight);
        let note = match stored {
            Ok(()) => bit,
            Err(fault) if fault.is_denied_write() => 0,
            Err(_) => probe::STORED_STRANGE,
        };
        let outcome = word(OUTCOMES + 8 * page);
        outcome.store(outcome.load() | note);
    }
}
