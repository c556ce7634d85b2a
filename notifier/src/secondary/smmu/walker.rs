//! Walks: from an address to an entry that can be cached, through one stage or two.

use super::mark::Marked;
use super::regime::{Marks, Regime, Stage1, Stage2, Walks, is_clean};
use super::spec::Class;
use super::{Contiguous, Deny, Smmu};
use crate::addr::{Access, AddrRange, Address, Gpa, Gva, Iova, Ipa, Permissions};
use crate::contract::Step;
use crate::paging::{
    Format, Leaf, LeafHints, Level, Meaning, WalkFault, WalkFaultKind, index, limited, slot,
};
use crate::secondary::cache::{FillTicket, Space};
use crate::secondary::{CacheId, Cached, Denial, FaultKind};

/// How often a walk begins anew because an entry changed under the mark that it was to set. A
/// guest that changes it for ever gets an access-flag or permission fault.
const MARK_TRIES: u32 = 64;

/// Which stage an access failed in (event field S2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    One,
    Two,
}

/// An access that translation refuses, with all that a fault record says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub(super) denial: Denial,
    pub(super) kind: FaultKind,
    pub(super) stage: Stage,
    pub(super) class: Class,
    /// What a stage 2 was asked to translate.
    pub(super) ipa: Option<Ipa>,
    /// What a table was to be accessed for, where it is one (event field TTRnW).
    pub(super) table_access: Access,
}

impl Refused {
    pub(super) fn new(denial: Denial, stage: Stage) -> Self {
        Self {
            kind: FaultKind::of(&denial),
            denial,
            stage,
            class: Class::Input,
            ipa: None,
            table_access: Access::Read,
        }
    }

    /// What an entry does not allow; it remembers which stage took that away.
    pub(super) fn by(entry: Cached, access: Access) -> Self {
        let hint = match access {
            Access::Read => LeafHints::STAGE2_READ,
            Access::Write => LeafHints::STAGE2_WRITE,
        };
        let second = entry.leaf.hints.contains(hint);
        let stage = if second { Stage::Two } else { Stage::One };
        Self::new(Denial::Entry(entry), stage)
    }
}

/// A walk of one tree of tables.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) format: &'a dyn Format,
    root: Gpa,
    pub(super) marks: Marks,
    /// What its cached tables are tagged with.
    pub(super) space: &'a Space,
    pub(super) ticket: FillTicket,
    pub(super) cache: CacheId,
    /// What the addresses of its tables are translated by.
    behind: Option<&'a Stage2>,
    stage: Stage,
    began: Step,
}

/// When a walk began, as the observer and the caches count.
#[derive(Clone, Copy)]
struct Began {
    step: Step,
    ticket: FillTicket,
}

/// Where a walk is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) table: Gpa,
    pub(super) level: Level,
    pub(super) limits: Permissions,
}

/// The entry that a walk came to.
#[derive(Clone, Copy)]
pub(super) struct Reached {
    pub(super) slot: Slot,
    pub(super) entry: u64,
    pub(super) level: Level,
    pub(super) limits: Permissions,
    pub(super) leaf: Leaf,
}

/// Where an entry stands, and whether a mark may be set there.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) at: Gpa,
    pub(super) ipa: Option<Ipa>,
    pub(super) writable: bool,
}

/// What a stage says of an address: what may be cached as one, and for what.
type Page = (AddrRange<Iova>, Leaf);

/// What all stages say of an address.
#[derive(Clone, Copy)]
struct Both {
    /// What the first of them maps as one.
    whole: AddrRange<Iova>,
    /// What of it is cached as one.
    page: AddrRange<Iova>,
    leaf: Leaf,
}

