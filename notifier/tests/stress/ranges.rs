//! Subscribers with page tables of their own.

use std::sync::Arc;

use notifier::addr::{AddrRange, Gva};
use notifier::contract::{
    Again, Blocking, OwnPageTables, RangeEvent, RangeSubscriber, RefusingSubscriber, Subscriber,
};

use crate::mirror::{Mirror, sleep_if_allowed};
use crate::record::{RELEASE, Record};
use crate::{check, delivered, jitter};

/// Follows everything.
pub(crate) struct Ranges(pub(crate) Mirror);

impl Subscriber for Ranges {
    type Family = OwnPageTables;

    fn release(&self) {
        self.0.release();
    }

    fn clear_flush_young(&self, _: AddrRange<Gva>) -> bool {
        self.0.age()
    }

    fn clear_young(&self, _: AddrRange<Gva>) -> bool {
        self.0.age()
    }

    fn test_young(&self, _: AddrRange<Gva>) -> bool {
        self.0.age()
    }
}

impl RangeSubscriber for Ranges {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        self.0.start(event);
    }

    fn invalidate_range_end(&self, event: &RangeEvent) {
        self.0.end(event);
    }
}

/// Refuses one start in four that must not sleep. It has no ends, so it copies nothing.
pub(crate) struct Refuser(pub(crate) Arc<Record>);

impl Subscriber for Refuser {
    type Family = OwnPageTables;

    fn release(&self) {
        let _call = self.0.call(RELEASE);
        self.0.release();
    }
}

impl RefusingSubscriber for Refuser {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        let _call = self.0.call("a start");
        delivered::check_early(&self.0);
        let allowed = event.blocking == Blocking::Allowed;
        check!(
            allowed,
            "{} can't refuse a start that must not sleep",
            self.0.name
        );
        sleep_if_allowed(event);
    }

    fn try_invalidate_range_start(&self, event: &RangeEvent) -> Result<(), Again> {
        let _call = self.0.call("a start that may be refused");
        delivered::check_early(&self.0);
        let forbidden = event.blocking == Blocking::Forbidden;
        check!(
            forbidden,
            "{} may refuse a start that may sleep",
            self.0.name
        );
        if jitter::one_in(4) {
            Err(Again)
        } else {
            Ok(())
        }
    }
}
