//! Judging: what every entry is, and what each use and refusal of one amounts to.

use std::collections::BTreeMap;
use std::time::Instant;

use super::breaks::Breaks;
use super::chain::{Evidence, chain};
use super::configuration::Relied;
use super::history::{Fact, History, Moment, Record};
use super::map::LeafMap;
use super::rule::{owed, trespass};
use super::tables::Tables;
use super::under_way::UnderWay;
use super::waste::{Taken, Waste};
use super::{
    Chain, Detail, DirtyManagement, Findings, JudgedFault, Judgement, Untracked, Violation,
    ViolationKind,
};
use crate::addr::{Access, AddrRange, Gva, Iova};
use crate::contract::Step;
use crate::paging::Leaf;
use crate::secondary::{CacheId, Cached, Denial, Fault, FaultKind, Held, Scope};

/// How many findings of one kind are kept; what comes after is only counted. A guest decides how
/// many there are, so they are bounded.
const FINDINGS: usize = 1 << 10;

/// What the oracle knows.
#[derive(Default)]
pub(super) struct State {
    /// What the page table says. Follows it under the page-table lock, so that changes of one entry
    /// arrive here in the order in which they were made.
    pub(super) current: LeafMap,
    pub(super) under_way: UnderWay,
    pub(super) tables: Tables,
    pub(super) relied: Relied,
    pub(super) breaks: Breaks,
    pub(super) dirty: DirtyManagement,
    history: History,
    findings: Findings,
    /// By which each violation in `findings` is explained.
    evidence: Vec<Evidence>,
    waste: Waste,
    /// What each cache refused last, and how that was judged.
    refused: BTreeMap<CacheId, (Iova, Access, Judgement)>,
}

/// What shows a violation.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    step: Step,
    cache: Option<CacheId>,
    iova: Iova,
    access: Option<Access>,
    /// How often it was seen.
    times: u64,
}

impl Seen {
    pub(super) fn once(step: Step, cache: CacheId, iova: Iova, access: Access) -> Self {
        Self {
            access: Some(access),
            ..Self::walk(step, cache, iova)
        }
    }

    pub(super) fn walk(step: Step, cache: CacheId, iova: Iova) -> Self {
        Self::change(step, Some(cache), iova)
    }

    pub(super) fn change(step: Step, cache: Option<CacheId>, iova: Iova) -> Self {
        Self {
            step,
            cache,
            iova,
            access: None,
            times: 1,
        }
    }
}

impl State {
    /// Puts a fact on record.
    pub(super) fn note(&mut self, fact: Fact) -> Step {
        self.history.add(fact)
    }

    /// The step of the fact that comes next.
    pub(super) fn next_step(&self) -> Step {
        Step(self.history.now().0 + 1)
    }

    /// The facts that are still on record, oldest first.
    pub(super) fn records(&self) -> Vec<Record> {
        self.history.since(Step(0)).copied().collect()
    }

    pub(super) fn keep_time(&mut self, since: Instant) {
        self.history.keep_time(since);
    }

    /// The same that have a time, with it.
    pub(super) fn timed_records(&self) -> Vec<(Record, Moment)> {
        self.history.timed()
    }

    /// Everything found so far.
    pub(super) fn findings(&mut self) -> Findings {
        self.judge_waste();
        let mut findings = self.findings.clone();
        for (violation, evidence) in findings.violations.iter_mut().zip(&self.evidence) {
            violation.chain = chain(&self.history, violation, evidence);
        }
        findings.needless_drops = self.waste.needless();
        findings.redundant = self.waste.redundant();
        findings.not_kept += self.waste.not_judged;
        findings
    }

    pub(super) fn begin(&mut self, range: AddrRange<Gva>, leaf: Leaf) {
        self.current.set(range, Some(leaf));
    }

    /// Whether a walk that began at `began` may have found `leaf`.
    fn may_find(&self, address: Gva, leaf: Option<Leaf>, began: Step) -> bool {
        let replaced_since = || {
            self.history.since(began).any(|record| match record.fact {
                Fact::Changing(change) => {
                    change.range.contains(address) && same(address, change.old, leaf)
                }
                Fact::Updated(iova, _, before) => {
                    AddrRange::page(iova.to_gva(), before.size).contains(address)
                        && same(address, Some(before), leaf)
                }
                // What it found in a table that is gone says nothing of the page table.
                Fact::TableUsed(_, _, table) => table.range.contains(Iova::shared(address)),
                _ => false,
            })
        };
        same(address, self.current.get(address), leaf)
            || self.under_way.has(address, leaf)
            || replaced_since()
    }

