//! Deciding: from a notification to what is delivered instead.

use fastrand::Rng;

use super::plan::Rule;
use super::{Fault, Kind, MisTag, Notification, Plan, Until, When};

/// A fault that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected {
    /// What happened.
    pub fault: Fault,
    /// To which one of its kind; the first is 1.
    pub occurrence: u64,
    /// The notification as it was meant.
    pub notification: Notification,
}

/// Who gets a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// Whom it is for.
    Subscriber,
    /// The subscriber of another address space.
    Other,
}

/// What is delivered, and to whom.
pub(super) type Delivery = (To, Notification);

/// A notification that is kept back, and where it goes once the next one comes.
#[derive(Clone, Copy, Debug)]
struct Held {
    notification: Notification,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    BeforeNext,
    AfterNext,
    AtFlush,
}

/// Carries out a plan.
#[derive(Debug)]
pub(super) struct Injector {
    rules: Vec<Rule>,
    rng: Rng,
    has_other: bool,
    /// How many there were of each kind.
    seen: [u64; 3],
    held: Vec<Held>,
    injected: Vec<Injected>,
}

impl Injector {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            rules: plan.rules,
            rng: Rng::with_seed(plan.seed),
            has_other: false,
            seen: [0; 3],
            held: Vec::new(),
            injected: Vec::new(),
        }
    }

    /// From now on a notification can go to the wrong address space.
    pub(super) fn expect_other(&mut self) {
        self.has_other = true;
    }

    /// What happened so far, oldest first.
    pub(super) fn injected(&self) -> &[Injected] {
        &self.injected
    }

    /// What to deliver now that `notification` is due, in order.
    pub(super) fn deliver(&mut self, notification: Notification) -> Vec<Delivery> {
        let occurrence = self.count(notification.kind());
        let mut deliveries = self.take(Place::BeforeNext);
        let after = self.take(Place::AfterNext);
        let rules = self.rules.clone();
        let applied = rules.iter().find_map(|rule| {
            let meant = rule.kind == notification.kind() && self.is_time(rule.when, occurrence);
            let instead = meant.then(|| self.apply(rule.fault, notification))??;
            Some((rule.fault, instead))
        });
        match applied {
            Some((fault, instead)) => {
                deliveries.extend(instead);
                self.injected.push(Injected {
                    fault,
                    occurrence,
                    notification,
                });
            }
            None => deliveries.push((To::Subscriber, notification)),
        }
        deliveries.extend(after);
        deliveries
    }

    /// Everything that is kept back, oldest first.
    pub(super) fn flush(&mut self) -> Vec<Delivery> {
        let held = std::mem::take(&mut self.held);
        held.iter()
            .map(|it| (To::Subscriber, it.notification))
            .collect()
    }

    /// The number of this one among those of its kind.
    fn count(&mut self, kind: Kind) -> u64 {
        let seen = &mut self.seen[kind as usize];
        *seen += 1;
        *seen
    }

    fn is_time(&mut self, when: When, occurrence: u64) -> bool {
        match when {
            When::Nth(n) => n == occurrence,
            When::Always => true,
            When::OneIn(n) => self.rng.u32(..n.get()) == 0,
        }
    }

    /// What is delivered instead; `None` if the fault can't happen to this notification.
    fn apply(&mut self, fault: Fault, it: Notification) -> Option<Vec<Delivery>> {
        let one = |it| vec![(To::Subscriber, it)];
        match fault {
            Fault::Drop => Some(Vec::new()),
            Fault::Delay(Until::Next) => Some(self.hold(it, Place::BeforeNext)),
            Fault::Delay(Until::Flush) => Some(self.hold(it, Place::AtFlush)),
            Fault::Reorder => Some(self.hold(it, Place::AfterNext)),
            Fault::Shorten(pages) => it.shortened(pages).map(one),
            Fault::Widen(pages) => it.widened(pages).map(one),
            Fault::Duplicate => Some(vec![(To::Subscriber, it); 2]),
            Fault::MisTag(MisTag::AddressSpace) => self.has_other.then(|| vec![(To::Other, it)]),
            Fault::MisTag(label) => it.mis_tagged(label).map(one),
        }
    }

    fn hold(&mut self, notification: Notification, place: Place) -> Vec<Delivery> {
        self.held.push(Held {
            notification,
            place,
        });
        Vec::new()
    }

    fn take(&mut self, place: Place) -> Vec<Delivery> {
        let due = self.held.extract_if(.., |held| held.place == place);
        due.map(|held| (To::Subscriber, held.notification))
            .collect()
    }
}
