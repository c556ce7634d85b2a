//! What is measured beside each other, each giving the target of an address that it holds and may
//! be read.

use std::collections::BTreeMap;

use std::sync::Arc;

use notifier::addr::{Access, AddrRange, Asid, Gpa, Iova, PageSize, Permissions};
use notifier::contract::Step;
use notifier::paging::Leaf;
use notifier::secondary::cache::{
    Fate, Inserted, Space, SpaceKey, SpaceTag, StreamWorld, Tlb, WAYS,
};
use smmu::cache::{CacheEntry, CacheKey, ReplacementPolicy, TlbCache};
use smmu::types::{IOVA, PA, PASID, PagePermissions, SecurityState, StreamID};
use vm_memory::{GuestAddress, Permissions as Allowed};

use crate::pages::Pages;

const PAGE: u64 = PageSize::K4.bytes();

/// A translation cache of 4 KiB pages.
pub(crate) trait Cache: Sized {
    /// An empty one that has room for these pages.
    fn with_room_for(pages: &Pages) -> Self;

    /// Puts in the page that contains `iova`, read-write.
    fn insert(&mut self, iova: u64, target: u64);

    /// Takes out the page that contains `iova`.
    fn invalidate(&mut self, iova: u64);

    /// Where a read of `iova` leads.
    fn translate(&self, iova: u64) -> Option<u64>;

    /// One that holds these pages.
    fn full(pages: &Pages) -> Self {
        let mut cache = Self::with_room_for(pages);
        for iova in pages.iovas() {
            cache.insert(iova, pages.target(iova));
        }
        let right = |iova| cache.translate(iova) == Some(pages.target(iova));
        assert!(pages.iovas().all(right), "a page is missing or wrong");
        cache
    }
}

/// Ours: bounded, tagged, of several page sizes, for many threads.
pub(crate) struct OurTlb {
    pub(crate) tlb: Tlb,
    pub(crate) own: Arc<Space>,
    global: Arc<Space>,
}

impl OurTlb {
    /// With room for this many pages and none of them.
    pub(crate) fn new(entries: u64) -> Self {
        let tlb = Tlb::new(usize::try_from(entries).unwrap_or(0));
        let space = |tag| {
            tlb.space(SpaceKey {
                world: StreamWorld::NsEl1,
                vmid: None,
                tag,
            })
        };
        let (own, global) = (space(SpaceTag::Asid(Asid(1))), space(SpaceTag::Global));
        Self { tlb, own, global }
    }

    pub(crate) fn put(&self, iova: u64, target: u64) {
        let page = AddrRange::page(Iova::new(iova), PageSize::K4);
        let ticket = self.tlb.fill_began(&self.own);
        let (leaf, filled) = (leaf(target), Step(1));
        let inserted = self.tlb.insert(&self.own, ticket, page, leaf, filled);
        debug_assert_ne!(inserted, Inserted::Unfit);
    }

    /// Takes out `pages` pages from `iova` on.
    pub(crate) fn take(&self, iova: u64, pages: u64) -> u64 {
        let range = AddrRange::from_length(Iova::new(iova & !(PAGE - 1)), pages * PAGE);
        let range = range.expect("pages below the top");
        let fate = &mut |_: &_| Fate::Goes;
        self.tlb.invalidate(&self.own, range, None, fate)
    }
}

impl Cache for OurTlb {
    fn with_room_for(pages: &Pages) -> Self {
        Self::new(pages.count())
    }

    fn insert(&mut self, iova: u64, target: u64) {
        self.put(iova, target);
    }

    fn invalidate(&mut self, iova: u64) {
        self.take(iova, 1);
    }

    fn translate(&self, iova: u64) -> Option<u64> {
        let iova = Iova::new(iova);
        let found = self.tlb.lookup(&self.own, Some(&self.global), iova)?;
        let allowed = found.leaf.permissions.allow(Access::Read);
        allowed.then(|| found.leaf.translate(iova).raw())
    }
}

/// The TLB of the crate `smmu`: a sharded hash map, tagged by StreamID and PASID. First-in-first-out,
/// which is its cheaper policy: a hit takes a shard's lock for reading.
pub(crate) struct OtherSmmu(pub(crate) TlbCache);

impl OtherSmmu {
    fn key(iova: u64) -> CacheKey {
        let (stream, pasid) = (StreamID::new(1), PASID::new(1));
        let (stream, pasid) = (stream.expect("in range"), pasid.expect("in range"));
        let page = IOVA::const_new(iova & !(PAGE - 1));
        CacheKey::new(stream, pasid, page, SecurityState::NonSecure)
    }
}

