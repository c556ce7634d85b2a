//! The contract's promises, each with the fault that would break it.

mod aging;
mod context;
mod ending;
mod intervals;
mod lifetime;
mod notifications;
mod panics;
mod refusal;

use std::sync::{Arc, Mutex};

use super::*;
use crate::addr::{AddrRange, Gva, PageSize};
use crate::sync::lock;

/// Writes down what it is told.
#[derive(Default)]
struct Recorder(Mutex<Vec<Notice>>);

impl Recorder {
    fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut lock(&self.0))
    }

    fn note(&self, notice: Notice) {
        lock(&self.0).push(notice);
    }
}

#[derive(Default)]
struct Ranges(Recorder);

impl Subscriber for Ranges {
    type Family = OwnPageTables;
}

impl RangeSubscriber for Ranges {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        self.0.note(Notice::RangeStart(*event));
    }

    fn invalidate_range_end(&self, event: &RangeEvent) {
        self.0.note(Notice::RangeEnd(*event));
    }
}

#[derive(Default)]
struct Tlb(Recorder);

impl Subscriber for Tlb {
    type Family = SharedPageTables;
}

impl SecondaryTlbSubscriber for Tlb {
    fn invalidate_secondary_tlb(&self, range: AddrRange<Gva>) {
        self.0.note(Notice::SecondaryTlb(range));
    }
}

fn space() -> Arc<AddressSpace<u64>> {
    Arc::new(AddressSpace::new(0))
}

fn pages(first: u64, last: u64) -> AddrRange<Gva> {
    let end = Gva::new((last + 1) << 12);
    AddrRange::new(Gva::new(first << 12), end).unwrap()
}

fn page() -> AddrRange<Gva> {
    AddrRange::page(Gva::new(0x1000), PageSize::K4)
}

fn unmap(range: AddrRange<Gva>) -> RangeEvent {
    RangeEvent {
        event: Event::Unmap,
        range,
        blocking: Blocking::Allowed,
    }
}

/// Begins and ends an invalidation.
fn invalidate(space: &Arc<AddressSpace<u64>>, range: AddrRange<Gva>) {
    drop(space.mutate().into_window(Event::Unmap, range));
}
