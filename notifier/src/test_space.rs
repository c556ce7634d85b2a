//! A small address space with everything that follows it, for the tests of this crate.

use std::sync::Arc;

use crate::addr::{Access, AddrRange, Asid, Gpa, Gva, Iova, PageSize, Permissions, StreamId};
use crate::contract::{AddressSpace, Event, RangeSubscriber, SecondaryTlbSubscriber, Subscription};
use crate::oracle::Oracle;
use crate::paging::x86_64::X86_64;
use crate::paging::{Builder, Change, FlatMemory, Leaf, LeafHints, TableMemoryMut, Tree};
use crate::secondary::Fault;
use crate::secondary::shadow::Shadow;
use crate::secondary::smmu::{Context, Smmu, Sva};

pub(crate) const ASID: Asid = Asid(1);
pub(crate) const STREAM: StreamId = StreamId(0);

/// How much of a change the code that makes it tells anybody.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    Nothing,
    SecondaryTlb,
    StartAndEnd,
}

/// Page `n` is mapped at `page(n)` to a frame of its own.
pub(crate) struct TestSpace {
    pub(crate) memory: Arc<FlatMemory>,
    pub(crate) space: Arc<AddressSpace<Tree>>,
    pub(crate) smmu: Arc<Smmu>,
    pub(crate) shadow: Arc<Shadow>,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) root: Gpa,
    pub(crate) format: Arc<X86_64>,
    subscriptions: Vec<Subscription>,
}

pub(crate) fn page(n: u64) -> Iova {
    Iova::new(0x4000_0000_0000 + (n << 12))
}

pub(crate) fn range(n: u64) -> AddrRange<Gva> {
    AddrRange::page(page(n).to_gva(), PageSize::K4)
}

pub(crate) fn frame(n: u64) -> Gpa {
    Gpa::new(0x1_0000 + (n << 12))
}

pub(crate) fn leaf(n: u64, permissions: Permissions) -> Leaf {
    Leaf {
        output: frame(n),
        size: PageSize::K4,
        permissions,
        accessed: true,
        dirty: false,
        global: false,
        memory_type: 0,
        software: 0,
        hints: LeafHints::empty(),
    }
}

impl TestSpace {
    /// Page *n* with the *n*-th of these permissions.
    pub(crate) fn new(pages: &[Permissions]) -> Self {
        let mut bare = Self::bare(pages);
        bare.follow(Arc::new(Sva::new(bare.smmu.clone(), ASID)));
        bare.follow_ranges(bare.shadow.clone());
        bare
    }

    /// The same with nobody subscribed.
    pub(crate) fn bare(pages: &[Permissions]) -> Self {
        let memory = Arc::new(FlatMemory::new(0x2_0000));
        let format = Arc::new(X86_64::four_level(40));
        let pool = AddrRange::new(Gpa::new(0x1000), Gpa::new(0x8000)).unwrap();
        let mut builder = Builder::new(&*format, &*memory, pool).unwrap();
        for (n, permissions) in (0..).zip(pages) {
            builder
                .map(page(n).to_gva(), &leaf(n, *permissions))
                .unwrap();
        }
        let root = builder.root();
        let tree = Tree::read(format.clone(), &*memory, root, pool).unwrap();
        let oracle = Arc::new(Oracle::new());
        oracle.begin(tree.pages());

        let space = Arc::new(AddressSpace::observed(tree, oracle.clone()));
        let smmu = Arc::new(Smmu::new(64, memory.clone(), oracle.clone()));
        let context = Context {
            asid: ASID,
            root,
            format: format.clone(),
        };
        smmu.attach(STREAM, context);
        let shadow = Shadow::new(memory.clone(), format.clone(), root, oracle.clone());
        let shadow = Arc::new(shadow);
        Self {
            memory,
            space,
            smmu,
            shadow,
            oracle,
            root,
            format,
            subscriptions: Vec::new(),
        }
    }

    pub(crate) fn follow(&mut self, subscriber: Arc<dyn SecondaryTlbSubscriber>) {
        let subscription = self.space.register_secondary_tlb(subscriber).unwrap();
        self.subscriptions.push(subscription);
    }

    pub(crate) fn follow_ranges(&mut self, subscriber: Arc<dyn RangeSubscriber>) {
        let subscription = self.space.register_ranges(subscriber).unwrap();
        self.subscriptions.push(subscription);
    }

    /// Unsubscribes everybody.
    pub(crate) fn unfollow(&mut self) {
        self.subscriptions.clear();
    }

    /// Another SMMU for the same tables, with nothing bound.
    pub(crate) fn another_smmu(&self) -> Smmu {
        Smmu::new(64, self.memory.clone(), self.oracle.clone())
    }

    /// Makes page `n` be `leaf` or nothing, telling as much as it says.
    pub(crate) fn set(&self, n: u64, leaf: Option<Leaf>, telling: Telling) {
        let changes = self.preview(n, leaf);
        let changing = self.oracle.changing(&changes);
        let bookends = (telling == Telling::StartAndEnd)
            .then(|| self.space.mutate().into_window(Event::Clear, range(n)));
        self.store(n, leaf);
        let made = self.oracle.made(changing, &changes);
        if telling == Telling::SecondaryTlb {
            self.space
                .lock_page_table()
                .invalidate_secondary_tlbs(range(n));
        }
        drop(bookends);
        self.oracle.settled(made);
    }

    pub(crate) fn preview(&self, n: u64, leaf: Option<Leaf>) -> Vec<Change> {
        let tree = self.space.lock_page_table();
        let (slot, entry) = self.entry(&tree, n, leaf);
        tree.preview(&*self.memory, slot, entry).unwrap()
    }

    /// Writes the entry of page `n` and tells nobody, not even the oracle.
    pub(crate) fn store(&self, n: u64, leaf: Option<Leaf>) {
        let mut tree = self.space.lock_page_table();
        let (slot, entry) = self.entry(&tree, n, leaf);
        self.memory.write_entry(slot, entry).unwrap();
        tree.apply(&*self.memory, slot, entry).unwrap();
    }

    fn entry(&self, tree: &Tree, n: u64, leaf: Option<Leaf>) -> (Gpa, u64) {
        let entry = leaf.map_or(0, |leaf| tree.format().encode_leaf(&leaf).unwrap());
        (tree.slot_of(page(n).to_gva()), entry)
    }

    /// A device access of page `n` through the SMMU.
    pub(crate) fn dma(&self, n: u64, access: Access) -> Result<Gpa, Fault> {
        self.smmu.access(STREAM, page(n), access, |target| target)
    }

    /// A device access of page `n` through the shadow MMU.
    pub(crate) fn shadow_dma(&self, n: u64, access: Access) -> Result<Gpa, Fault> {
        self.shadow.access(page(n), access, |target| target)
    }
}
