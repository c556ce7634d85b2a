//! A TLB of one entry, which does what commands say, and tells the oracle.

use crate::addr::{Access, AddrRange, Asid, Iova, PageSize, Vmid};
use crate::oracle::{Chain, Made, Oracle, ViolationKind};
use crate::paging::{Change, Leaf};
use crate::secondary::smmu::Levels;
use crate::secondary::{CacheId, Cached, Fit, Held, Observer, Scope, Tag};
use crate::test_space::{ASID, leaf, page, range};

pub(super) const TLB: CacheId = CacheId::SmmuTlb(ASID);

pub(super) struct Bench {
    pub(super) oracle: Oracle,
    pub(super) cache: CacheId,
    pub(super) entry: Option<Cached>,
}

/// Page 0 as a device has it.
pub(super) fn iova() -> AddrRange<Iova> {
    range(0).map(Iova::shared)
}

pub(super) fn asid(asid: Asid) -> Scope {
    Scope::all(Tag::Asid(Vmid(0), asid))
}

/// A leaf-only command for page 0.
pub(super) fn one_page(size: PageSize) -> Scope {
    Scope {
        only: Some(size),
        levels: Levels::Leaf,
        ..Scope::all(Tag::Address(Vmid(0), ASID)).within(iova())
    }
}

/// From what page 0 was to what it is.
pub(super) fn change(old: Option<Leaf>, new: Option<Leaf>) -> Change {
    Change::between(range(0), old, new).unwrap()
}

impl Bench {
    /// Page 0 is `leaf`, and in the TLB.
    pub(super) fn new(oracle: Oracle, leaf: Leaf) -> Self {
        oracle.begin([(range(0), leaf)]);
        let mut bench = Self {
            oracle,
            cache: TLB,
            entry: None,
        };
        bench.fill(leaf);
        bench
    }

    pub(super) fn fill(&mut self, leaf: Leaf) {
        let began = self.oracle.walk_began();
        let page = iova();
        let filled = self.oracle.filled(self.cache, page, &leaf, began);
        self.entry = Some(Cached { page, leaf, filled });
    }

    /// Announces a change, makes it, does `telling`, and settles it.
    pub(super) fn change(&mut self, change: Change, telling: impl FnOnce(&mut Self)) {
        let made = self.make(&[change]);
        telling(self);
        self.oracle.settled(made);
    }

    pub(super) fn make(&self, changes: &[Change]) -> Made {
        let announced = self.oracle.changing(changes);
        self.oracle.made(announced, changes)
    }

    /// Submits a command, carries it out, and a CMD_SYNC.
    pub(super) fn command(&mut self, scope: Scope) {
        self.oracle.submitted(&scope);
        self.carry_out(scope);
        self.oracle.synced();
    }

    pub(super) fn carry_out(&mut self, scope: Scope) {
        let cache = self.cache;
        let covers = |entry: &Cached| scope.fit(&Held::page(cache, entry)) == Fit::Covers;
        let taken = self.entry.take_if(|entry| covers(entry));
        if let Some(entry) = &taken {
            self.oracle.dropped(cache, entry);
        }
        self.oracle.carried_out(&scope, u64::from(taken.is_some()));
    }

    /// An access of page 0, if the TLB still has it.
    pub(super) fn access(&self, access: Access) {
        if let Some(entry) = &self.entry {
            self.oracle.used(self.cache, page(0), access, entry);
        }
    }

    pub(super) fn kinds(&self) -> Vec<ViolationKind> {
        let violations = self.oracle.findings().violations;
        violations.iter().map(|violation| violation.kind).collect()
    }

    /// The chain of the only violation; `None` if there is none.
    pub(super) fn chain(&self) -> Option<Chain> {
        let mut violations = self.oracle.findings().violations;
        assert!(violations.len() <= 1, "{violations:?}");
        violations.pop().map(|violation| violation.chain)
    }
}

/// Page 0, clean or dirty.
pub(super) fn dirty(dirty: bool) -> Leaf {
    Leaf {
        dirty,
        ..leaf(0, crate::addr::Permissions::READ_WRITE)
    }
}