impl Smmu {
    /// Walks for `iova`, and leaves what it finds in the TLB, whether that allows `access` or not.
    pub(super) fn fill(
        &self,
        regime: &Regime,
        iova: Iova,
        access: Access,
    ) -> Result<Cached, Refused> {
        let own = self.tlb.fill_began(&regime.own);
        let all = regime.global.as_deref();
        let all = all.map(|space| (space, self.tlb.fill_began(space)));
        let began = Began {
            step: self.observer.walk_began(),
            ticket: own,
        };
        let Both { whole, page, leaf } = self.stages(regime, iova, access, began)?;
        let filled = self.observer.filled(regime.cache, page, &leaf, began.step);
        let (space, ticket) = match all {
            Some(global) if leaf.global => global,
            _ => (&*regime.own, own),
        };
        let found = (page, leaf);
        let _ = self.tlb.insert_piece(space, ticket, whole, found, filled);
        Ok(Cached { page, leaf, filled })
    }

    fn stages(
        &self,
        regime: &Regime,
        iova: Iova,
        access: Access,
        began: Began,
    ) -> Result<Both, Refused> {
        let alone = |(page, leaf)| Both {
            whole: page,
            page,
            leaf,
        };
        match (&regime.stage1, &regime.stage2) {
            (Some(stage1), None) => {
                let one = self.first(regime, stage1, None, iova, access, began);
                one.map(alone)
            }
            (Some(stage1), Some(stage2)) => {
                let one = self.first(regime, stage1, Some(stage2), iova, access, began)?;
                self.then_second(one, stage1.marks, stage2, iova, access, began)
            }
            (None, Some(stage2)) => {
                let two = self.walk(&stage2.walk(began), iova.to_gva(), access);
                two.map(alone)
            }
            (None, None) => Err(Refused::new(Denial::Disabled, Stage::One)),
        }
    }

    fn first(
        &self,
        regime: &Regime,
        stage1: &Stage1,
        behind: Option<&Stage2>,
        iova: Iova,
        access: Access,
        began: Began,
    ) -> Result<Page, Refused> {
        let address = iova.to_gva();
        let half = stage1.half(address).ok_or_else(|| {
            let kind = WalkFaultKind::NotCanonical;
            let fault = WalkFault { address, kind };
            Refused::new(
                Denial::Walk {
                    fault,
                    began: began.step,
                },
                Stage::One,
            )
        })?;
        if half.walks == Walks::Disabled {
            return Err(Refused::new(Denial::Disabled, Stage::One));
        }
        let walk = Walk {
            format: &*half.format,
            root: half.root,
            marks: stage1.marks,
            space: &regime.own,
            cache: regime.walk_cache,
            ticket: began.ticket,
            behind,
            stage: Stage::One,
            began: began.step,
        };
        self.walk(&walk, address, access)
    }

    /// What both stages make of an address: the smaller page, and what both allow.
    fn then_second(
        &self,
        (page, leaf): Page,
        marks: Marks,
        stage2: &Stage2,
        iova: Iova,
        access: Access,
        began: Began,
    ) -> Result<Both, Refused> {
        let ipa = Ipa::of(Gpa::new(leaf.output.raw() | iova.page_offset(leaf.size)));
        let allows = leaf.permissions.allow(access);
        // What stage 1 refuses is refused already; stage 2 must not mark for it.
        let wanted = if allows { access } else { Access::Read };
        let under = self.second(stage2, ipa, wanted, Class::Input);
        // Nor is a fault of stage 2 reported for it.
        let under = under.map_err(|refused| {
            let filled = began.step;
            let entry = Cached { page, leaf, filled };
            let by_first = || Refused::new(Denial::Entry(entry), Stage::One);
            if allows { refused } else { by_first() }
        })?;
        let both = combined((page, leaf), &under, iova, ipa);
        let first = marks.sets_dirty() && is_clean(&leaf);
        let writable = leaf.permissions.contains(Permissions::WRITE) || first;
        let second = stage2.marks.sets_dirty() && is_clean(&under.leaf) && writable;
        Ok(both.to_be_marked(first || second))
    }

