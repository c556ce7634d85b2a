//! What a stream's accesses are translated by: one or two stages, and how their entries are tagged.

use std::fmt;
use std::sync::Arc;

use super::{Httu, Knobs};
use crate::addr::{
    Access, AddrRange, Asid, Gpa, Gva, Iova, Permissions, StreamId, SubstreamId, Vmid,
};
use crate::paging::{Format, Leaf, LeafHints};
use crate::secondary::cache::{Space, SpaceKey, SpaceTag, StreamWorld, Tlb};
use crate::secondary::{CacheId, Cached};

/// Who makes an access: a stream, and with a PASID one of its address spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requester {
    /// Which device.
    pub stream: StreamId,
    /// Which of its address spaces, if it says.
    pub substream: Option<SubstreamId>,
}

impl From<StreamId> for Requester {
    fn from(stream: StreamId) -> Self {
        let substream = None;
        Self { stream, substream }
    }
}

/// An address space that a stream is bound to.
#[derive(Clone, Debug)]
pub struct Context {
    /// What its TLB entries are tagged with. Two contexts with one ASID must have one root.
    pub asid: Asid,
    /// Its page-table root.
    pub root: Gpa,
    /// Its page-table format.
    pub format: Arc<dyn Format>,
}

/// A second stage: what becomes of intermediate-physical addresses.
#[derive(Clone, Debug)]
pub struct SecondStage {
    /// What its TLB entries are tagged with.
    pub vmid: Vmid,
    /// Its page-table root.
    pub root: Gpa,
    /// Its page-table format; what goes into it is an intermediate-physical address.
    pub format: Arc<dyn Format>,
}

/// What a stream is bound to by hand, without a stream table.
#[derive(Clone, Debug)]
pub enum Binding {
    /// Stage 1 alone.
    Stage1(Context),
    /// Stage 2 alone.
    Stage2(SecondStage),
    /// Both: the root and the tables of the first are at intermediate-physical addresses.
    Nested(Context, SecondStage),
}

impl From<Context> for Binding {
    fn from(context: Context) -> Self {
        Self::Stage1(context)
    }
}

/// Whether what is not in the TLB is looked up in the tables (CD.EPD0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walks {
    Enabled,
    Disabled,
}

/// One half of a stage's addresses.
#[derive(Clone, Debug)]
pub(super) struct Half {
    pub(super) format: Arc<dyn Format>,
    /// Where the root is: in front of a stage 2, an intermediate-physical address.
    pub(super) root: Gpa,
    pub(super) walks: Walks,
}

/// What a stage does about marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    /// What hardware marks by itself.
    pub(super) httu: Httu,
    /// Whether a page that is not marked accessed may be used all the same (CD.AFFD).
    pub(super) ignores_access_flag: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Stage1 {
    /// From the bottom up, and from the top down if the format is divided so.
    pub(super) halves: Vec<Half>,
    pub(super) marks: Marks,
}

#[derive(Clone, Debug)]
pub(super) struct Stage2 {
    pub(super) format: Arc<dyn Format>,
    pub(super) root: Gpa,
    pub(super) marks: Marks,
    pub(super) space: Arc<Space>,
    pub(super) cache: CacheId,
}

/// What is done about an access that faults in translation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OnFault {
    /// It waits for software (CD.S, STE.S2S).
    pub(super) stalls: bool,
    /// Software hears of it (CD.R, STE.S2R).
    pub(super) records: bool,
}

/// Everything that translates one address space of one stream.
#[derive(Clone)]
pub(super) struct Regime {
    /// What entries are tagged with that belong to the address space.
    pub(super) own: Arc<Space>,
    /// The same for those that belong to all of the same world; a stage 2 has none.
    pub(super) global: Option<Arc<Space>>,
    pub(super) cache: CacheId,
    pub(super) walk_cache: CacheId,
    pub(super) stage1: Option<Stage1>,
    pub(super) stage2: Option<Stage2>,
    pub(super) on_stage1_fault: OnFault,
    pub(super) on_stage2_fault: OnFault,
    /// Whether the device may ask for translations (STE.EATS).
    pub(super) ats: bool,
    /// Whether the top byte of some addresses is no part of them (CD.TBI).
    pub(super) tags: bool,
}

impl Stage1 {
    /// The half that translates `address`.
    pub(super) fn half(&self, address: Gva) -> Option<&Half> {
        let translates = |half: &&Half| half.format.is_canonical(address);
        self.halves.iter().find(translates)
    }
}

impl Regime {
    /// What a binding by hand amounts to.
    pub(super) fn bound(binding: &Binding, tlb: &Tlb, knobs: &Knobs, walks: Walks) -> Self {
        let marks = Marks {
            httu: knobs.httu,
            ignores_access_flag: false,
        };
        let (context, second) = match binding {
            Binding::Stage1(context) => (Some(context), None),
            Binding::Stage2(second) => (None, Some(second)),
            Binding::Nested(context, second) => (Some(context), Some(second)),
        };
        let stage1 = context.map(|context| Stage1 {
            halves: vec![Half {
                format: Arc::clone(&context.format),
                root: context.root,
                walks,
            }],
            marks,
        });
        let vmid = second.map_or(Vmid::default(), |second| second.vmid);
        let stage2 = second
            .map(|second| Stage2::new(tlb, Arc::clone(&second.format), second.root, vmid, marks));
        let tag = Tagged {
            world: StreamWorld::NsEl1,
            vmid: Some(vmid),
            asid: context.map(|context| context.asid),
        };
        Self::new(tlb, tag, stage1, stage2)
    }

