//! A descriptor that is being carried out.
//!
//! ```text
//!          +-- hold word cleared ---- Held <--+
//!          v                                  | begun, to be held
//!   Next access ---------------------------> made ---> ... ---> done
//!          ^                                  |
//!          +-- CMD_RESUME, retry -- Stalled <-+ stalls ---> given up
//! ```

use std::time::{Duration, Instant};

use guest::abi::dma::{self, Descriptor};
use notifier::addr::{Address, Gpa, Iova, PageSize};
use notifier::paging::TableMemory;
use notifier::secondary::smmu::{Resume, Stag, Stalled, Transaction};
use notifier::secondary::{Fault, FaultKind};

use super::carry::{Carrier, place};
use super::moves::Chunk;
use super::request::{Hold, Refusal, Request};
use super::translation::code;

/// How long the device waits before it tries an address again that is just being invalidated.
const INVALIDATING_DELAY: Duration = Duration::from_micros(20);

/// How long it waits for software to answer a stall.
const STALL_LIMIT: Duration = Duration::from_micros(dma::MAX_STALL_US);

/// A transfer that did not come to its end.
pub(super) enum Stop {
    Fault(Fault),
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is over, with this status.
    Ended(u64),
    /// It waits for the guest: look again later.
    Waits,
}

/// What a job waits for.
enum Wait {
    /// The driver to clear the hold word; meanwhile the access is under way.
    Held(Transaction),
    /// Software to answer the stall that this fault is.
    Stalled(Fault, Stag, Instant),
}

/// A descriptor that is being carried out.
pub(super) struct Job {
    at: Gpa,
    descriptor: Descriptor,
    request: Request,
    /// Retries of the present access.
    left: u64,
    hold: Hold,
    wait: Option<Wait>,
}

impl Job {
    /// The descriptor at `at`, fetched and found to make sense.
    pub(super) fn new(at: Gpa, descriptor: Descriptor, request: Request) -> Self {
        Self {
            at,
            descriptor,
            request,
            left: request.retries,
            hold: request.hold,
            wait: None,
        }
    }

    /// Where the descriptor is.
    pub(super) fn address(&self) -> Gpa {
        self.at
    }

    /// Goes on as far as it can.
    ///
    /// # Errors
    /// [`Refusal`] of a descriptor that can't be carried out or written back.
    pub(super) fn advance(&mut self, carrier: &Carrier) -> Result<Progress, Refusal> {
        let ended = match self.transfer(carrier) {
            Ok(true) => Ok(()),
            Ok(false) => return Ok(Progress::Waits),
            Err(stop) => Err(stop),
        };
        self.finish(carrier, ended).map(Progress::Ended)
    }

    /// Writes back how it went.
    fn finish(&mut self, carrier: &Carrier, ended: Result<(), Stop>) -> Result<u64, Refusal> {
        let (status, refusal) = match ended {
            Ok(()) => (dma::STATUS_DONE, None),
            Err(Stop::Fault(fault)) => {
                self.descriptor.fault = code(fault.kind);
                self.descriptor.fault_iova = fault.iova.raw();
                (dma::STATUS_FAULTED, None)
            }
            Err(Stop::Refused(refusal)) => (dma::STATUS_REFUSED, Some(refusal)),
        };
        carrier.write_back(self.at, self.descriptor, status)?;
        refusal.map_or(Ok(status), Err)
    }

    /// All accesses, until one has to wait; true if there are no more.
    fn transfer(&mut self, carrier: &Carrier) -> Result<bool, Stop> {
        let length = self.request.range.length().unwrap_or(0);
        loop {
            if let Some(wait) = self.wait.take() {
                self.wait = self.look_again(carrier, wait)?;
            } else if self.descriptor.transferred >= length {
                return Ok(true);
            } else {
                self.wait = self.attempt(carrier)?;
            }
            if self.wait.is_some() {
                return Ok(false);
            }
        }
    }

    fn iova(&self) -> Iova {
        Iova::new(self.request.range.start().raw() + self.descriptor.transferred)
    }

    /// The next access: what is left of the transfer in the present page.
    fn chunk(&self) -> Chunk {
        let length = self.request.range.length().unwrap_or(0);
        let in_page = PageSize::K4.bytes() - self.iova().page_offset(PageSize::K4);
        Chunk {
            access: self.request.access,
            length: in_page.min(length - self.descriptor.transferred),
            first: self.descriptor.transferred / 8,
            seed: self.request.seed,
        }
    }