    /// Translates an intermediate-physical address, by what is cached of stage 2 if anything is.
    pub(super) fn second(
        &self,
        stage2: &Stage2,
        ipa: Ipa,
        access: Access,
        class: Class,
    ) -> Result<Cached, Refused> {
        let at = Iova::new(ipa.raw());
        let held = self.tlb.lookup(&stage2.space, None, at);
        let again = |entry: &Cached| {
            let denies = !entry.leaf.permissions.allow(access);
            stage2.is_to_be_marked(&entry.leaf, access) || (self.knobs.deny == Deny::Walk && denies)
        };
        if let Some(entry) = held.filter(|entry| !again(entry)) {
            return Ok(entry);
        }
        let ticket = self.tlb.fill_began(&stage2.space);
        let began = Began {
            step: self.observer.walk_began(),
            ticket,
        };
        let found = self.walk(&stage2.walk(began), at.to_gva(), access);
        let (page, leaf) = found.map_err(|refused| Refused {
            class,
            ipa: Some(ipa),
            ..refused
        })?;
        let filled = self.observer.filled(stage2.cache, page, &leaf, began.step);
        let _ = self.tlb.insert(&stage2.space, ticket, page, leaf, filled);
        Ok(Cached { page, leaf, filled })
    }

    /// One tree of tables, marks set.
    fn walk(&self, walk: &Walk<'_>, address: Gva, access: Access) -> Result<Page, Refused> {
        for _ in 0..MARK_TRIES {
            let reached = self.descend(walk, address)?;
            match self.mark(walk, address, &reached, access)? {
                Marked::As(leaf) => return Ok(self.extent(walk, address, reached.level, leaf)),
                Marked::Changed => {}
            }
        }
        let reached = self.descend(walk, address)?;
        Err(Refused::new(Denial::AccessFlag(reached.leaf), walk.stage))
    }

    /// What is cached as one: the page, or the group of which it says that it is one.
    fn extent(&self, walk: &Walk<'_>, address: Gva, level: Level, leaf: Leaf) -> Page {
        let group = walk.format.contiguous_span(level).filter(|_| {
            self.knobs.contiguous == Contiguous::Group && leaf.hints.contains(LeafHints::CONTIGUOUS)
        });
        let size = group.unwrap_or(leaf.size);
        let output = leaf.output.align_down(size);
        let leaf = Leaf {
            output,
            size,
            ..leaf
        };
        (AddrRange::page(Iova::shared(address), size), leaf)
    }

    fn descend(&self, walk: &Walk<'_>, address: Gva) -> Result<Reached, Refused> {
        let fault = |kind| walk.fault(address, kind);
        if !walk.format.is_canonical(address) {
            return Err(fault(WalkFaultKind::NotCanonical));
        }
        let mut place = self.start(walk, address);
        loop {
            let at = slot(place.table, index(walk.format, place.level, address));
            let at = self.locate(walk, at)?;
            let read = self.memory.read_entry(at.at);
            let entry = read.map_err(|none| fault(none.into()))?;
            let decoded = walk.format.decode(entry, place.level);
            match decoded.map_err(|malformed| fault(malformed.into()))? {
                Meaning::NotPresent => return Err(fault(WalkFaultKind::NotPresent(place.level))),
                Meaning::Leaf(leaf) => return Ok(place.reached(at, entry, leaf)),
                Meaning::Table { next, limits } => {
                    let below = place.level.below();
                    let level = below.ok_or(fault(WalkFaultKind::NotPresent(place.level)))?;
                    place = Place {
                        table: next,
                        level,
                        limits: place.limits & limits,
                    };
                    self.keep_table(walk, address, place);
                }
            }
        }
    }

    /// Where an entry is in memory: behind a stage 2, what that makes of its address.
    fn locate(&self, walk: &Walk<'_>, at: Gpa) -> Result<Slot, Refused> {
        let Some(stage2) = walk.behind else {
            return Ok(Slot {
                at,
                ipa: None,
                writable: true,
            });
        };
        let ipa = Ipa::of(at);
        let entry = self.second(stage2, ipa, Access::Read, Class::Table)?;
        if !entry.leaf.permissions.contains(Permissions::READ) {
            return Err(Refused::of_table(entry, ipa, Class::Table));
        }
        Ok(Slot {
            at: entry.leaf.translate(at),
            ipa: Some(ipa),
            writable: entry.leaf.permissions.contains(Permissions::WRITE),
        })
    }
}

