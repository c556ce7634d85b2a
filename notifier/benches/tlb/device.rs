//! A device behind the whole SMMU: its lock, the stream's binding, the TLB, the permission check,
//! and real page tables to walk.

use std::hint::black_box;
use std::sync::Arc;

use notifier::addr::{Access, AddrRange, Asid, Gpa, Gva, Iova, StreamId, Vmid};
use notifier::paging::x86_64::X86_64;
use notifier::paging::{Builder, FlatMemory, Leaf, walk};
use notifier::secondary::smmu::{Caching, Command, Context, Knobs, Levels, Smmu, TlbiSpan, TlbiVa};

use crate::pages::Pages;
use crate::peers::leaf;

const STREAM: StreamId = StreamId(0);
const FORMAT: X86_64 = X86_64::four_level(40);
/// Room for the tables of 16,384 pages.
const TABLE_BYTES: usize = 64 << 12;

/// Every walk begins at the root.
pub(crate) fn without_walk_cache() -> Knobs {
    Knobs {
        walk_cache: Caching::Off,
        ..Knobs::default()
    }
}

/// A device and the SMMU that it is behind.
pub(crate) struct Device {
    smmu: Smmu,
    tables: Arc<FlatMemory>,
    root: Gpa,
}

impl Device {
    /// With a TLB of `entries`, which has seen all of `pages`.
    pub(crate) fn warm(entries: u64, pages: &Pages) -> Self {
        Self::with(entries, pages, Knobs::default())
    }

    /// The same with these knobs.
    pub(crate) fn with(entries: u64, pages: &Pages, knobs: Knobs) -> Self {
        let tables = Arc::new(FlatMemory::new(TABLE_BYTES));
        let root = build(&tables, pages);
        let entries = usize::try_from(entries).unwrap_or(0);
        let smmu = Smmu::new(entries, tables.clone(), Arc::new(())).with_knobs(knobs);
        let context = Context {
            asid: Asid(1),
            root,
            format: Arc::new(FORMAT),
        };
        smmu.attach(STREAM, context);
        let device = Self { smmu, tables, root };
        let right = |iova| device.access(iova) == Some(pages.target(iova));
        assert!(pages.iovas().all(right), "a page is missing or wrong");
        device
    }

    /// Reads: everything but the data.
    pub(crate) fn access(&self, iova: u64) -> Option<u64> {
        let (iova, body) = (Iova::new(iova), |target: Gpa| black_box(target.raw()));
        self.smmu.access(STREAM, iova, Access::Read, body).ok()
    }

    /// A driver invalidates a page, and waits for it.
    pub(crate) fn invalidate(&self, iova: u64) {
        self.smmu.submit(Command::TlbiVa(TlbiVa {
            vmid: Vmid(0),
            asid: Asid(1),
            span: TlbiSpan::page(Iova::new(iova), Levels::Leaf),
        }));
        self.smmu.sync().expect("no device that could be silent");
    }

    /// What a miss has to do at least.
    pub(crate) fn walk(&self, iova: u64) -> Option<Leaf> {
        walk(&FORMAT, &*self.tables, self.root, Gva::new(iova)).ok()
    }
}

fn build(tables: &FlatMemory, pages: &Pages) -> Gpa {
    let pool = AddrRange::from_length(Gpa::new(0), TABLE_BYTES as u64).expect("some tables");
    let mut builder = Builder::new(&FORMAT, tables, pool).expect("room for a root");
    for iova in pages.iovas() {
        let page = leaf(pages.target(iova));
        builder.map(Gva::new(iova), &page).expect("room for a page");
    }
    builder.root()
}
