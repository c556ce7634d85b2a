//! Notifications that go wrong on purpose: a test that has never failed proves nothing.
//!
//! A [`Faulty`] stands between an address space and a subscriber. Its [`Plan`] says which
//! notifications it drops, delays, shortens, widens, duplicates, reorders or mis-tags; the same
//! plan, seed and notifications always give the same faults. What it did is on record afterwards
//! ([`Faulty::injected`]), so that a test can tell a fault that did no harm from one that never
//! happened.
//!
//! ```
//! use std::sync::Arc;
//! use notifier::addr::AddrRange;
//! use notifier::contract::SecondaryTlbSubscriber;
//! use notifier::contract::faults::{Fault, Faulty, Kind, Plan, When};
//! use notifier::secondary::recorder::TlbRecorder;
//!
//! let tlb = Arc::new(TlbRecorder::default());
//! let plan = Plan::new(1).inject(Kind::SecondaryTlb, When::Nth(2), Fault::Drop);
//! let faulty = Faulty::new(tlb.clone(), plan);
//! for _ in 0..3 {
//!     faulty.invalidate_secondary_tlb(AddrRange::all());
//! }
//! assert_eq!(tlb.log().calls().len(), 2);
//! assert_eq!(faulty.injected()[0].occurrence, 2);
//! ```

mod faulty;
mod injector;
mod notification;
mod plan;
#[cfg(test)]
mod tests;

pub use faulty::{Deliver, Faulty};
pub use injector::Injected;
pub use notification::{Kind, Notification};
pub use plan::{Fault, MisTag, Plan, Until, When};
