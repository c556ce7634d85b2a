//! Carrying descriptors out, on the event loop.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_manager::{EventOps, Events, MutEventSubscriber};
use guest::abi::dma::{self, Descriptor};
use guest::abi::pattern;
use notifier::addr::{Access, Address, Gpa, Iova, PageSize};
use notifier::oracle::Oracle;
use notifier::secondary::{Fault, FaultKind};
use vmm_sys_util::epoll::EventSet;

use super::Registers;
use super::request::{Refusal, Request};
use super::translation::{Translation, code};
use crate::lock::lock;
use crate::memory::Ram;

/// What the device did, in accesses; none of them crosses a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DmaCounts {
    /// Reads that were made.
    pub reads: u64,
    /// Writes that were made.
    pub writes: u64,
    /// Accesses that were refused.
    pub faults: u64,
    /// Refused accesses that were tried again.
    pub retries: u64,
    /// Descriptors that were not carried out, or not to their end, because they make no sense.
    pub refused: u64,
}

/// What an engine is made of.
pub(crate) struct EngineParts {
    pub(crate) ram: Ram,
    pub(crate) registers: Arc<Registers>,
    pub(crate) smmu: Arc<notifier::secondary::smmu::Smmu>,
    pub(crate) stream: notifier::addr::StreamId,
    pub(crate) asid: notifier::addr::Asid,
    pub(crate) shadow: Arc<notifier::secondary::shadow::Shadow>,
    pub(crate) oracle: Arc<Oracle>,
}

/// The engine; a subscriber of the event loop that waits for doorbells.
pub(crate) struct Engine {
    ram: Ram,
    registers: Arc<Registers>,
    translation: Translation,
    oracle: Arc<Oracle>,
    counts: Arc<Mutex<DmaCounts>>,
}

/// How long the device waits before it tries an address again that is just being invalidated.
const INVALIDATING_DELAY: Duration = Duration::from_micros(20);

/// The most that one access moves.
const PAGE: usize = 4096;
const _: () = assert!(PAGE as u64 == PageSize::K4.bytes());

/// How many refused descriptors are worth a warning; a guest decides how many there are.
const WARNINGS: u64 = 8;

/// A transfer that did not come to its end.
enum Stop {
    Fault(Fault),
    Refused(Refusal),
}

impl Engine {
    pub(crate) fn new(parts: EngineParts) -> Self {
        let translation = Translation {
            smmu: parts.smmu,
            stream: parts.stream,
            asid: parts.asid,
            shadow: parts.shadow,
        };
        Self {
            ram: parts.ram,
            registers: parts.registers,
            translation,
            oracle: parts.oracle,
            counts: Arc::default(),
        }
    }

    /// What it did so far, also after it is gone.
    pub(crate) fn counts(&self) -> Arc<Mutex<DmaCounts>> {
        Arc::clone(&self.counts)
    }

    /// A channel's doorbell rang.
    fn ring(&mut self, channel: usize) {
        let address = self.registers.descriptor(channel);
        let status = match self.carry_out(address) {
            Ok(status) => status,
            Err(refusal) => {
                self.refuse(address, refusal);
                dma::STATUS_REFUSED
            }
        };
        self.registers.set_status(channel, status);
    }

    /// Fetches the descriptor, does the transfer, writes back how it went.
    fn carry_out(&mut self, address: Gpa) -> Result<u64, Refusal> {
        let mut bytes = [0; Descriptor::SIZE];
        self.ram.read(address, &mut bytes)?;
        if self.ram.is_page_table(address, bytes.len() as u64) {
            return Err(Refusal::PageTable(address));
        }
        let mut descriptor = Descriptor::from_bytes(&bytes);
        descriptor.faults = 0;
        descriptor.transferred = 0;
        descriptor.checksum = 0;
        descriptor.fault = dma::FAULT_NONE;
        descriptor.fault_iova = 0;
        let done = Request::new(&descriptor)
            .map_err(Stop::Refused)
            .and_then(|request| self.transfer(&request, &mut descriptor));
        let (status, refusal) = match done {
            Ok(()) => (dma::STATUS_DONE, None),
            Err(Stop::Fault(fault)) => {
                descriptor.fault = code(fault.kind);
                descriptor.fault_iova = fault.iova.raw();
                (dma::STATUS_FAULTED, None)
            }
            Err(Stop::Refused(refusal)) => (dma::STATUS_REFUSED, Some(refusal)),
        };
        self.write_back(address, descriptor, status)?;
        refusal.map_or(Ok(status), Err)
    }

    /// The status last: who sees it sees all the rest.
    fn write_back(&self, at: Gpa, descriptor: Descriptor, status: u64) -> Result<(), Refusal> {
        let place = at.checked_add(dma::DESCRIPTOR_STATUS).unwrap_or(at);
        let pending = Descriptor {
            status: dma::STATUS_PENDING,
            ..descriptor
        };
        self.ram.write(at, &pending.to_bytes())?;
        Ok(self.ram.publish(place, status)?)
    }

