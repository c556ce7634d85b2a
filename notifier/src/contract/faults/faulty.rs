//! The decorator.

use std::sync::{Arc, Mutex};

use super::injector::{Delivery, Injector, To};
use super::{Injected, Notification, Plan};
use crate::addr::{AddrRange, Gva};
use crate::contract::{
    OwnPageTables, RangeEvent, RangeSubscriber, SecondaryTlbSubscriber, SharedPageTables,
    Subscriber,
};
use crate::sync::lock;

/// A subscriber whose notifications go wrong as planned. It is of the family of `S`. Release and the
/// aging callbacks always arrive as they are.
///
/// What is kept back is delivered by whatever thread brings the next notification, or flushes;
/// never on drop.
pub struct Faulty<S> {
    subscriber: Arc<S>,
    other: Option<Arc<S>>,
    injector: Mutex<Injector>,
}

impl<S> Faulty<S> {
    /// `subscriber`, with what `plan` has in store for it.
    pub fn new(subscriber: Arc<S>, plan: Plan) -> Self {
        let injector = Mutex::new(Injector::new(plan));
        Self {
            subscriber,
            other: None,
            injector,
        }
    }

    /// The same, beside the subscriber of another address space, which gets what is addressed
    /// wrongly.
    #[must_use]
    pub fn beside(mut self, other: Arc<S>) -> Self {
        lock(&self.injector).expect_other();
        self.other = Some(other);
        self
    }

    /// What went wrong so far, oldest first.
    pub fn injected(&self) -> Vec<Injected> {
        lock(&self.injector).injected().to_vec()
    }

    /// What is to be delivered in place of `notification`. The lock is not held while it is: a
    /// subscriber may take its time.
    fn instead_of(&self, notification: Notification) -> Vec<Delivery> {
        lock(&self.injector).deliver(notification)
    }

    fn addressee(&self, to: To) -> &S {
        match (to, &self.other) {
            (To::Other, Some(other)) => other,
            _ => &self.subscriber,
        }
    }
}

impl<S: Subscriber> Faulty<S>
where
    S::Family: Deliver<S>,
{
    /// Delivers what is kept back.
    pub fn flush(&self) {
        let held = lock(&self.injector).flush();
        self.make(&held);
    }

    fn notify(&self, notification: Notification) {
        let instead = self.instead_of(notification);
        self.make(&instead);
    }

    fn make(&self, deliveries: &[Delivery]) {
        for (to, notification) in deliveries {
            S::Family::deliver(self.addressee(*to), notification);
        }
    }
}

/// How the subscribers of a family get a notification. Only families implement it.
pub trait Deliver<S> {
    /// Calls what the notification is for.
    fn deliver(subscriber: &S, notification: &Notification);
}

impl<S: RangeSubscriber> Deliver<S> for OwnPageTables {
    fn deliver(subscriber: &S, notification: &Notification) {
        match notification {
            Notification::RangeStart(event) => subscriber.invalidate_range_start(event),
            Notification::RangeEnd(event) => subscriber.invalidate_range_end(event),
            // Nobody sends it to this family.
            Notification::SecondaryTlb(_) => {}
        }
    }
}

impl<S: SecondaryTlbSubscriber> Deliver<S> for SharedPageTables {
    fn deliver(subscriber: &S, notification: &Notification) {
        match notification {
            Notification::SecondaryTlb(range) => subscriber.invalidate_secondary_tlb(*range),
            // Nobody sends them to this family.
            Notification::RangeStart(_) | Notification::RangeEnd(_) => {}
        }
    }
}

impl<S: Subscriber> Subscriber for Faulty<S> {
    type Family = S::Family;

    fn release(&self) {
        self.subscriber.release();
    }

    fn clear_flush_young(&self, range: AddrRange<Gva>) -> bool {
        self.subscriber.clear_flush_young(range)
    }

    fn clear_young(&self, range: AddrRange<Gva>) -> bool {
        self.subscriber.clear_young(range)
    }

    fn test_young(&self, range: AddrRange<Gva>) -> bool {
        self.subscriber.test_young(range)
    }
}

impl<S: RangeSubscriber> RangeSubscriber for Faulty<S> {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        self.notify(Notification::RangeStart(*event));
    }

    fn invalidate_range_end(&self, event: &RangeEvent) {
        self.notify(Notification::RangeEnd(*event));
    }
}

impl<S: SecondaryTlbSubscriber> SecondaryTlbSubscriber for Faulty<S> {
    fn invalidate_secondary_tlb(&self, range: AddrRange<Gva>) {
        self.notify(Notification::SecondaryTlb(range));
    }
}
