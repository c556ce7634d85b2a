//! What an implementation under test provides: one trait for each group of rules, in the shape of
//! the kernel's interface, with everything that can go wrong as a value.
//!
//! Whoever tests a part implements a part; the cases of the rest are reported as not offered.

mod aged;
mod binding;
mod bounds;
mod callbacks;
mod change;
mod consumer;
mod domains;
mod mirror;
mod primary;
mod progress;
mod refused;
mod space;

use std::sync::Arc;

pub use aged::Aged;
pub use binding::{Binding, Denied, DeviceId, Told};
pub use bounds::{Bounds, Extent, PAGE};
pub use callbacks::{Again, Answer, Ask, Call, Callbacks, IntervalCallbacks, Refuses, Start, Tell};
pub use change::{Blocking, Change, Event, OwnerId};
pub use consumer::{Command, Commands, Depth, Driver, Fault, FaultGate, Slots, Teardown};
pub use domains::{DomainId, Domains};
pub use mirror::{Leaving, Mirror, MirrorKind, Page, SLOT, Subscriber, Work};
pub use primary::{Frame, Leaf, Operation, Platform, Primary, Rights, Step, Witness};
pub use progress::{Announced, Progress};
pub use refused::Refused;
pub use space::{
    Age, Aging, AllocFailed, Context, Exit, Interval, Intervals, Lifetime, LockedTable, Operations,
    Ranges, Read, Refusals, Registration, Shared,
};

/// An implementation of the contract: makes a new address space whenever it is asked for one, or
/// says that it has nothing of the kind.
pub trait Implementation: Send + Sync {
    /// For the rules on ranges, events and secondary TLBs.
    fn ranges(&self) -> Option<Arc<dyn Ranges>> {
        None
    }

    /// For the rules on starts that must not sleep.
    fn refusals(&self) -> Option<Arc<dyn Refusals>> {
        None
    }

    /// For the rules on coming and going.
    fn lifetime(&self) -> Option<Arc<dyn Lifetime>> {
        None
    }

    /// For the rules on intervals.
    fn intervals(&self) -> Option<Arc<dyn Intervals>> {
        None
    }

    /// For the rules on aging.
    fn aging(&self) -> Option<Arc<dyn Aging>> {
        None
    }

    /// For the rules on what must not be done where.
    fn context(&self) -> Option<Arc<dyn Context>> {
        None
    }

    /// For the rules on the primary side: an empty address space for that platform, which tells
    /// `witness` what it does.
    fn primary(&self, platform: Platform, witness: Arc<dyn Witness>) -> Option<Arc<dyn Primary>> {
        let _none = (platform, witness);
        None
    }

    /// For the rules on what drivers do with secondary-TLB notifications.
    fn commands(&self) -> Option<Arc<dyn Commands>> {
        None
    }

    /// For the rules on faults of those with page tables of their own.
    fn fault_gate(&self) -> Option<Arc<dyn FaultGate>> {
        None
    }

    /// For the rules on a device that moves from one address space to another.
    fn domains(&self) -> Option<Arc<dyn Domains>> {
        None
    }

    /// For the rule on what is noticed after a driver's accessed bits were cleared.
    fn aged(&self) -> Option<Arc<dyn Aged>> {
        None
    }

    /// For the rule on devices that never get on: a page that the device has read.
    fn progress(&self) -> Option<Arc<dyn Progress>> {
        None
    }

    /// For the rules on drivers of devices with page tables of their own: a driver with nothing
    /// mapped, which tells `saw` what it does. The case registers it with one of
    /// [`intervals`](Self::intervals).
    fn mirror(&self, kind: MirrorKind, saw: Tell<Work>) -> Option<Arc<dyn Mirror>> {
        let _none = (kind, saw);
        None
    }

    /// For the rules on devices that come and go.
    fn binding(&self) -> Option<Arc<dyn Binding>> {
        None
    }
}
