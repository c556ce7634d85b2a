//! A device behind the whole SMMU: its lock, the stream's binding, the TLB, the permission check,
//! and real page tables to walk.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use notifier::addr::{Access, AddrRange, Asid, Gpa, Gva, Iova, StreamId};
use notifier::paging::x86_64::X86_64;
use notifier::paging::{Builder, Leaf, NoMemory, TableMemory, TableMemoryMut, walk};
use notifier::secondary::smmu::{Context, Smmu};

use crate::pages::Pages;
use crate::peers::leaf;

const STREAM: StreamId = StreamId(0);
const FORMAT: X86_64 = X86_64::four_level(40);
/// Room for the tables of 16,384 pages.
const TABLE_BYTES: u64 = 64 << 12;

/// Page tables from address 0 on, and nothing else.
struct Tables(Vec<AtomicU64>);

impl Tables {
    fn word(&self, address: Gpa) -> Result<&AtomicU64, NoMemory> {
        let index = usize::try_from(address.raw() / 8).unwrap_or(usize::MAX);
        self.0.get(index).ok_or(NoMemory(address))
    }
}

impl TableMemory for Tables {
    fn read_entry(&self, address: Gpa) -> Result<u64, NoMemory> {
        Ok(self.word(address)?.load(Ordering::Acquire))
    }
}

impl TableMemoryMut for Tables {
    fn write_entry(&self, address: Gpa, entry: u64) -> Result<(), NoMemory> {
        self.word(address)?.store(entry, Ordering::Release);
        Ok(())
    }
}

/// A device and the SMMU that it is behind.
pub(crate) struct Device {
    smmu: Smmu,
    tables: Arc<Tables>,
    root: Gpa,
}

impl Device {
    /// With a TLB of `entries`, which has seen all of `pages`.
    pub(crate) fn warm(entries: u64, pages: &Pages) -> Self {
        let words = (0..TABLE_BYTES / 8).map(|_| AtomicU64::new(0));
        let tables = Arc::new(Tables(words.collect()));
        let root = build(&tables, pages);
        let entries = usize::try_from(entries).unwrap_or(0);
        let smmu = Smmu::new(entries, tables.clone(), Arc::new(()));
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

    /// What a miss has to do at least.
    pub(crate) fn walk(&self, iova: u64) -> Option<Leaf> {
        walk(&FORMAT, &*self.tables, self.root, Gva::new(iova)).ok()
    }
}

fn build(tables: &Tables, pages: &Pages) -> Gpa {
    let pool = AddrRange::from_length(Gpa::new(0), TABLE_BYTES).expect("some tables");
    let mut builder = Builder::new(&FORMAT, tables, pool).expect("room for a root");
    for iova in pages.iovas() {
        let page = leaf(pages.target(iova));
        builder.map(Gva::new(iova), &page).expect("room for a page");
    }
    builder.root()
}
