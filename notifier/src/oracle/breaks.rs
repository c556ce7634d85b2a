//! Break-before-make: changes of a live page that hardware need not survive.

use std::collections::BTreeSet;

use super::chain::Evidence;
use super::judge::{Seen, State};
use super::{Detail, ViolationKind};
use crate::addr::{AddrRange, Iova};
use crate::contract::Step;
use crate::paging::vmsa::BreakReason;
use crate::paging::{Change, Leaf};
use crate::secondary::{CacheId, Cached, Fit, Held, Scope};

/// How many broken pages, how many caches, and how many commands without a CMD_SYNC are followed.
const FOLLOWED: usize = 1 << 8;

/// Why a page may not be changed so while it is live, if it may not.
pub type BreakRule = fn(&Change) -> Option<BreakReason>;

/// What the rule is held against.
#[derive(Debug, Default)]
pub(super) struct Breaks {
    rule: Option<BreakRule>,
    /// The TLBs that were ever filled from this page table.
    caches: BTreeSet<CacheId>,
    broken: Vec<Broken>,
    /// Commands whose completion is outstanding.
    carried_out: Vec<(Step, Scope)>,
    /// There were more than that.
    lost_count: bool,
}

/// A page that was unmapped, and the TLBs that may have it still.
#[derive(Debug)]
struct Broken {
    step: Step,
    range: AddrRange<Iova>,
    leaf: Leaf,
    owed: BTreeSet<CacheId>,
}

impl Broken {
    fn held(&self, cache: CacheId) -> Held {
        let page = AddrRange::page(self.range.start(), self.leaf.size);
        let (leaf, filled) = (self.leaf, self.step);
        Held::page(cache, &Cached { page, leaf, filled })
    }
}

impl Breaks {
    pub(super) fn set_rule(&mut self, rule: BreakRule) {
        self.rule = Some(rule);
    }

    /// This cache keeps a page.
    pub(super) fn filled(&mut self, cache: CacheId) {
        let is_tlb = !matches!(cache, CacheId::Atc(_) | CacheId::Shadow);
        if self.rule.is_some() && is_tlb && self.caches.len() < FOLLOWED {
            self.caches.insert(cache);
        }
    }

    pub(super) fn carried_out(&mut self, step: Step, scope: &Scope) {
        if self.broken.is_empty() {
            return;
        }
        if self.carried_out.len() < FOLLOWED {
            self.carried_out.push((step, *scope));
        } else {
            self.lost_count = true;
        }
    }

    pub(super) fn synced(&mut self) {
        let commands = std::mem::take(&mut self.carried_out);
        if std::mem::take(&mut self.lost_count) {
            self.broken.clear();
        }
        for broken in &mut self.broken {
            let mut owed = std::mem::take(&mut broken.owed);
            owed.retain(|cache| {
                let held = broken.held(*cache);
                let took = |(step, scope): &(Step, Scope)| {
                    broken.step < *step && scope.fit(&held) == Fit::Covers
                };
                !commands.iter().any(took)
            });
            broken.owed = owed;
        }
        self.forget_invalidated();
    }

    pub(super) fn invalidated(&mut self, cache: CacheId, range: AddrRange<Iova>) {
        for broken in &mut self.broken {
            if broken.range.overlaps(range) {
                broken.owed.remove(&cache);
            }
        }
        self.forget_invalidated();
    }

    fn forget_invalidated(&mut self) {
        self.broken.retain(|broken| !broken.owed.is_empty());
    }

    /// Takes note of an unmap. The oldest goes if there are too many.
    fn unmapped(&mut self, step: Step, range: AddrRange<Iova>, leaf: Leaf) {
        if self.caches.is_empty() {
            return;
        }
        if self.broken.len() == FOLLOWED {
            self.broken.remove(0);
        }
        let owed = self.caches.clone();
        self.broken.push(Broken {
            step,
            range,
            leaf,
            owed,
        });
    }

    /// The first page under `change`, which maps something, that some TLB may have still and that
    /// what is mapped can't be beside.
    fn in_the_way(&mut self, change: &Change) -> Option<(BreakReason, Broken)> {
        let rule = self.rule?;
        let range = change.range.map(Iova::shared);
        let all = std::mem::take(&mut self.broken).into_iter();
        let (over, rest): (Vec<_>, _) = all.partition(|broken| broken.range.overlaps(range));
        self.broken = rest;
        over.into_iter().find_map(|broken| {
            let start = broken.range.start().max(range.start());
            let both = AddrRange::through(start, broken.range.last().min(range.last())).ok()?;
            let both = both.map(Iova::to_gva);
            let change = Change::between(both, Some(broken.leaf), change.new)?;
            Some((rule(&change)?, broken))
        })
    }
}

impl State {
    /// `change` was announced at `step` and is made now.
    pub(super) fn judge_break(&mut self, step: Step, change: &Change) {
        let Some(rule) = self.breaks.rule else {
            return;
        };
        match (change.old, change.new) {
            (Some(_), Some(_)) => {
                if let Some(reason) = rule(change) {
                    self.misuse(None, Evidence::Change(step, *change), reason);
                }
            }
            (Some(old), None) => {
                let range = change.range.map(Iova::shared);
                self.breaks.unmapped(step, range, old);
            }
            (None, Some(_)) => {
                if let Some((reason, broken)) = self.breaks.in_the_way(change) {
                    self.unfinished_break((step, *change), reason, &broken);
                }
            }
            (None, None) => {}
        }
    }

    fn unfinished_break(&mut self, make: (Step, Change), reason: BreakReason, it: &Broken) {
        let cache = it.owed.first().copied();
        let Some(held) = cache.map(|cache| it.held(cache)) else {
            return;
        };
        let broken = it.step;
        let evidence = Evidence::Break { broken, make, held };
        self.misuse(cache, evidence, reason);
    }

    fn misuse(&mut self, cache: Option<CacheId>, evidence: Evidence, reason: BreakReason) {
        let Some((step, change)) = evidence.change() else {
            return;
        };
        let seen = Seen::change(step, cache, Iova::shared(change.range.start()));
        let detail = Some(Detail::Break(reason));
        self.violation_by(ViolationKind::BreakBeforeMake, seen, evidence, detail);
    }
}
