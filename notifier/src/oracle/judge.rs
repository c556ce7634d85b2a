//! Judging: what every entry is, and what each use and refusal of one amounts to.

use std::collections::BTreeMap;

use super::chain::chain;
use super::history::{Fact, History, Record};
use super::map::LeafMap;
use super::rule::{owed, trespass};
use super::{
    Chain, Findings, Invalidation, JudgedFault, Judgement, Untracked, Violation, ViolationKind,
};
use crate::addr::{Access, AddrRange, Gva, Iova};
use crate::contract::Step;
use crate::paging::{Change, Leaf};
use crate::secondary::{CacheId, Cached, Denial, Fault, FaultKind};

/// How many facts are kept to explain a violation with.
const HISTORY: usize = 1 << 14;
/// How many findings of one kind are kept; what comes after is only counted. A guest decides how
/// many there are, so they are bounded.
const FINDINGS: usize = 1 << 10;

/// What the oracle knows.
pub(super) struct State {
    /// What the page table says. Follows it under the page-table lock, so that changes of one entry
    /// arrive here in the order in which they were made.
    current: LeafMap,
    /// Changes that are announced or made and not settled: both sides of each are lawful.
    under_way: Vec<(Step, Change)>,
    history: History,
    findings: Findings,
    /// Entries taken away, until it is known what the page table says afterwards.
    drops: Vec<(CacheId, Cached)>,
    needless: BTreeMap<CacheId, u64>,
    /// What each cache refused last, and how that was judged.
    refused: BTreeMap<CacheId, (Iova, Access, Judgement)>,
}

/// Changes that are about to be made.
#[must_use = "hand it to `Oracle::made` or to `Oracle::called_off`"]
#[derive(Debug)]
pub struct Changing(Option<StepSpan>);

/// Changes that are made, but not yet relied on.
#[must_use = "hand it to `Oracle::settled` when whoever made them goes on"]
#[derive(Debug)]
pub struct Made(Option<StepSpan>);

/// The first and the last of the steps, which are consecutive.
type StepSpan = (Step, Step);

/// The access that shows a violation.
#[derive(Clone, Copy)]
struct Seen {
    step: Step,
    cache: CacheId,
    iova: Iova,
    access: Access,
    /// How often it was made.
    times: u64,
}

impl Seen {
    fn once(step: Step, cache: CacheId, iova: Iova, access: Access) -> Self {
        Self {
            step,
            cache,
            iova,
            access,
            times: 1,
        }
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            current: LeafMap::default(),
            under_way: Vec::new(),
            history: History::new(HISTORY),
            findings: Findings::default(),
            drops: Vec::new(),
            needless: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

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

    /// Everything found so far.
    pub(super) fn findings(&self) -> Findings {
        let mut findings = self.findings.clone();
        for violation in &mut findings.violations {
            violation.chain = chain(&self.history, violation);
        }
        findings.needless_drops = self.needless.iter().map(|(id, n)| (*id, *n)).collect();
        findings
    }

    pub(super) fn begin(&mut self, range: AddrRange<Gva>, leaf: Leaf) {
        self.current.set(range, Some(leaf));
    }

    pub(super) fn announce(&mut self, changes: &[Change]) -> Changing {
        Changing(self.put_under_way(changes))
    }

    /// `changes` are what was really made of what was announced, often the same.
    pub(super) fn make(&mut self, announced: Changing, changes: &[Change]) -> Made {
        let expected = self.span(announced.0).map(|(_, change)| *change);
        let span = if expected.eq(changes.iter().copied()) {
            announced.0
        } else {
            self.call_off(announced);
            self.put_under_way(changes)
        };
        for change in changes {
            self.current.set(change.range, change.new);
        }
        Made(span)
    }

    pub(super) fn settle(&mut self, made: Made) {
        self.take_span(made.0);
        if let Some((first, _)) = made.0 {
            self.history.add(Fact::Settled(first));
        }
        self.judge_drops();
    }

    pub(super) fn call_off(&mut self, announced: Changing) {
        self.take_span(announced.0);
        if let Some((first, last)) = announced.0 {
            self.history.add(Fact::CalledOff(first, last));
        }
        self.judge_drops();
    }

    fn put_under_way(&mut self, changes: &[Change]) -> Option<StepSpan> {
        let mut steps = changes.iter().map(|change| {
            let step = self.history.add(Fact::Changing(*change));
            self.under_way.push((step, *change));
            step
        });
        let first = steps.next();
        let last = steps.last().or(first);
        first.zip(last)
    }

    fn span(&self, span: Option<StepSpan>) -> impl Iterator<Item = &(Step, Change)> {
        let within = move |step| span.is_some_and(|(first, last)| first <= step && step <= last);
        self.under_way.iter().filter(move |(step, _)| within(*step))
    }

    fn take_span(&mut self, span: Option<StepSpan>) {
        if let Some((first, last)) = span {
            self.under_way
                .retain(|(step, _)| *step < first || last < *step);
        }
    }

    /// The unfinished changes of `address`.
    fn unfinished(&self, address: Gva) -> impl Iterator<Item = &Change> {
        let changes = self.under_way.iter().map(|(_, change)| change);
        changes.filter(move |change| change.range.contains(address))
    }

    /// Whether an unfinished change of `address` takes `leaf` away or brings it.
    fn is_in_change(&self, address: Gva, leaf: Option<Leaf>) -> bool {
        self.unfinished(address)
            .any(|change| same(address, change.old, leaf) || same(address, change.new, leaf))
    }

    fn is_changing(&self, address: Gva) -> bool {
        self.unfinished(address).next().is_some()
    }

    /// Whether a walk that began at `began` may have found `leaf`.
    fn may_find(&self, address: Gva, leaf: Option<Leaf>, began: Step) -> bool {
        let replaced_since = || {
            self.history.since(began).any(|record| match record.fact {
                Fact::Changing(change) => {
                    change.range.contains(address) && same(address, change.old, leaf)
                }
                _ => false,
            })
        };
        same(address, self.current.get(address), leaf)
            || self.is_in_change(address, leaf)
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
        if self.is_in_change(address, Some(entry.leaf))
            && !self.was_invalidated(cache, iova, entry.filled)
        {
            return;
        }
        let current = self.current.get(address);
        let Some(kind) = trespass(&entry.leaf, current.as_ref(), address, access) else {
            return;
        };
        let seen = Seen::once(step, cache, iova, access);
        self.violation(kind, seen, Some(*entry));
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
            self.violation(kind, seen, entry);
        }
    }

