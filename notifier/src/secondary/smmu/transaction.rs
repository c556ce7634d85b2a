//! Accesses: from what a device asks for to where it goes, and when it has ended.

use std::sync::atomic::Ordering;

use super::flight::{Listed, Open};
use super::model::count;
use super::regime::Regime;
use super::streams::Route;
use super::walker::{Refused, Stage};
use super::{Ats, Deny, Requester, Smmu};
use crate::addr::{Access, AddrRange, Address, Gpa, Iova, PageSize};
use crate::secondary::cache::SpaceKey;
use crate::secondary::{Cached, Denial, Fault, FaultKind};

/// With [`Deny::Random`], one access in this many finds that its entry was evicted.
const EVICTED_OF: u32 = 4;

/// An access that was translated and allowed, and has not ended: an invalidation of what it uses
/// does not complete as long as this is there.
#[derive(Debug)]
#[must_use = "an access that ends at once holds nothing open"]
pub struct Transaction {
    target: Gpa,
    _listed: Listed,
}

impl Transaction {
    /// The guest-physical address of the first byte.
    pub fn target(&self) -> Gpa {
        self.target
    }

    /// The access has been made, and everybody can see that. The same as dropping it.
    pub fn end(self) {}
}

/// What an access was let through by.
struct Way {
    target: Gpa,
    space: Option<SpaceKey>,
    page: AddrRange<Iova>,
}

impl Smmu {
    /// Translates one access and, if it is allowed, makes it: `body` gets the guest-physical
    /// address of the first byte. The access must not cross a page of 4 KiB.
    ///
    /// An invalidation of what the access uses does not complete before `body` returns (`IHI0070`
    /// 3.21.1), so `body` must not wait for one.
    ///
    /// # Errors
    /// [`Fault`] if the access is refused; `body` was not called.
    pub fn access<R>(
        &self,
        from: impl Into<Requester>,
        iova: Iova,
        access: Access,
        body: impl FnOnce(Gpa) -> R,
    ) -> Result<R, Fault> {
        let _short = self.flight.enter();
        let way = self.translate(from.into(), iova, access)?;
        Ok(body(way.target))
    }

    /// A transfer of any length: accesses in order of address, none of which crosses a page of 4 KiB.
    /// They are made in bursts: `body` gets the guest-physical addresses of neighbours that lead to
    /// neighbours at once, 64 KiB of them at most. All of the transfer's accesses are under way until
    /// its last has ended.
    ///
    /// The inner result is `body`'s: its first error ends the transfer.
    ///
    /// # Errors
    /// [`Fault`] of the first access that is refused. Those before it have been made: up to
    /// [`Fault::iova`], which is not among them.
    pub fn transfer<E>(
        &self,
        from: impl Into<Requester>,
        range: AddrRange<Iova>,
        access: Access,
        mut body: impl FnMut(AddrRange<Gpa>) -> Result<(), E>,
    ) -> Result<Result<(), E>, Fault> {
        let from = from.into();
        let _short = self.flight.enter();
        let mut accesses = 0;
        let done = self.configured(from, range.start(), access, |route| {
            let mut burst = Burst::default();
            for part in in_pages(range) {
                accesses += 1;
                let way = self.way(from, route, part.start(), access);
                let next = way.as_ref().ok().and_then(|way| moved(part, way.target));
                let made = burst.add(next).map_or(Ok(()), &mut body);
                if let Err(error) = made {
                    return Ok(Err(error));
                }
                way?;
            }
            Ok(burst.add(None).map_or(Ok(()), &mut body))
        });
        // The first of them is counted as having begun.
        let more = u64::saturating_sub(accesses, 1);
        self.counters.bursts.fetch_add(more, Ordering::Relaxed);
        done
    }

    /// The same for an access that is not over when this returns.
    ///
    /// # Errors
    /// [`Fault`] if the access is refused.
    pub fn begin(
        &self,
        from: impl Into<Requester>,
        iova: Iova,
        access: Access,
    ) -> Result<Transaction, Fault> {
        let from = from.into();
        let _short = self.flight.enter();
        let way = self.translate(from, iova, access)?;
        let open = Open {
            from,
            space: way.space,
            page: way.page,
        };
        Ok(Transaction {
            target: way.target,
            _listed: self.flight.hold(open),
        })
    }

    /// An ATS translation request for `access` (a read: with the no-write flag), which is not made
    /// here. What is granted may be less than what was asked for; then the observer is told that
    /// `access` is denied. A request that fails leaves no record (`IHI0070` 13.7).
    ///
    /// # Errors
    /// [`Fault`] if there is no translation, or the device may not ask.
    pub fn grant(
        &self,
        from: impl Into<Requester>,
        iova: Iova,
        access: Access,
    ) -> Result<Cached, Fault> {
        let _short = self.flight.enter();
        let from = from.into();
        self.configured(from, iova, access, |route| match route {
            Route::Translate(regime) if regime.ats && self.knobs.ats == Ats::On => {
                self.granted(regime, iova, access)
            }
            Route::Translate(_) | Route::Bypass => {
                self.bad_ats_request(from, iova);
                Err(self.untranslated(iova, access))
            }
            Route::Abort => Err(self.untranslated(iova, access)),
        })
    }

    fn granted(&self, regime: &Regime, iova: Iova, access: Access) -> Result<Cached, Fault> {
        let iova = regime.untagged(iova);
        let found = self.entry(regime, iova, access);
        let entry = found.map_err(|refused| self.denied(regime, iova, access, &refused))?;
        if !entry.leaf.permissions.allow(access) {
            let denial = Denial::Entry(entry);
            self.observer.denied(regime.cache, iova, access, &denial);
        }
        Ok(regime.grantable(entry, access))
    }