    fn transfer(&mut self, request: &Request, descriptor: &mut Descriptor) -> Result<(), Stop> {
        let length = request.range.length().unwrap_or(0);
        while descriptor.transferred < length {
            let iova = Iova::new(request.range.start().raw() + descriptor.transferred);
            let in_page = PageSize::K4.bytes() - iova.page_offset(PageSize::K4);
            let chunk = in_page.min(length - descriptor.transferred);
            self.chunk(request, iova, chunk, descriptor)?;
            descriptor.transferred += chunk;
        }
        Ok(())
    }

    /// One access, tried as often as the request says.
    fn chunk(
        &mut self,
        request: &Request,
        iova: Iova,
        length: u64,
        descriptor: &mut Descriptor,
    ) -> Result<(), Stop> {
        let mut left = request.retries;
        loop {
            let fault = match self.attempt(request, iova, length, descriptor) {
                Ok(done) => return done.map_err(Stop::Refused),
                Err(fault) => fault,
            };
            descriptor.faults += 1;
            self.count(|counts| counts.faults += 1);
            if left == 0 {
                let cache = self.translation.cache(request.stream);
                self.oracle.gave_up(cache, &fault, request.retries + 1);
                return Err(Stop::Fault(fault));
            }
            left -= 1;
            self.count(|counts| counts.retries += 1);
            if fault.kind == FaultKind::Invalidating {
                std::thread::sleep(INVALIDATING_DELAY);
            }
        }
    }

    fn attempt(
        &self,
        request: &Request,
        iova: Iova,
        length: u64,
        descriptor: &mut Descriptor,
    ) -> Result<Result<(), Refusal>, Fault> {
        let words = descriptor.transferred / 8;
        let checksum = &mut descriptor.checksum;
        let made =
            self.translation.access(
                request.stream,
                iova,
                request.access,
                |target| match request.access {
                    Access::Read => read(&self.ram, target, length, checksum),
                    Access::Write => write(&self.ram, target, length, request.seed, words),
                },
            )?;
        if made.is_ok() {
            self.count(|counts| match request.access {
                Access::Read => counts.reads += 1,
                Access::Write => counts.writes += 1,
            });
        }
        Ok(made)
    }

    fn refuse(&self, descriptor: Gpa, refusal: Refusal) {
        let mut refused = 0;
        self.count(|counts| {
            counts.refused += 1;
            refused = counts.refused;
        });
        if refused <= WARNINGS {
            log::warn!("DMA descriptor at {descriptor} refused: {refusal}");
        }
    }

    fn count(&self, change: impl FnOnce(&mut DmaCounts)) {
        change(&mut lock(&self.counts));
    }
}

/// Reads up to a page and folds its words into the checksum.
fn read(ram: &Ram, from: Gpa, length: u64, checksum: &mut u64) -> Result<(), Refusal> {
    let mut page = [0; PAGE];
    let bytes = &mut page[..usize::try_from(length).unwrap_or(0)];
    ram.read(from, bytes)?;
    let (words, _) = bytes.as_chunks::<8>();
    for word in words {
        *checksum = pattern::fold(*checksum, u64::from_le_bytes(*word));
    }
    Ok(())
}

/// Writes up to a page of the pattern, from its word `first` on.
fn write(ram: &Ram, to: Gpa, length: u64, seed: u64, first: u64) -> Result<(), Refusal> {
    if ram.is_page_table(to, length) {
        return Err(Refusal::PageTable(to));
    }
    let mut page = [0; PAGE];
    let bytes = &mut page[..usize::try_from(length).unwrap_or(0)];
    let (words, _) = bytes.as_chunks_mut::<8>();
    for (index, word) in (first..).zip(words) {
        *word = pattern::word(seed, index).to_le_bytes();
    }
    Ok(ram.write(to, bytes)?)
}

impl MutEventSubscriber for Engine {
    fn init(&mut self, ops: &mut EventOps) {
        for (channel, doorbell) in (0..).zip(self.registers.doorbells()) {
            let events = Events::with_data(doorbell, channel, EventSet::IN);
            if let Err(error) = ops.add(events) {
                log::error!("DMA channel {channel} has no doorbell: {error}");
            }
        }
    }

    fn process(&mut self, events: Events, _: &mut EventOps) {
        let Ok(channel) = usize::try_from(events.data()) else {
            return;
        };
        // However often it rang: the channel has one descriptor.
        let rang = self
            .registers
            .doorbells()
            .get(channel)
            .map(|bell| bell.read());
        if matches!(rang, Some(Ok(_))) {
            self.ring(channel);
        }
    }
}