    fn judge(&mut self, cache: CacheId, iova: Iova, access: Access, denial: &Denial) -> Judgement {
        let allowed = self.allows(iova, access);
        match denial {
            Denial::AccessFlag(_) | Denial::Disabled => Judgement::Genuine,
            Denial::Entry(entry) if self.was_invalidated(cache, iova, entry.filled) && allowed => {
                Judgement::Stale
            }
            _ if self.is_changing(iova.to_gva()) => Judgement::InFlight,
            Denial::Entry(_) if allowed => Judgement::Stale,
            Denial::Walk { began, .. } => {
                self.found(iova, None, *began);
                Judgement::Genuine
            }
            Denial::Entry(_) => Judgement::Genuine,
        }
    }

    /// Whether an invalidation of `cache` that covers `iova` was completed after `filled`, so that
    /// an entry of that age should be gone.
    fn was_invalidated(&self, cache: CacheId, iova: Iova, filled: Step) -> bool {
        let mut later = self.history.since(filled).map(|record| record.fact);
        later.any(|fact| match fact {
            Fact::Invalidated(id, range) => id == cache && range.contains(iova),
            _ => false,
        })
    }

    /// Whether the page table's permissions let the access through.
    fn allows(&self, iova: Iova, access: Access) -> bool {
        owed(self.current.get(iova.to_gva()).as_ref(), access)
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
            violation.kind == ViolationKind::StaleReadOnly && violation.cache == cache && same_page
        });
        let entry = stale.and_then(|violation| violation.stale_entry);
        let kind = ViolationKind::LostProgress;
        let seen = Seen {
            times: faults,
            ..Seen::once(step, cache, iova, access)
        };
        self.violation(kind, seen, entry);
    }

    fn violation(&mut self, kind: ViolationKind, seen: Seen, entry: Option<Cached>) {
        let page = |entry: Option<Cached>| entry.map(|entry| (entry.page, entry.filled));
        let again = |old: &&mut Violation| {
            (old.kind, old.cache, page(old.stale_entry)) == (kind, seen.cache, page(entry))
                && (entry.is_some() || old.iova == seen.iova)
        };
        if let Some(old) = self.findings.violations.iter_mut().find(again) {
            old.occurrences += seen.times;
            return;
        }
        let violation = Violation {
            kind,
            cache: seen.cache,
            iova: seen.iova,
            access: seen.access,
            step: seen.step,
            occurrences: seen.times,
            stale_entry: entry,
            current_entry: self.current.get(seen.iova.to_gva()),
            chain: Chain {
                change: None,
                notices: Vec::new(),
                invalidation: Invalidation::Missing,
            },
        };
        keep(
            &mut self.findings.violations,
            violation,
            &mut self.findings.not_kept,
        );
    }

    pub(super) fn dropped(&mut self, cache: CacheId, entry: &Cached) {
        keep(
            &mut self.drops,
            (cache, *entry),
            &mut self.findings.not_kept,
        );
        self.judge_drops();
    }

    /// Counts the dropped entries that the page table, now that nothing changes, still agrees with.
    fn judge_drops(&mut self) {
        if !self.under_way.is_empty() {
            return;
        }
        for (cache, entry) in std::mem::take(&mut self.drops) {
            let address = entry.page.start().to_gva();
            let still = self.current.get(address).is_some_and(|leaf| {
                leaf.translate(address) == entry.leaf.translate(address)
                    && still_right(cache, &entry.leaf, &leaf)
            });
            *self.needless.entry(cache).or_default() += u64::from(still);
        }
    }
}

/// Whether a cache may keep `entry` although the page table says `leaf`, which has the same target.
/// A TLB must go by what the entry says; page tables of one's own are looked at again before they
/// refuse anything, so there it is enough that nothing was taken away.
fn still_right(cache: CacheId, entry: &Leaf, leaf: &Leaf) -> bool {
    match cache {
        CacheId::SmmuTlb(_)
        | CacheId::SmmuStage2(_)
        | CacheId::SmmuNested(..)
        | CacheId::SmmuWalk(_)
        | CacheId::SmmuConfiguration(_)
        | CacheId::Atc(_) => leaf.same_translation(entry),
        CacheId::Shadow => leaf.permissions.contains(entry.permissions),
    }
}

/// Whether two pages say the same of `address`.
fn same(address: Gva, one: Option<Leaf>, other: Option<Leaf>) -> bool {
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
