//! The driver's side of a stage 2: a host address space's notifications turned into the SMMU's
//! invalidations of a machine's intermediate-physical addresses.

use std::sync::Arc;

use super::features::max_tlbi_ops;
use super::{Command, Granule, Levels, Smmu, TlbiSpan};
use crate::addr::{AddrRange, Gva, Ipa, Vmid};
use crate::contract::{SecondaryTlbSubscriber, SharedPageTables, Subscriber};

/// What an SMMU holds of one machine's stage 2, for streams with stage 2 alone: an entry of both
/// stages outlives an invalidation by address of the second (`IHI0070` 4.4.3).
///
/// The address space that it follows is the host's view of guest memory: what the contract calls a
/// virtual address is the number of an intermediate-physical one. Unlike an ASID's, its streams are
/// bound and unbound by whoever made the tables, who unbinds them before the address space ends.
pub struct Stage2Tlb {
    smmu: Arc<Smmu>,
    vmid: Vmid,
}

impl Stage2Tlb {
    /// Invalidations of one VMID of one SMMU, whose tables have pages of 4 KiB.
    pub fn new(smmu: Arc<Smmu>, vmid: Vmid) -> Self {
        Self { smmu, vmid }
    }

    /// Drops what the SMMU holds of `range`, tables included, since a notification does not say
    /// whether one was freed. Complete on return.
    pub fn invalidate(&self, range: AddrRange<Gva>) {
        let times = if self.smmu.features().tlbi_twice {
            2
        } else {
            1
        };
        for _ in 0..times {
            self.invalidate_once(range);
        }
    }

    /// One command a page; one for everything where that is cheaper, as for an ASID.
    fn invalidate_once(&self, range: AddrRange<Gva>) {
        let size = Granule::K4.page();
        if range.pages(size) >= max_tlbi_ops(Granule::K4) {
            self.smmu.submit(Command::TlbiVmall(self.vmid));
        } else {
            let (first, last) = (range.start().raw(), range.last().raw());
            for number in first >> size.shift()..=last >> size.shift() {
                let span = TlbiSpan::page(Ipa::new(number << size.shift()), Levels::All);
                self.smmu.submit(Command::TlbiIpa(self.vmid, span));
            }
        }
        self.smmu.submit(Command::SYNC);
    }
}

impl Subscriber for Stage2Tlb {
    type Family = SharedPageTables;

    /// The tables go away, and nothing of them stays cached.
    fn release(&self) {
        self.invalidate(AddrRange::all());
    }
}

impl SecondaryTlbSubscriber for Stage2Tlb {
    fn invalidate_secondary_tlb(&self, range: AddrRange<Gva>) {
        self.invalidate(range);
    }
}