impl Cache for OtherSmmu {
    fn with_room_for(pages: &Pages) -> Self {
        let entries = usize::try_from(pages.count()).unwrap_or(0);
        Self(TlbCache::new(entries, ReplacementPolicy::Fifo))
    }

    fn insert(&mut self, iova: u64, target: u64) {
        let key = Self::key(iova);
        let allowed = PagePermissions::new(true, true, false);
        let entry = CacheEntry::new_with_asid(
            key.iova,
            PA::const_new(target),
            allowed,
            SecurityState::NonSecure,
            1,
            0,
        );
        self.0.insert(key, entry);
    }

    fn invalidate(&mut self, iova: u64) {
        self.0.invalidate_entry(&Self::key(iova));
    }

    fn translate(&self, iova: u64) -> Option<u64> {
        let found = self.0.lookup(&Self::key(iova))?;
        let allowed = found.permissions.read();
        allowed.then(|| found.physical_address.as_u64() + iova % PAGE)
    }
}

/// An ordinary read-write page.
pub(crate) fn leaf(target: u64) -> Leaf {
    Leaf::page(Gpa::new(target), PageSize::K4, Permissions::READ_WRITE)
}

/// rust-vmm's: a map of merged ranges without a bound.
pub(crate) struct Iotlb(pub(crate) vm_memory::iommu::Iotlb);

impl Cache for Iotlb {
    fn with_room_for(_: &Pages) -> Self {
        Self(vm_memory::iommu::Iotlb::new())
    }

    fn insert(&mut self, iova: u64, target: u64) {
        let (iova, target) = (GuestAddress(iova & !(PAGE - 1)), GuestAddress(target));
        let set = self.0.set_mapping(iova, target, 4096, Allowed::ReadWrite);
        set.expect("a page of its own");
    }

    fn invalidate(&mut self, iova: u64) {
        let start = GuestAddress(iova & !(PAGE - 1));
        self.0.invalidate_mapping(start, 4096);
    }

    fn translate(&self, iova: u64) -> Option<u64> {
        let found = vm_memory::iommu::Iotlb::lookup(&self.0, GuestAddress(iova), 8, Allowed::Read);
        found.ok()?.next().map(|range| range.base.0)
    }
}

/// The shape that other VMMs keep their virtio-iommu mappings in: first address to the rest.
#[derive(Default)]
pub(crate) struct Ranges(BTreeMap<u64, Range>);

struct Range {
    last: u64,
    target: u64,
    permissions: Permissions,
}

impl Cache for Ranges {
    fn with_room_for(_: &Pages) -> Self {
        Self::default()
    }

    fn insert(&mut self, iova: u64, target: u64) {
        let start = iova & !(PAGE - 1);
        let range = Range {
            last: start + PAGE - 1,
            target,
            permissions: Permissions::READ_WRITE,
        };
        self.0.insert(start, range);
    }

    fn invalidate(&mut self, iova: u64) {
        self.0.remove(&(iova & !(PAGE - 1)));
    }

    fn translate(&self, iova: u64) -> Option<u64> {
        let (start, range) = self.0.range(..=iova).next_back()?;
        let allowed = iova <= range.last && range.permissions.allow(Access::Read);
        allowed.then(|| range.target + (iova - start))
    }
}

/// The floor: page number and target, one page size, no ASID, no permission.
pub(crate) struct SetAssociative {
    tags: Vec<[u64; WAYS]>,
    targets: Vec<[u64; WAYS]>,
}

impl SetAssociative {
    fn set(&self, number: u64) -> usize {
        let sets = self.tags.len() as u64;
        usize::try_from(number & (sets - 1)).unwrap_or(0)
    }
}

impl Cache for SetAssociative {
    fn with_room_for(pages: &Pages) -> Self {
        let sets = usize::try_from(pages.count()).unwrap_or(0) / WAYS;
        Self {
            tags: vec![[0; WAYS]; sets],
            targets: vec![[0; WAYS]; sets],
        }
    }

    fn insert(&mut self, iova: u64, target: u64) {
        let number = iova / PAGE;
        let set = self.set(number);
        let free = self.tags[set].iter().position(|tag| *tag == 0);
        let way = free.expect("room for every page");
        self.tags[set][way] = number;
        self.targets[set][way] = target;
    }

    fn invalidate(&mut self, iova: u64) {
        let set = self.set(iova / PAGE);
        for tag in &mut self.tags[set] {
            *tag = if *tag == iova / PAGE { 0 } else { *tag };
        }
    }

    fn translate(&self, iova: u64) -> Option<u64> {
        let number = iova / PAGE;
        let set = self.set(number);
        let way = self.tags[set].iter().position(|tag| *tag == number)?;
        Some(self.targets[set][way] + iova % PAGE)
    }
}