    /// Tries the next access once.
    fn attempt(&mut self, carrier: &Carrier) -> Result<Option<Wait>, Stop> {
        if self.hold == Hold::First {
            return self.begin(carrier);
        }
        let (chunk, iova, sum) = (self.chunk(), self.iova(), self.descriptor.checksum);
        let make = |target| chunk.make(&carrier.ram, target, sum);
        let made = carrier
            .translation
            .access(self.request.stream, iova, chunk.access, make);
        match made {
            Ok(sum) => {
                carrier.count_made(chunk.access);
                self.moved(sum?, chunk.length);
                Ok(None)
            }
            Err(fault) => self.faulted(carrier, fault),
        }
    }

    /// Begins the next access, and says so.
    fn begin(&mut self, carrier: &Carrier) -> Result<Option<Wait>, Stop> {
        let Request { stream, access, .. } = self.request;
        match carrier.translation.begin(stream, self.iova(), access) {
            Ok(Some(transaction)) => {
                let begun = place(self.at, dma::DESCRIPTOR_BEGUN);
                self.descriptor.begun = 1;
                carrier.ram.publish(begun, 1).map_err(Refusal::from)?;
                Ok(Some(Wait::Held(transaction)))
            }
            Ok(None) => Err(Refusal::Hold.into()),
            Err(fault) => self.faulted(carrier, fault),
        }
    }

    /// What the access came to, now that it is over.
    fn moved(&mut self, checksum: u64, length: u64) {
        self.descriptor.checksum = checksum;
        self.descriptor.transferred += length;
        self.left = self.request.retries;
    }

    fn look_again(&mut self, carrier: &Carrier, wait: Wait) -> Result<Option<Wait>, Stop> {
        match wait {
            Wait::Held(transaction) => self.held(carrier, transaction),
            Wait::Stalled(fault, stag, since) => self.stalled(carrier, fault, stag, since),
        }
    }

    /// Makes the access if the driver lets it go; whoever waits for it waits until it is made.
    fn held(&mut self, carrier: &Carrier, open: Transaction) -> Result<Option<Wait>, Stop> {
        let word = carrier.ram.read_entry(place(self.at, dma::DESCRIPTOR_HOLD));
        if word.is_ok_and(|word| word != 0) {
            return Ok(Some(Wait::Held(open)));
        }
        (self.hold, self.descriptor.hold) = (Hold::No, 0);
        let chunk = self.chunk();
        let sum = chunk.make(&carrier.ram, open.target(), self.descriptor.checksum)?;
        open.end();
        carrier.count_made(chunk.access);
        self.moved(sum, chunk.length);
        Ok(None)
    }

    fn stalled(
        &mut self,
        carrier: &Carrier,
        fault: Fault,
        stag: Stag,
        since: Instant,
    ) -> Result<Option<Wait>, Stop> {
        let translation = &carrier.translation;
        let stream = translation.stream_id(self.request.stream);
        let answer = stream.map(|stream| translation.smmu.stalled(stream, stag));
        match answer {
            Some(Stalled::Waiting) if since.elapsed() < STALL_LIMIT => {
                Ok(Some(Wait::Stalled(fault, stag, since)))
            }
            Some(Stalled::Answered(Resume::Retry)) => Ok(None),
            Some(Stalled::Answered(Resume::Terminate)) => {
                let chunk = self.chunk();
                self.moved(chunk.terminate(self.descriptor.checksum), chunk.length);
                Ok(None)
            }
            answer => {
                if answer == Some(Stalled::Waiting) {
                    translation.abandon(self.request.stream, stag);
                }
                Err(self.give_up(carrier, fault))
            }
        }
    }

    /// A stalled access waits; any other is tried as often as the request says.
    fn faulted(&mut self, carrier: &Carrier, fault: Fault) -> Result<Option<Wait>, Stop> {
        self.descriptor.faults += 1;
        carrier.count(|counts| counts.faults += 1);
        if let FaultKind::Stalled(stag) = fault.kind {
            return Ok(Some(Wait::Stalled(fault, stag, Instant::now())));
        }
        if self.left == 0 {
            return Err(self.give_up(carrier, fault));
        }
        self.left -= 1;
        carrier.count(|counts| counts.retries += 1);
        if fault.kind == FaultKind::Invalidating {
            std::thread::sleep(INVALIDATING_DELAY);
        }
        Ok(None)
    }

    fn give_up(&self, carrier: &Carrier, fault: Fault) -> Stop {
        if let Some(cache) = carrier.translation.cache(self.request.stream) {
            let faults = self.request.retries - self.left + 1;
            carrier.oracle.gave_up(cache, &fault, faults);
        }
        Stop::Fault(fault)
    }
}
