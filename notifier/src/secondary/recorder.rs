//! Subscribers that write down what they are told, for tests.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use crate::addr::{AddrRange, Gva};
use crate::contract::{
    OwnPageTables, RangeEvent, RangeSubscriber, SecondaryTlbSubscriber, SharedPageTables,
    Subscriber,
};
use crate::sync::lock;

/// What a recorder was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    /// The start of a range invalidation.
    RangeStart(RangeEvent),
    /// Its end.
    RangeEnd(RangeEvent),
    /// A secondary-TLB invalidation.
    SecondaryTlb(AddrRange<Gva>),
    /// To clear the accessed bits of a range, and flush.
    ClearFlushYoung(AddrRange<Gva>),
    /// To clear the accessed bits of a range.
    ClearYoung(AddrRange<Gva>),
    /// To look at the accessed bits of a range.
    TestYoung(AddrRange<Gva>),
    /// That the address space goes away.
    Release,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RangeStart(event) => write!(f, "range start {event}"),
            Self::RangeEnd(event) => write!(f, "range end {event}"),
            Self::SecondaryTlb(range) => write!(f, "secondary-tlb {range}"),
            Self::ClearFlushYoung(range) => write!(f, "clear-flush-young {range}"),
            Self::ClearYoung(range) => write!(f, "clear-young {range}"),
            Self::TestYoung(range) => write!(f, "test-young {range}"),
            Self::Release => f.write_str("release"),
        }
    }
}

/// A call to a recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it was told.
    pub told: Told,
    /// By which thread.
    pub thread: ThreadId,
}

/// Calls in the order in which they came. Recorders that share a log share the order.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<Call>>);

impl Log {
    /// Every call so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.0).clone()
    }

    /// What was told in every call so far, oldest first.
    pub fn told(&self) -> Vec<Told> {
        lock(&self.0).iter().map(|call| call.told).collect()
    }

    /// The calls since the last time, which are forgotten.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.0))
    }

    fn add(&self, told: Told) {
        let thread = std::thread::current().id();
        lock(&self.0).push(Call { told, thread });
    }
}

/// What a recorder answers when it is asked whether a range is young.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Age {
    /// Nothing was accessed.
    #[default]
    Old,
    /// Something was.
    Young,
}

/// What both recorders do.
#[derive(Debug, Default)]
struct Recorder {
    log: Arc<Log>,
    age: Age,
}

impl Recorder {
    fn asked(&self, told: Told) -> bool {
        self.log.add(told);
        self.age == Age::Young
    }
}

macro_rules! recorder {
    ($(#[$meta:meta])* $name:ident: $family:ty) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $name(Recorder);

        impl $name {
            /// One that writes into this log and answers that everything is of this age.
            pub fn new(log: Arc<Log>, age: Age) -> Self {
                Self(Recorder { log, age })
            }

            /// What it was told.
            pub fn log(&self) -> &Log {
                &self.0.log
            }
        }

        impl Subscriber for $name {
            type Family = $family;

            fn release(&self) {
                self.0.log.add(Told::Release);
            }

            fn clear_flush_young(&self, range: AddrRange<Gva>) -> bool {
                self.0.asked(Told::ClearFlushYoung(range))
            }

            fn clear_young(&self, range: AddrRange<Gva>) -> bool {
                self.0.asked(Told::ClearYoung(range))
            }

            fn test_young(&self, range: AddrRange<Gva>) -> bool {
                self.0.asked(Told::TestYoung(range))
            }
        }
    };
}

recorder! {
    /// A recorder with page tables of its own.
    RangeRecorder: OwnPageTables
}
recorder! {
    /// A recorder that shares the primary page table.
    TlbRecorder: SharedPageTables
}

impl RangeSubscriber for RangeRecorder {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        self.0.log.add(Told::RangeStart(*event));
    }

    fn invalidate_range_end(&self, event: &RangeEvent) {
        self.0.log.add(Told::RangeEnd(*event));
    }
}

impl SecondaryTlbSubscriber for TlbRecorder {
    fn invalidate_secondary_tlb(&self, range: AddrRange<Gva>) {
        self.0.log.add(Told::SecondaryTlb(range));
    }
}