    fn untranslated(&self, iova: Iova, access: Access) -> Fault {
        count(&self.counters.untranslated);
        Fault::new(FaultKind::Aborted, iova, access)
    }

    fn translate(&self, from: Requester, iova: Iova, access: Access) -> Result<Way, Fault> {
        self.configured(from, iova, access, |route| {
            self.way(from, route, iova, access)
        })
    }

    fn way(
        &self,
        from: Requester,
        route: &Route,
        iova: Iova,
        access: Access,
    ) -> Result<Way, Fault> {
        match route {
            Route::Translate(regime) => self.by_regime(from, regime, iova, access),
            Route::Bypass => Ok(self.bypass(iova)),
            Route::Abort => Err(self.untranslated(iova, access)),
        }
    }

    fn bypass(&self, iova: Iova) -> Way {
        count(&self.counters.untranslated);
        Way {
            target: Gpa::new(iova.raw()),
            space: None,
            page: AddrRange::page(iova, PageSize::K4),
        }
    }

    fn by_regime(
        &self,
        from: Requester,
        regime: &Regime,
        iova: Iova,
        access: Access,
    ) -> Result<Way, Fault> {
        let address = regime.untagged(iova);
        let found = self.entry(regime, address, access);
        let allowed = found.and_then(|entry| {
            let allows = entry.leaf.permissions.allow(access);
            allows
                .then_some(entry)
                .ok_or_else(|| Refused::by(entry, access))
        });
        let entry = allowed.map_err(|refused| {
            let fault = self.denied(regime, address, access, &refused);
            let fault = Fault { iova, ..fault };
            let unknown = refused.stage == Stage::Two && refused.ipa.is_none();
            let ipa = if unknown {
                Some(self.ipa_of(regime, address))
            } else {
                refused.ipa
            };
            self.report(from, regime, fault, &Refused { ipa, ..refused })
        })?;
        self.observer.used(regime.cache, address, access, &entry);
        Ok(Way {
            target: entry.leaf.translate(address),
            space: Some(regime.space_of(&entry).key()),
            page: regime.whole(&entry),
        })
    }

    fn denied(&self, regime: &Regime, iova: Iova, access: Access, refused: &Refused) -> Fault {
        let cache = regime.cache;
        self.observer.denied(cache, iova, access, &refused.denial);
        Fault::new(refused.kind, iova, access)
    }

    /// The entry for an access, which may not allow it: from the TLB, else from the tables.
    fn entry(&self, regime: &Regime, iova: Iova, access: Access) -> Result<Cached, Refused> {
        let held = self.tlb.lookup(&regime.own, regime.global.as_deref(), iova);
        let stays = |entry: &Cached| !self.walks_again(regime, iova, access, entry);
        if let Some(entry) = held.filter(stays) {
            self.note_use(regime.space_of(&entry), &entry);
            return Ok(entry);
        }
        count(&self.counters.misses);
        self.fill(regime, iova, access)
    }

    /// Whether the tables are walked although `entry` is in the TLB.
    fn walks_again(&self, regime: &Regime, iova: Iova, access: Access, entry: &Cached) -> bool {
        let evicted = match self.knobs.deny {
            Deny::Keep => false,
            Deny::Walk => !entry.leaf.permissions.allow(access),
            Deny::Random => self.evicts(),
        };
        if evicted {
            self.tlb.evict(&regime.own, iova);
            if let Some(all) = &regime.global {
                self.tlb.evict(all, iova);
            }
        }
        evicted || regime.may_be_marked(&entry.leaf, access)
    }

    /// By a generator with a fixed seed, so that the same accesses in the same order find the same.
    fn evicts(&self) -> bool {
        crate::sync::lock(&self.evictions).u32(..EVICTED_OF) == 0
    }
}

/// The parts of a transfer, none of which crosses a page.
fn in_pages(range: AddrRange<Iova>) -> impl Iterator<Item = AddrRange<Iova>> {
    let mut next = Some(range.start());
    std::iter::from_fn(move || {
        let start = next?;
        let page = AddrRange::page(start, PageSize::K4);
        let last = page.last().min(range.last());
        next = last.checked_add(1).filter(|_| last < range.last());
        AddrRange::through(start, last).ok()
    })
}

/// The same part where it leads; a page of memory has no end of the address space in it.
fn moved(part: AddrRange<Iova>, target: Gpa) -> Option<AddrRange<Gpa>> {
    AddrRange::from_length(target, part.length()?).ok()
}

/// Accesses that are made at once.
#[derive(Default)]
struct Burst(Option<AddrRange<Gpa>>);

impl Burst {
    /// The most that is made at once.
    const BYTES: u64 = 64 << 10;

    /// Adds the next one, or with `None` says that there is none. Returns what is to be made before
    /// that.
    fn add(&mut self, next: Option<AddrRange<Gpa>>) -> Option<AddrRange<Gpa>> {
        let longer = self.0.zip(next).and_then(|(held, next)| joined(held, next));
        if longer.is_some() {
            self.0 = longer;
            return None;
        }
        std::mem::replace(&mut self.0, next)
    }
}

/// Both as one, if the second follows the first and they are not too much together.
fn joined(first: AddrRange<Gpa>, second: AddrRange<Gpa>) -> Option<AddrRange<Gpa>> {
    let follows = first.last().checked_add(1) == Some(second.start());
    let both = first.hull(second);
    (follows && both.length()? <= Burst::BYTES).then_some(both)
}