    pub(super) fn new(
        tlb: &Tlb,
        tag: Tagged,
        stage1: Option<Stage1>,
        stage2: Option<Stage2>,
    ) -> Self {
        let vmid = tag.vmid.unwrap_or_default();
        let (own, cache) = match tag.asid {
            Some(asid) => (SpaceTag::Asid(asid), CacheId::of_address_space(vmid, asid)),
            None => (SpaceTag::Stage2, CacheId::SmmuStage2(vmid)),
        };
        let own = tag.space(own);
        let global = tag.asid.map(|_| tlb.space(tag.space(SpaceTag::Global)));
        let halves = stage1.iter().flat_map(|stage| &stage.halves);
        let tags = halves.clone().any(|half| ignores_top_byte(&*half.format));
        Self {
            own: tlb.space(own),
            global,
            cache,
            walk_cache: tag.asid.map_or(cache, CacheId::SmmuWalk),
            stage1,
            stage2,
            on_stage1_fault: OnFault {
                stalls: false,
                records: true,
            },
            on_stage2_fault: OnFault {
                stalls: false,
                records: true,
            },
            ats: true,
            tags,
        }
    }

    /// `iova` as translations of it are cached and invalidated: without a tag (`IHI0070` 3.4.1).
    pub(super) fn untagged(&self, iova: Iova) -> Iova {
        if !self.tags {
            return iova;
        }
        let address = iova.to_gva();
        let half = self.stage1.as_ref().and_then(|stage| stage.half(address));
        half.map_or(iova, |half| {
            Iova::shared(half.format.canonical(address.raw()))
        })
    }

    /// All that is invalidated together with `entry`.
    pub(super) fn whole(&self, entry: &Cached) -> AddrRange<Iova> {
        if !entry.leaf.hints.contains(LeafHints::PIECE) {
            return entry.page;
        }
        let global = self.global.as_ref().filter(|_| entry.leaf.global);
        global.unwrap_or(&self.own).with_pieces(entry.page)
    }

    /// What `entry` is tagged with.
    pub(super) fn space_of(&self, entry: &Cached) -> &Space {
        match &self.global {
            Some(global) if entry.leaf.global => global,
            _ => &self.own,
        }
    }

    /// Whether a write through an entry has to be marked in memory first, where that says whether it
    /// is allowed.
    pub(super) fn may_be_marked(&self, leaf: &Leaf, access: Access) -> bool {
        access == Access::Write && self.sets_dirty() && is_clean(leaf)
    }

    fn sets_dirty(&self) -> bool {
        let first = self.stage1.as_ref().map(|stage| stage.marks);
        let second = self.stage2.as_ref().map(|stage| stage.marks);
        first.into_iter().chain(second).any(Marks::sets_dirty)
    }

    /// What a device may have of `entry`: no writes to a clean page that nobody has marked dirty, since
    /// it would not ask again (`IHI0070` 3.13.7).
    pub(super) fn grantable(&self, mut entry: Cached, access: Access) -> Cached {
        if access == Access::Read && self.may_be_marked(&entry.leaf, Access::Write) {
            entry.leaf.permissions -= Permissions::WRITE;
        }
        entry
    }
}

/// What tells the entries of one regime from those of others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tagged {
    pub(super) world: StreamWorld,
    pub(super) vmid: Option<Vmid>,
    pub(super) asid: Option<Asid>,
}

impl Tagged {
    fn space(self, tag: SpaceTag) -> SpaceKey {
        SpaceKey {
            world: self.world,
            vmid: self.vmid,
            tag,
        }
    }
}

impl Stage2 {
    pub(super) fn new(
        tlb: &Tlb,
        format: Arc<dyn Format>,
        root: Gpa,
        vmid: Vmid,
        marks: Marks,
    ) -> Self {
        let key = SpaceKey {
            world: StreamWorld::NsEl1,
            vmid: Some(vmid),
            tag: SpaceTag::Stage2,
        };
        Self {
            format,
            root,
            marks,
            space: tlb.space(key),
            cache: CacheId::SmmuStage2(vmid),
        }
    }
}

/// Whether two addresses that differ in the top byte alone are one, in either half.
fn ignores_top_byte(format: &dyn Format) -> bool {
    [0xff << 56, u64::MAX >> 8]
        .map(Gva::new)
        .into_iter()
        .any(|address| format.is_canonical(address))
}

/// A page that could be written and was not, as far as its entry knows.
pub(super) fn is_clean(leaf: &Leaf) -> bool {
    let writable = leaf.permissions.contains(Permissions::WRITE);
    !leaf.dirty && (writable || leaf.hints.contains(LeafHints::DIRTY_MANAGED))
}

impl fmt::Debug for Regime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Regime")
            .field("cache", &self.cache)
            .field("stage1", &self.stage1)
            .field("stage2", &self.stage2)
            .finish_non_exhaustive()
    }
}
