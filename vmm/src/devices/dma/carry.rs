//! What every transfer needs, and what is counted of all of them.

use std::sync::{Arc, Mutex};

use guest::abi::dma::{self, Descriptor};
use notifier::addr::{Access, Gpa};
use notifier::oracle::Oracle;

use super::request::{Refusal, Request};
use super::translation::Translation;
use crate::lock::lock;
use crate::memory::Ram;

/// What the device did, in accesses; none of them crosses a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DmaCounts {
    /// Reads that were made.
    pub reads: u64,
    /// Writes that were made.
    pub writes: u64,
    /// Accesses that were refused, or stalled.
    pub faults: u64,
    /// Refused accesses that were tried again.
    pub retries: u64,
    /// Descriptors that were not carried out, or not to their end, because they make no sense.
    pub refused: u64,
}

/// How many refused descriptors are worth a warning; a guest decides how many there are.
const WARNINGS: u64 = 8;

/// What a transfer is carried out with.
pub(super) struct Carrier {
    pub(super) ram: Ram,
    pub(super) translation: Translation,
    pub(super) oracle: Arc<Oracle>,
    pub(super) counts: Arc<Mutex<DmaCounts>>,
}

impl Carrier {
    pub(super) fn count(&self, change: impl FnOnce(&mut DmaCounts)) {
        change(&mut lock(&self.counts));
    }

    pub(super) fn count_made(&self, access: Access) {
        self.count(|counts| match access {
            Access::Read => counts.reads += 1,
            Access::Write => counts.writes += 1,
        });
    }

    /// Fetches a descriptor, without what a driver has no business to say.
    pub(super) fn fetch(&self, address: Gpa) -> Result<Descriptor, Refusal> {
        let mut bytes = [0; Descriptor::SIZE];
        self.ram.read(address, &mut bytes)?;
        if self.ram.is_page_table(address, bytes.len() as u64) {
            return Err(Refusal::PageTable(address));
        }
        Ok(Descriptor {
            faults: 0,
            transferred: 0,
            checksum: 0,
            fault: dma::FAULT_NONE,
            fault_iova: 0,
            begun: 0,
            ..Descriptor::from_bytes(&bytes)
        })
    }

    /// The doorbell: whoever rang it relies on what the stream table says of the stream now.
    pub(super) fn rely_on_configuration(&self, request: &Request) {
        let translation = &self.translation;
        if let Some(stream) = translation.stream_id(request.stream) {
            let found = translation.smmu.found_configuration(stream);
            self.oracle.relied_on_configuration(stream, None, found);
        }
    }

    /// The status last: who sees it sees all the rest.
    pub(super) fn write_back(
        &self,
        at: Gpa,
        descriptor: Descriptor,
        status: u64,
    ) -> Result<(), Refusal> {
        let pending = Descriptor {
            status: dma::STATUS_PENDING,
            ..descriptor
        };
        self.ram.write(at, &pending.to_bytes())?;
        Ok(self
            .ram
            .publish(place(at, dma::DESCRIPTOR_STATUS), status)?)
    }

    pub(super) fn refuse(&self, descriptor: Gpa, refusal: Refusal) {
        let mut refused = 0;
        self.count(|counts| {
            counts.refused += 1;
            refused = counts.refused;
        });
        if refused <= WARNINGS {
            log::warn!("DMA descriptor at {descriptor} refused: {refusal}");
        }
    }
}

/// A word of the descriptor at `at`, all of which is in memory.
pub(super) fn place(at: Gpa, offset: u64) -> Gpa {
    Gpa::new(at.raw().wrapping_add(offset))
}
