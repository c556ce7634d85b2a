//! The write-fault handler: grants what a program armed it to grant.

use super::{Interpreter, Stop};
use crate::abi::layout::PAGE;
use crate::rt::{Fault, Width, arch};

/// How many write faults can be armed at a time.
const CAPACITY: usize = 16;

/// What to do about a write fault on one page.
#[derive(Clone, Copy, Default)]
pub(super) struct Upgrade {
    page: u64,
    entry: u64,
    bits: u64,
}

/// The armed upgrades, oldest first; each fires once.
#[derive(Default)]
pub(super) struct Upgrades {
    armed: [Upgrade; CAPACITY],
    count: usize,
}

impl Upgrades {
    /// Arms one more; `None` if there is no room or `page` is not the address of a page.
    pub(super) fn arm(&mut self, page: u64, entry: u64, bits: u64) -> Option<()> {
        if !page.is_multiple_of(PAGE) {
            return None;
        }
        *self.armed.get_mut(self.count)? = Upgrade { page, entry, bits };
        self.count += 1;
        Some(())
    }

    /// Disarms and returns the oldest one that answers this fault.
    pub(super) fn take(&mut self, fault: &Fault) -> Option<Upgrade> {
        if !fault.is_denied_write() {
            return None;
        }
        let page = fault.address & !(PAGE - 1);
        let index = self.armed[..self.count]
            .iter()
            .position(|armed| armed.page == page)?;
        let upgrade = self.armed[index];
        self.armed.copy_within(index + 1..self.count, index);
        self.count -= 1;
        Some(upgrade)
    }
}

impl Interpreter {
    /// Flips the bits in the entry, by the block's protocol, and drops the old translation.
    pub(super) fn upgrade(&mut self, upgrade: Upgrade) -> Result<(), Stop> {
        let entry = self.load(upgrade.entry, Width::Eight)?;
        self.set_entry(upgrade.entry, entry ^ upgrade.bits, Width::Eight.bytes())?;
        arch::invalidate(upgrade.page);
        self.result.upgrades += 1;
        Ok(())
    }
}