    pub(super) fn found(&mut self, iova: Iova, leaf: Option<Leaf>, began: Step) {
        if self.may_find(iova.to_gva(), leaf, began) {
            return;
        }
        let untracked = Untracked {
            step: self.history.now(),
            iova,
            found: leaf,
            reported: self.current.get(iova.to_gva()),
        };
        keep(
            &mut self.findings.untracked,
            untracked,
            &mut self.findings.not_kept,
        );
    }

    pub(super) fn used(&mut self, cache: CacheId, iova: Iova, access: Access, entry: &Cached) {
        let step = self
            .history
            .add(Fact::Used(cache, access, iova, entry.filled));
        let address = iova.to_gva();
        if self.under_way.has(address, Some(entry.leaf))
            && !self.is_invalidated(entry.filled, &Held::page(cache, entry), iova)
        {
            return;
        }
        let current = self.current.get(address);
        let kind = trespass(&entry.leaf, current.as_ref(), address, access);
        let Some(kind) = self.with_dirt(kind, access, current.as_ref()) else {
            return;
        };
        if kind == ViolationKind::LostDirty && self.under_way.touches(address) {
            return;
        }
        let seen = Seen::once(step, cache, iova, access);
        self.violation(kind, seen, Some(*entry), None);
    }

    pub(super) fn denied(&mut self, cache: CacheId, iova: Iova, access: Access, denial: &Denial) {
        let (entry, kind) = match denial {
            Denial::Entry(entry) => (Some(*entry), FaultKind::Permission),
            Denial::Walk { fault, .. } => (None, fault.kind.into()),
            Denial::Disabled => (None, FaultKind::Translation),
            Denial::AccessFlag(_) => (None, FaultKind::AccessFlag),
        };
        let by = entry.map(|entry| entry.filled);
        let step = self
            .history
            .add(Fact::Denied(cache, access, iova, kind, by));
        let judgement = self.judge(cache, iova, access, denial);
        self.refused.insert(cache, (iova, access, judgement));
        let fault = JudgedFault {
            step,
            cache,
            iova,
            access,
            judgement,
        };
        keep(
            &mut self.findings.faults,
            fault,
            &mut self.findings.not_kept,
        );
        if judgement == Judgement::Stale {
            let kind = ViolationKind::StaleReadOnly;
            let seen = Seen::once(step, cache, iova, access);
            self.violation(kind, seen, entry, None);
        }
    }

    fn judge(&mut self, cache: CacheId, iova: Iova, access: Access, denial: &Denial) -> Judgement {
        let allowed = self.allows(iova, access);
        match denial {
            Denial::AccessFlag(_) | Denial::Disabled => Judgement::Genuine,
            Denial::Entry(entry)
                if allowed
                    && self.is_invalidated(entry.filled, &Held::page(cache, entry), iova) =>
            {
                Judgement::Stale
            }
            _ if self.under_way.touches(iova.to_gva()) => Judgement::InFlight,
            Denial::Entry(_) if allowed => Judgement::Stale,
            Denial::Walk { began, .. } => {
                self.found(iova, None, *began);
                Judgement::Genuine
            }
            Denial::Entry(_) => Judgement::Genuine,
        }
    }

    /// Whether an invalidation that was begun after `filled` and takes what is `held` is complete,
    /// so that something of that age should be gone.
    pub(super) fn is_invalidated(&self, filled: Step, held: &Held, iova: Iova) -> bool {
        self.history.completed(filled, held, iova).is_some()
    }

    /// Whether the page table lets the access through.
    fn allows(&self, iova: Iova, access: Access) -> bool {
        let current = self.current.get(iova.to_gva());
        let by_mark = |leaf: &Leaf| self.allows_by_mark(leaf, access);
        owed(current.as_ref(), access) || current.as_ref().is_some_and(by_mark)
    }

