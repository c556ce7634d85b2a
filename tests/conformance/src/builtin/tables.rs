//! Page tables of one page each, in one memory, and what an SMMU makes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use notifier::addr::{Access, AddrRange, Gpa, Gva, Iova, PageSize, Permissions, StreamId};
use notifier::paging::x86_64::X86_64;
use notifier::paging::{Builder, FlatMemory, Format, Leaf, TableMemoryMut};
use notifier::secondary::FaultKind;
use notifier::secondary::smmu::Smmu;

use super::invalid;
use crate::subject::{Denied, Frame, Refused};

/// The page.
pub(super) const PAGE: Gva = Gva::new(0x4000_0000_0000);
/// Bytes for one page's tables, which begin a page after the start of it.
const POOL: u64 = 0x8000;

/// That of the first page table.
const FIRST_FRAME: Frame = Frame(0x1000);

pub(super) fn leaf(frame: Frame) -> Leaf {
    Leaf::page(
        Gpa::new(frame.0 << PageSize::K4.shift()),
        PageSize::K4,
        Permissions::READ_WRITE,
    )
}

/// The memory, and which frames were used.
pub(super) struct Tables {
    pub(super) format: Arc<X86_64>,
    pub(super) memory: Arc<FlatMemory>,
    frame: AtomicU64,
}

/// A page table in it.
#[derive(Clone, Copy)]
pub(super) struct Table {
    pub(super) root: Gpa,
    /// Where the page's entry is.
    slot: Gpa,
}

impl Tables {
    /// Room for so many page tables.
    pub(super) fn new(tables: u64) -> Self {
        let bytes = usize::try_from(tables * POOL).unwrap_or(0);
        Self {
            format: Arc::new(X86_64::four_level(40)),
            memory: Arc::new(FlatMemory::new(bytes)),
            frame: AtomicU64::new(FIRST_FRAME.0),
        }
    }

    /// The `number`th page table, with a frame of its own; `None` if there is no room for it.
    pub(super) fn table(&self, number: u64) -> Option<Table> {
        let frame = self.next_frame();
        let start = Gpa::new(number * POOL + PageSize::K4.bytes());
        let pool = AddrRange::new(start, Gpa::new((number + 1) * POOL)).ok()?;
        let mut builder = Builder::new(&*self.format, &*self.memory, pool).ok()?;
        builder.map(PAGE, &leaf(frame)).ok()?;
        let root = builder.root();
        let slot = builder.slot(PAGE, PageSize::K4).ok()?;
        Some(Table { root, slot })
    }

    fn next_frame(&self) -> Frame {
        Frame(self.frame.fetch_add(1, Ordering::SeqCst))
    }

    /// Gives the page another frame; nobody is told.
    pub(super) fn remap(&self, table: Table) -> Result<Frame, Refused> {
        let frame = self.next_frame();
        self.write(table, &leaf(frame))?;
        Ok(frame)
    }

    /// Writes the page's entry; nobody is told.
    pub(super) fn write(&self, table: Table, leaf: &Leaf) -> Result<(), Refused> {
        let entry = self.format.encode_leaf(leaf).map_err(invalid)?;
        let written = self.memory.write_entry(table.slot, entry);
        written.map_err(invalid)
    }

    /// That of the first page table as it was made.
    pub(super) fn first_frame(&self) -> Frame {
        FIRST_FRAME
    }
}

/// A device reads the page.
pub(super) fn access(smmu: &Smmu, stream: StreamId) -> Result<Frame, Denied> {
    let read = smmu.access(stream, Iova::shared(PAGE), Access::Read, |at| at);
    match read {
        Ok(at) => Ok(Frame(at.raw() >> PageSize::K4.shift())),
        Err(fault) if fault.kind == FaultKind::Stream => Err(Denied::NotBound),
        Err(_) => Err(Denied::NoTranslation),
    }
}
