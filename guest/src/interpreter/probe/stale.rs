//! Uses of translations whose entries have changed.

use core::mem::offset_of;

use super::{add, until, word};
use crate::abi::layout::PAGE;
use crate::abi::probe::{self, PAGES, Stale};
use crate::interpreter::{Interpreter, Stop};
use crate::rt::{Fault, Width, arch};

/// The words of a [`Stale`] that say what is wanted.
struct Wanted {
    at: u64,
    slot: u64,
    page: u64,
    old: u64,
    new: u64,
    change: u64,
    flush: u64,
}

/// Which entry a use went by.
enum By {
    Old,
    New,
    Neither,
}

impl Wanted {
    fn read(at: u64) -> Self {
        let field = |offset: usize| word(at + offset as u64).load();
        Self {
            at,
            slot: field(offset_of!(Stale, slot)),
            page: field(offset_of!(Stale, page)),
            old: field(offset_of!(Stale, old)),
            new: field(offset_of!(Stale, new)),
            change: field(offset_of!(Stale, change)),
            flush: field(offset_of!(Stale, flush)),
        }
    }

    fn page(&self, page: u64) -> u64 {
        self.page + PAGE * page
    }

    fn set_all(&self, entry: u64) {
        for page in 0..PAGES {
            self.set(page, entry);
        }
    }

    fn set(&self, page: u64, entry: u64) {
        word(self.slot + 8 * page).store(entry);
    }

    fn count(&self, by: &By) {
        let field = match by {
            By::Old => offset_of!(Stale, stale),
            By::New => offset_of!(Stale, fresh),
            By::Neither => offset_of!(Stale, strange),
        };
        add(self.at, field, 1);
        add(self.at, offset_of!(Stale, tries), 1);
    }
}

impl Interpreter {
    pub(super) fn change_and_use(&mut self, at: u64, rounds: u64) -> Result<u64, Stop> {
        let wanted = Wanted::read(at);
        for _ in 0..rounds {
            wanted.set_all(wanted.old);
            arch::invalidate_all();
            for page in 0..PAGES {
                // Without this there is no translation that could be stale.
                self.use_page(&wanted, page);
                wanted.set(page, wanted.new);
                if wanted.flush == probe::FLUSH_USER {
                    arch::invalidate(wanted.page(page));
                }
                let by = self.use_page(&wanted, page);
                wanted.count(&by);
            }
        }
        Ok(0)
    }

    pub(super) fn use_pages(&mut self, at: u64, rounds: u64) -> Result<u64, Stop> {
        let wanted = Wanted::read(at);
        for round in 1..=rounds {
            wanted.set_all(wanted.old);
            arch::invalidate_all();
            for page in 0..PAGES {
                self.use_page(&wanted, page);
            }
            word(probe::USED).store(round);
            until(probe::CHANGED, |changed| changed >= round);
            if wanted.flush == probe::FLUSH_USER {
                arch::invalidate_all();
            }
            for page in 0..PAGES {
                let by = self.use_page(&wanted, page);
                wanted.count(&by);
            }
        }
        Ok(0)
    }

    pub(super) fn change_pages(&mut self, at: u64, rounds: u64) -> Result<u64, Stop> {
        let wanted = Wanted::read(at);
        for round in 1..=rounds {
            until(probe::USED, |used| used >= round);
            wanted.set_all(wanted.new);
            if wanted.flush == probe::FLUSH_CHANGER {
                arch::invalidate_all();
            }
            word(probe::CHANGED).store(round);
        }
        Ok(0)
    }

    /// Loads from the page, or stores to it if it is the permission to store that changes.
    fn use_page(&mut self, wanted: &Wanted, page: u64) -> By {
        let address = wanted.page(page);
        match wanted.change {
            probe::DOWNGRADE => match self.memory.store(address, 0, Width::Eight) {
                Ok(()) => By::Old,
                Err(fault) if fault.is_denied_write() => By::New,
                Err(_) => By::Neither,
            },
            change => by_load(change, self.memory.load(address, Width::Eight)),
        }
    }
}

/// The old frame begins with [`probe::OLD_WORD`], the new one with [`probe::NEW_WORD`].
fn by_load(change: u64, loaded: Result<u64, Fault>) -> By {
    match loaded {
        Ok(probe::OLD_WORD) => By::Old,
        Ok(probe::NEW_WORD) if change == probe::REMAP => By::New,
        Err(fault) if change == probe::UNMAP && fault.is_missing_page() => By::New,
        _ => By::Neither,
    }
}
