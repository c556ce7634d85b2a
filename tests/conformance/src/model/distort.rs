//! What a faulty implementation makes of a change before it passes it on.

use notifier::addr::Gva;

use super::Space;
use crate::faulty::RangeFault;
use crate::subject::{Bounds, Change, Event, OwnerId};

impl Space {
    /// The change as a faulty implementation passes it on.
    pub(super) fn distorted(&self, mut change: Change) -> Change {
        change.bounds = self.distorted_bounds(change.bounds);
        change.event = match change.event {
            Event::Migrate(_) if self.has(RangeFault::OwnersAlike) => Event::Migrate(OwnerId(0)),
            Event::Exclusive(_) if self.has(RangeFault::OwnersAlike) => {
                Event::Exclusive(OwnerId(0))
            }
            _ if self.has(RangeFault::EventLost) => Event::Clear,
            event => event,
        };
        change
    }

    pub(super) fn distorted_bounds(&self, bounds: Bounds) -> Bounds {
        let Bounds { start, end } = bounds;
        let whole = bounds == Bounds::ALL;
        if self.has(RangeFault::EndInclusive) && !whole {
            return Bounds::new(start, Gva::new(end.raw() - 1));
        }
        if self.has(RangeFault::WholeOverflows) {
            return Bounds::new(start, Gva::new(end.raw().wrapping_add(1) & !0xfff));
        }
        bounds
    }
}
