//! Callbacks as the subscribers of `notifier::contract`.

use std::sync::{Arc, Mutex, PoisonError};

use notifier::addr::{AddrRange, Gva};
use notifier::contract::{
    self, Member, OwnPageTables, Owner, RangeEvent, RangeSubscriber, RefusingSubscriber,
    SecondaryTlbSubscriber, SharedPageTables, Subscriber,
};

use crate::subject::{Blocking, Callbacks, Change, Event, OwnerId, Refused, Refuses};

/// Which of the contract's owners, which are opaque, stands for which of the suite's.
#[derive(Default)]
pub(crate) struct Owners(Mutex<Vec<(OwnerId, Owner)>>);

impl Owners {
    fn owner(&self, id: OwnerId) -> Owner {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, owner)) = known.iter().find(|(other, _)| *other == id) {
            return *owner;
        }
        let owner = Owner::unique();
        known.push((id, owner));
        owner
    }

    fn id(&self, owner: Owner) -> OwnerId {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|(_, other)| *other == owner);
        found.map_or(OwnerId(u64::MAX), |(id, _)| *id)
    }

    /// # Errors
    /// [`Refused::ByType`] for the event that nobody announces.
    pub(crate) fn event(&self, event: Event) -> Result<contract::Event, Refused> {
        Ok(match event {
            Event::Unmap => contract::Event::Unmap,
            Event::Clear => contract::Event::Clear,
            Event::ProtectionVma => contract::Event::ProtectionVma,
            Event::ProtectionPage => contract::Event::ProtectionPage,
            Event::SoftDirty => contract::Event::SoftDirty,
            Event::Migrate(id) => contract::Event::Migrate(self.owner(id)),
            Event::Exclusive(id) => contract::Event::Exclusive(self.owner(id)),
            Event::Release => return Err(Refused::ByType),
        })
    }

    pub(crate) fn change(&self, told: &RangeEvent) -> Change {
        let event = match told.event {
            contract::Event::Unmap => Event::Unmap,
            contract::Event::Clear => Event::Clear,
            contract::Event::ProtectionVma => Event::ProtectionVma,
            contract::Event::SoftDirty => Event::SoftDirty,
            contract::Event::Migrate(owner) => Event::Migrate(self.id(owner)),
            contract::Event::Exclusive(owner) => Event::Exclusive(self.id(owner)),
            // The suite never announces an upgrade, which no kernel has.
            contract::Event::ProtectionPage | contract::Event::ProtectionUpgrade => {
                Event::ProtectionPage
            }
        };
        Change {
            event,
            bounds: told.range.into(),
            blocking: blocking(told.blocking),
        }
    }
}

fn blocking(told: contract::Blocking) -> Blocking {
    match told {
        contract::Blocking::Allowed => Blocking::Allowed,
        contract::Blocking::Forbidden => Blocking::Forbidden,
    }
}

/// The subscriber with these callbacks.
///
/// # Errors
/// [`Refused::ByType`] for what no subscriber of the contract can be.
pub(super) fn member(callbacks: Callbacks, owners: &Arc<Owners>) -> Result<Member, Refused> {
    let refuses = callbacks.range_start.as_ref().map(|start| start.refuses);
    if callbacks.is_of_both_families()
        || callbacks.refuses_and_has_end()
        || refuses == Some(Refuses::Always)
    {
        return Err(Refused::ByType);
    }
    let is_secondary_tlb = callbacks.secondary_tlb.is_some();
    let owners = Arc::clone(owners);
    Ok(if is_secondary_tlb {
        Member::SecondaryTlb(Arc::new(SecondaryTlb(callbacks)))
    } else if refuses == Some(Refuses::WhenMustNotSleep) {
        Member::Refusing(Arc::new(Refusing(Own { callbacks, owners })))
    } else {
        Member::Range(Arc::new(Ranged(Own { callbacks, owners })))
    })
}

struct Own {
    callbacks: Callbacks,
    owners: Arc<Owners>,
}

impl Own {
    fn start(&self, event: &RangeEvent) -> Result<(), contract::Again> {
        let change = self.owners.change(event);
        let start = self.callbacks.range_start.as_ref();
        let started = start.map_or(Ok(()), |start| (start.call)(change));
        started.map_err(|crate::subject::Again| contract::Again)
    }

    fn end(&self, event: &RangeEvent) {
        if let Some(end) = &self.callbacks.range_end {
            end(self.owners.change(event));
        }
    }
}

struct Ranged(Own);
struct Refusing(Own);
struct SecondaryTlb(Callbacks);

macro_rules! subscriber {
    ($type:ty, $family:ty, $subscriber:ident => $callbacks:expr) => {
        impl Subscriber for $type {
            type Family = $family;

            fn release(&self) {
                let $subscriber = self;
                if let Some(release) = &$callbacks.release {
                    release();
                }
            }

            fn clear_flush_young(&self, range: AddrRange<Gva>) -> bool {
                let $subscriber = self;
                let ask = $callbacks.clear_flush_young.as_ref();
                ask.is_some_and(|ask| ask(range.into()))
            }

            fn clear_young(&self, range: AddrRange<Gva>) -> bool {
                let $subscriber = self;
                let ask = $callbacks.clear_young.as_ref();
                ask.is_some_and(|ask| ask(range.into()))
            }

            fn test_young(&self, range: AddrRange<Gva>) -> bool {
                let $subscriber = self;
                let ask = $callbacks.test_young.as_ref();
                ask.is_some_and(|ask| ask(range.into()))
            }
        }
    };
}

subscriber!(Ranged, OwnPageTables, it => it.0.callbacks);
subscriber!(Refusing, OwnPageTables, it => it.0.callbacks);
subscriber!(SecondaryTlb, SharedPageTables, it => it.0);

impl RangeSubscriber for Ranged {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        // It never refuses: `member` has seen to that.
        let _never = self.0.start(event);
    }

    fn invalidate_range_end(&self, event: &RangeEvent) {
        self.0.end(event);
    }
}

impl RefusingSubscriber for Refusing {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        let _never = self.0.start(event);
    }

    fn try_invalidate_range_start(&self, event: &RangeEvent) -> Result<(), contract::Again> {
        self.0.start(event)
    }
}

impl SecondaryTlbSubscriber for SecondaryTlb {
    fn invalidate_secondary_tlb(&self, range: AddrRange<Gva>) {
        if let Some(tell) = &self.0.secondary_tlb {
            tell(range.into());
        }
    }
}
