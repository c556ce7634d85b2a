//! The queues that the SMMU writes: events (`IHI0070` 7.2, 7.4) and page requests (8.1, 8.2).

use super::super::spec::{Event, GlobalErrors, PageRequest, PageResponse, Ste};
use super::registers::{LAST_ONLY, Output, Registers};
use super::{Core, Interface, Interrupt};
use crate::addr::{Gpa, StreamId, SubstreamId};
use crate::paging::{NoMemory, SystemMemory};
use crate::secondary::smmu::spec::QueueBase;
use crate::sync::lock;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is in the queue.
    Written,
    /// It is lost: the queue is off, in error, full, or not in memory.
    Lost,
    /// It is of a stalled transaction, which is never lost: record it again on
    /// [`Effect::Events`](super::Effect::Events).
    Later,
}

/// The SMMU's own answer to a page request that software will not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoResponse {
    /// To this stream's device.
    pub stream: StreamId,
    /// With this PASID, if any.
    pub substream: Option<SubstreamId>,
    /// For this group.
    pub group: u16,
    /// [`PageResponse::Success`] or [`PageResponse::Failure`].
    pub response: PageResponse,
}

/// A record did not get into a queue.
enum Refused {
    Full,
    NoMemory,
}

/// Writes a record, then moves the producer past it. True if the queue was empty.
fn push(
    memory: &dyn SystemMemory,
    base: QueueBase,
    queue: &mut Output,
    words: &[u64],
) -> Result<bool, Refused> {
    let QueueBase { address, ring } = base;
    let (prod, cons) = (queue.prod.place, queue.cons.place);
    // What software wrote may say that there is more than fits.
    if ring.used(prod, cons) >= ring.entries() {
        return Err(Refused::Full);
    }
    let entry = 8 * words.len() as u64;
    let at = address.raw() + entry * u64::from(ring.write_index(prod));
    let write = |(at, word): (u64, &u64)| memory.write_entry(Gpa::new(at), *word);
    let all: Result<(), NoMemory> = (at..).step_by(8).zip(words).try_for_each(write);
    all.map_err(|_| Refused::NoMemory)?;
    queue.prod.place = ring.produced(prod);
    Ok(ring.is_empty(prod, cons))
}

impl<C: Core> Interface<C> {
    /// Records an event. The record is in memory before the register tells of it.
    pub fn record(&self, event: Event) -> Recorded {
        let unwritten = if event.kind.stall().is_some() {
            Recorded::Later
        } else {
            Recorded::Lost
        };
        let mut registers = lock(&self.registers);
        let in_error = registers
            .active_errors()
            .contains(GlobalErrors::EVENTQ_ABT_ERR);
        if in_error || !registers.takes_events() {
            return unwritten;
        }
        let base = registers.event_queue();
        let pushed = push(&*self.memory, base, &mut registers.events, &event.encode());
        if matches!(pushed, Err(Refused::Full)) && unwritten == Recorded::Lost {
            overflow(&mut registers.events);
        }
        drop(registers);
        match pushed {
            Ok(was_empty) => {
                if was_empty {
                    self.interrupt(Interrupt::Events);
                }
                Recorded::Written
            }
            Err(Refused::Full) => unwritten,
            Err(Refused::NoMemory) => {
                self.raise(GlobalErrors::EVENTQ_ABT_ERR);
                unwritten
            }
        }
    }

    /// Queues a page request, or says how it is answered at once. `ste` is asked only when the
    /// queue has overflowed and the request has a PASID: the stream's entry, if it has one that is
    /// valid.
    pub fn page_request(
        &self,
        request: PageRequest,
        ste: impl FnOnce() -> Option<Ste>,
    ) -> Option<AutoResponse> {
        let mut registers = lock(&self.registers);
        let in_error = registers
            .active_errors()
            .contains(GlobalErrors::PRIQ_ABT_ERR);
        if in_error || !registers.takes_page_requests() {
            return failure(request);
        }
        let pushed = push_page(&*self.memory, &mut registers, request);
        let last_only = registers.pages.msi.attributes & LAST_ONLY != 0;
        drop(registers);
        let was_empty = matches!(pushed, Ok(true));
        let arrived = !matches!(pushed, Err(Refused::NoMemory));
        let interrupts = if last_only {
            arrived && request.last
        } else {
            was_empty
        };
        if interrupts {
            self.interrupt(Interrupt::PageRequests);
        }
        match pushed {
            Ok(_) => None,
            Err(Refused::Full) => overflow_response(request, ste),
            Err(Refused::NoMemory) => {
                self.raise(GlobalErrors::PRIQ_ABT_ERR);
                failure(request)
            }
        }
    }
}

fn overflow(queue: &mut Output) {
    queue.prod = queue.prod.overflowed(queue.cons);
}

/// Unlike events, page requests do not get in before an overflow is acknowledged.
fn push_page(
    memory: &dyn SystemMemory,
    registers: &mut Registers,
    request: PageRequest,
) -> Result<bool, Refused> {
    let base = registers.page_queue();
    let pages = &mut registers.pages;
    if pages.prod.has_overflowed(pages.cons) {
        return Err(Refused::Full);
    }
    let pushed = push(memory, base, pages, &request.encode());
    if matches!(pushed, Err(Refused::Full)) {
        overflow(pages);
    }
    pushed
}

/// Any request is answered, without a PASID, but a Stop Marker never is.
fn failure(request: PageRequest) -> Option<AutoResponse> {
    respond(request, PageResponse::Failure, None)
}

/// Only the last request of a group is answered. STE.PPAR says whether with its PASID.
fn overflow_response(
    request: PageRequest,
    ste: impl FnOnce() -> Option<Ste>,
) -> Option<AutoResponse> {
    if !request.last || request.is_stop_marker() {
        return None;
    }
    let Some(substream) = request.substream else {
        return respond(request, PageResponse::Success, None);
    };
    match ste() {
        None => failure(request),
        Some(ste) => {
            let with = ste.response_with_pasid.then_some(substream);
            respond(request, PageResponse::Success, with)
        }
    }
}

fn respond(
    request: PageRequest,
    response: PageResponse,
    substream: Option<SubstreamId>,
) -> Option<AutoResponse> {
    (!request.is_stop_marker()).then_some(AutoResponse {
        stream: request.stream,
        substream,
        group: request.group,
        response,
    })
}