impl Refused {
    /// Stage 2 does not let stage 1 at a table or a descriptor of its own.
    pub(super) fn of_table(entry: Cached, ipa: Ipa, class: Class) -> Self {
        Self {
            class,
            ipa: Some(ipa),
            ..Self::new(Denial::Entry(entry), Stage::Two)
        }
    }
}

impl Walk<'_> {
    pub(super) fn first_place(&self) -> Place {
        Place {
            table: self.root,
            level: self.format.root(),
            limits: Permissions::all(),
        }
    }

    pub(super) fn began(&self) -> Step {
        self.began
    }

    pub(super) fn fault(&self, address: Gva, kind: WalkFaultKind) -> Refused {
        let fault = WalkFault { address, kind };
        let began = self.began;
        Refused::new(Denial::Walk { fault, began }, self.stage)
    }

    pub(super) fn refused(&self, denial: Denial) -> Refused {
        Refused::new(denial, self.stage)
    }
}

impl Place {
    fn reached(self, slot: Slot, entry: u64, leaf: Leaf) -> Reached {
        Reached {
            slot,
            entry,
            level: self.level,
            limits: self.limits,
            leaf: limited(leaf, self.limits),
        }
    }
}

impl Stage2 {
    fn walk(&self, began: Began) -> Walk<'_> {
        Walk {
            format: &*self.format,
            root: self.root,
            marks: self.marks,
            space: &self.space,
            cache: self.cache,
            ticket: began.ticket,
            behind: None,
            stage: Stage::Two,
            began: began.step,
        }
    }

    fn is_to_be_marked(&self, leaf: &Leaf, access: Access) -> bool {
        self.marks.sets_dirty() && access == Access::Write && is_clean(leaf)
    }
}

impl Smmu {
    /// What stage 1 makes of an address, for a record of what stage 2 refused; 0 if it no longer makes
    /// anything of it.
    pub(super) fn ipa_of(&self, regime: &Regime, iova: Iova) -> Ipa {
        let Some(stage1) = &regime.stage1 else {
            return Ipa::new(iova.raw());
        };
        let began = Began {
            step: self.observer.walk_began(),
            ticket: self.tlb.fill_began(&regime.own),
        };
        let behind = regime.stage2.as_ref();
        let found = self.first(regime, stage1, behind, iova, Access::Read, began);
        found.map_or(Ipa::new(0), |(_, leaf)| {
            Ipa::new(leaf.output.raw() | iova.page_offset(leaf.size))
        })
    }
}

/// One entry for both stages. What stage 2 takes away is remembered as such: the record of a fault
/// says in which stage it was.
fn combined((whole, leaf): Page, under: &Cached, iova: Iova, ipa: Ipa) -> Both {
    let size = leaf.size.min(under.leaf.size);
    let output = under.leaf.translate(Gpa::new(ipa.raw()));
    let allowed = under.leaf.permissions | Permissions::USER;
    let mut hints = leaf.hints;
    let taken = leaf.permissions - allowed;
    hints.set(LeafHints::STAGE2_READ, taken.contains(Permissions::READ));
    hints.set(LeafHints::STAGE2_WRITE, taken.contains(Permissions::WRITE));
    hints.set(LeafHints::PIECE, size != leaf.size);
    let page = AddrRange::page(iova, size);
    let leaf = Leaf {
        output: output.align_down(size),
        size,
        permissions: leaf.permissions & allowed,
        hints,
        ..leaf
    };
    Both { whole, page, leaf }
}

impl Both {
    /// The same, which has to be marked in some stage before a write, or has not.
    fn to_be_marked(mut self, pending: bool) -> Self {
        self.leaf.dirty = !pending;
        self.leaf.hints.set(LeafHints::DIRTY_MANAGED, pending);
        self
    }
}