    pub(super) fn gave_up(&mut self, cache: CacheId, fault: &Fault, faults: u64) {
        let Fault { iova, access, .. } = *fault;
        let step = self.history.add(Fact::GaveUp(cache, access, iova));
        // Whoever was refused for good reason, or while the entry changed, lost nothing he was owed.
        if self.refused.get(&cache) != Some(&(iova, access, Judgement::Stale)) {
            return;
        }
        // The entry that refused last is the one that the stale fault before it was about.
        let stale = self.findings.violations.iter().rev().find(|violation| {
            let same_page = violation
                .stale_entry
                .is_some_and(|entry| entry.page.contains(iova));
            violation.kind == ViolationKind::StaleReadOnly
                && violation.cache == Some(cache)
                && same_page
        });
        let entry = stale.and_then(|violation| violation.stale_entry);
        let kind = ViolationKind::LostProgress;
        let seen = Seen {
            times: faults,
            ..Seen::once(step, cache, iova, access)
        };
        self.violation(kind, seen, entry, None);
    }

    /// A violation that `entry` or what `detail` names is to blame for.
    pub(super) fn violation(
        &mut self,
        kind: ViolationKind,
        seen: Seen,
        entry: Option<Cached>,
        detail: Option<Detail>,
    ) {
        let evidence = match (entry, detail) {
            (Some(entry), _) => Evidence::Page(entry),
            (None, Some(_)) => Evidence::Detail,
            (None, None) => Evidence::Unknown,
        };
        self.violation_by(kind, seen, evidence, detail);
    }

    pub(super) fn violation_by(
        &mut self,
        kind: ViolationKind,
        seen: Seen,
        evidence: Evidence,
        detail: Option<Detail>,
    ) {
        let entry = evidence.entry();
        let page = |entry: Option<Cached>| entry.map(|entry| (entry.page, entry.filled));
        // A change is one of a kind; so is a cached thing, whichever address it was used for.
        let anywhere = entry.is_some() || evidence.is_cached();
        let again = |old: &&mut Violation| {
            (old.kind, old.cache, old.detail) == (kind, seen.cache, detail)
                && page(old.stale_entry) == page(entry)
                && (anywhere || old.iova == seen.iova)
        };
        if let Some(old) = self.findings.violations.iter_mut().find(again) {
            old.occurrences += seen.times;
            return;
        }
        if self.findings.violations.len() == FINDINGS {
            self.not_kept();
            return;
        }
        self.findings.violations.push(Violation {
            kind,
            cache: seen.cache,
            iova: seen.iova,
            access: seen.access,
            step: seen.step,
            occurrences: seen.times,
            stale_entry: entry,
            detail,
            current_entry: self.current.get(seen.iova.to_gva()),
            chain: Chain::default(),
        });
        self.evidence.push(evidence);
    }

    /// Something is beyond what is kept.
    pub(super) fn not_kept(&mut self) {
        self.findings.not_kept += 1;
    }

    pub(super) fn took(&mut self, taken: Taken) {
        self.waste.took(taken);
    }

    pub(super) fn carried_out(&mut self, scope: &Scope, removed: u64) {
        let step = self.note(Fact::CarriedOut(*scope, removed));
        self.breaks.carried_out(step, scope);
        self.waste.carried_out(scope.cache(), removed);
        self.judge_waste();
    }

    pub(super) fn synced(&mut self) {
        self.note(Fact::Synced);
        self.breaks.synced();
    }

    pub(super) fn invalidated(&mut self, cache: CacheId, range: AddrRange<Iova>) {
        self.note(Fact::Invalidated(cache, range));
        self.breaks.invalidated(cache, range);
        self.judge_waste();
    }

    /// Counts what was taken away and is still right, once nothing changes.
    pub(super) fn judge_waste(&mut self) {
        if self.under_way.is_empty() {
            self.waste.judge(&self.current);
        }
    }
}

/// Whether two pages say the same of `address`.
pub(super) fn same(address: Gva, one: Option<Leaf>, other: Option<Leaf>) -> bool {
    let says = |leaf: Leaf| (leaf.translate(address), leaf.permissions, leaf.memory_type);
    one.map(says) == other.map(says)
}

fn keep<T>(list: &mut Vec<T>, item: T, not_kept: &mut u64) {
    if list.len() < FINDINGS {
        list.push(item);
    } else {
        *not_kept += 1;
    }
}
