//! The shadow MMU's side of the notifier contract.

use super::{Relevance, Shadow};
use crate::addr::{AddrRange, Gva, Iova};
use crate::contract::{OwnPageTables, RangeEvent, RangeSubscriber, Subscriber};
use crate::secondary::{CacheId, Cached};
use crate::sync::lock;

impl Shadow {
    /// An invalidation of `range` starts: its entries go, and no new one is made until its end.
    pub fn start(&self, range: AddrRange<Gva>) {
        let mut state = lock(&self.state);
        let relevance = state.relevance(range);
        state.gate.start(range, relevance);
        if relevance == Relevance::Mapped {
            let zapped = state.pages.zap(range.map(Iova::shared));
            state.counts.zapped += zapped.len() as u64;
            self.report(&zapped);
        }
        self.observer
            .invalidated(CacheId::Shadow, range.map(Iova::shared));
    }

    /// It ends. One that has not started is counted and changes nothing.
    pub fn end(&self, range: AddrRange<Gva>) {
        let mut state = lock(&self.state);
        let relevance = state.relevance(range);
        if state.gate.end(relevance).is_err() {
            state.counts.unbalanced_ends += 1;
        }
        if state.gate.is_idle() {
            self.idle.notify_all();
        }
    }

    /// The address space goes away: every entry goes, and none is made any more. Once, twice or
    /// beside another callback makes no difference.
    pub fn release(&self) {
        let mut state = lock(&self.state);
        state.released = true;
        let zapped = state.pages.zap(AddrRange::all());
        state.counts.zapped += zapped.len() as u64;
        self.report(&zapped);
        self.observer.invalidated(CacheId::Shadow, AddrRange::all());
    }

    /// To be called when the subscriber is unregistered, after which no end comes: whoever waits
    /// for one is let go. Returns how many starts had no end.
    pub fn unregistered(&self) -> u64 {
        let dangling = lock(&self.state).gate.heal();
        self.idle.notify_all();
        dangling
    }

    /// Whether an entry of `range` was used since somebody last cleared that. Clears it.
    pub fn clear_young(&self, range: AddrRange<Gva>) -> bool {
        lock(&self.state).pages.clear_young(range.map(Iova::shared))
    }

    /// The same: every access looks at the entry itself, since there is no TLB in front of it that
    /// would have to be flushed for the next access to be seen.
    pub fn clear_flush_young(&self, range: AddrRange<Gva>) -> bool {
        self.clear_young(range)
    }

    /// Whether an entry of `range` was used since somebody last cleared that. Clears nothing.
    pub fn test_young(&self, range: AddrRange<Gva>) -> bool {
        lock(&self.state).pages.is_young(range.map(Iova::shared))
    }

    pub(super) fn report(&self, zapped: &[Cached]) {
        for entry in zapped {
            self.observer.dropped(CacheId::Shadow, entry);
        }
    }
}

impl Subscriber for Shadow {
    type Family = OwnPageTables;

    fn release(&self) {
        Shadow::release(self);
    }

    fn clear_flush_young(&self, range: AddrRange<Gva>) -> bool {
        Shadow::clear_flush_young(self, range)
    }

    fn clear_young(&self, range: AddrRange<Gva>) -> bool {
        Shadow::clear_young(self, range)
    }

    fn test_young(&self, range: AddrRange<Gva>) -> bool {
        Shadow::test_young(self, range)
    }
}

impl RangeSubscriber for Shadow {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        self.start(event.range);
    }

    fn invalidate_range_end(&self, event: &RangeEvent) {
        self.end(event.range);
    }
}
