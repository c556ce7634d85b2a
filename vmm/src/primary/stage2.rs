//! A stage 2 over the pages: its tables, the address space that they are, and the SMMU that walks
//! them.

use std::ops::Range;
use std::sync::Arc;

use notifier::addr::{Access, AddrRange, Gpa, Gva, Iova, PageSize, Permissions, StreamId, Vmid};
use notifier::contract::{AddressSpace, Event, Notifications, Subscription};
use notifier::oracle::{Findings, Made, Oracle};
use notifier::paging::vmsa::{self, InputSize, OutputSize, StartLevel};
use notifier::paging::{Builder, FlatMemory, Format, Leaf, TableMemoryMut, Tree};
use notifier::secondary::smmu::{Binding, Counts, SecondStage, Smmu, Stage2Tlb};
use notifier::secondary::{CacheId, Fault};

use super::PrimaryError;
use super::frames::Frames;

/// The machine as the SMMU tags it.
const VMID: Vmid = Vmid(1);
/// The device.
const STREAM: StreamId = StreamId(0);
/// Entries of the SMMU's TLB.
const TLB_ENTRIES: usize = 512;
/// Bytes for tables, in memory of their own that no guest reaches. Four tables are enough, since no
/// more than 2 MiB are mapped.
const TABLES: u64 = 0x1_0000;

/// Whether the secondary TLB is told of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is.
    Yes,
    /// It is left out.
    No,
}

/// The stage 2.
pub(super) struct Stage2 {
    frames: Arc<Frames>,
    format: vmsa::Stage2,
    tables: Arc<FlatMemory>,
    /// Where each page's entry stands.
    slots: Vec<Gpa>,
    space: Arc<AddressSpace<Tree>>,
    smmu: Arc<Smmu>,
    oracle: Arc<Oracle>,
    _subscription: Subscription,
}

impl Stage2 {
    /// Maps every page one to one, for reading and writing, and binds the device's stream.
    pub(super) fn new(frames: &Arc<Frames>) -> Result<Self, PrimaryError> {
        let format = format()?;
        let tables = Arc::new(FlatMemory::new(usize::try_from(TABLES).unwrap_or(0)));
        let pool = AddrRange::new(Gpa::new(0), Gpa::new(TABLES));
        let pool = pool.map_err(|error| PrimaryError::Stage2(error.into()))?;
        let mut builder = Builder::new(&format, &*tables, pool)?;
        let mut slots = Vec::new();
        for page in frames.all() {
            let at = Gva::new(frames.address(page).raw());
            builder.map(at, &leaf(frames, page, Permissions::READ_WRITE))?;
            slots.push(builder.slot(at, PageSize::K4)?);
        }
        let root = builder.root();
        let shared: Arc<dyn Format> = Arc::new(format);
        let tree = Tree::read(Arc::clone(&shared), &*tables, root, pool)?;
        let oracle = Arc::new(Oracle::new());
        oracle.begin(tree.pages());
        let smmu = Arc::new(Smmu::new(TLB_ENTRIES, tables.clone(), oracle.clone()));
        let space = Arc::new(AddressSpace::observed(tree, oracle.clone()));
        let tlb = Arc::new(Stage2Tlb::new(Arc::clone(&smmu), VMID));
        let subscription = space.register_secondary_tlb(tlb)?;
        let second = SecondStage {
            vmid: VMID,
            root,
            format: shared,
        };
        smmu.attach(STREAM, Binding::Stage2(second));
        Ok(Self {
            frames: Arc::clone(frames),
            format,
            tables,
            slots,
            space,
            smmu,
            oracle,
            _subscription: subscription,
        })
    }

    /// From now on the device may do this to these pages. Whoever calls it has the pages to himself,
    /// and says with [`settled`](Self::settled) when he relies on it.
    pub(super) fn allow(
        &self,
        pages: &Range<u64>,
        permissions: Permissions,
        told: Told,
    ) -> Result<Made, PrimaryError> {
        let entries = self.entries(pages, permissions)?;
        let announced = self.oracle.changing(&self.preview(&entries)?);
        let range = self.frames.addresses(pages).map(|gpa| Gva::new(gpa.raw()));
        // Raising protection is nothing that range subscribers hear of.
        let lowers = permissions == Permissions::READ_ONLY;
        let start = || self.space.mutate().into_window(Event::ProtectionVma, range);
        let window = lowers.then(start);
        let mut table = self.space.lock_page_table();
        let mut changes = Vec::new();
        for (slot, entry) in &entries {
            self.tables.write_entry(*slot, *entry)?;
            changes.extend(table.apply(&*self.tables, *slot, *entry)?);
        }
        let made = self.oracle.made(announced, &changes);
        if told == Told::Yes {
            table.invalidate_secondary_tlbs(range);
        }
        drop(table);
        drop(window);
        Ok(made)
    }

    /// The host relies on a change from now on.
    pub(super) fn settled(&self, made: Made) {
        self.oracle.settled(made);
    }

    fn entries(
        &self,
        pages: &Range<u64>,
        permissions: Permissions,
    ) -> Result<Vec<(Gpa, u64)>, PrimaryError> {
        let slots = pages.clone().zip(self.slots_of(pages));
        let entries = slots.map(|(page, slot)| {
            let leaf = leaf(&self.frames, page, permissions);
            Ok((*slot, self.format.encode_leaf(&leaf)?))
        });
        entries.collect()
    }

    fn slots_of(&self, pages: &Range<u64>) -> impl Iterator<Item = &Gpa> {
        let first = usize::try_from(pages.start).unwrap_or(usize::MAX);
        self.slots.iter().skip(first)
    }

    fn preview(
        &self,
        entries: &[(Gpa, u64)],
    ) -> Result<Vec<notifier::paging::Change>, PrimaryError> {
        let table = self.space.lock_page_table();
        let mut changes = Vec::new();
        for (slot, entry) in entries {
            changes.extend(table.preview(&*self.tables, *slot, *entry)?);
        }
        Ok(changes)
    }

    /// The device writes to a page: `body` gets its address once it is let through.
    pub(super) fn write<R>(&self, page: u64, body: impl FnOnce(Gpa) -> R) -> Result<R, Fault> {
        let iova = Iova::new(self.frames.address(page).raw());
        let written = self.smmu.access(STREAM, iova, Access::Write, body);
        // The fault is the device's answer; nobody reads records here.
        while self.smmu.take_event().is_some() {}
        written
    }

    /// The device gave up after so many faults of which this is the last.
    pub(super) fn gave_up(&self, fault: &Fault, faults: u64) {
        let cache = self
            .smmu
            .cache_of(STREAM)
            .unwrap_or(CacheId::SmmuStage2(VMID));
        self.oracle.gave_up(cache, fault, faults);
    }

    /// What was sent.
    pub(super) fn notifications(&self) -> Notifications {
        self.space.notifications().unwrap_or_default()
    }

    /// What the SMMU did.
    pub(super) fn counts(&self) -> Counts {
        self.smmu.counts()
    }

    /// What the oracle found.
    pub(super) fn findings(&self) -> Findings {
        self.oracle.findings()
    }
}

/// The stream is unbound before its tables go.
impl Drop for Stage2 {
    fn drop(&mut self) {
        self.smmu.detach(STREAM);
        self.space.exit();
    }
}

/// 48-bit addresses, pages of 4 KiB, four levels.
fn format() -> Result<vmsa::Stage2, PrimaryError> {
    let granule = vmsa::Granule::K4;
    let start = StartLevel::from_sl0(granule, 2);
    let start = start.ok_or_else(|| PrimaryError::Stage2("no such first level".into()))?;
    let (input, output) = (InputSize::BITS_48, OutputSize::Bits48);
    Ok(vmsa::Stage2::new(granule, start, input, output)?)
}

fn leaf(frames: &Frames, page: u64, permissions: Permissions) -> Leaf {
    let permissions = permissions | Permissions::USER | Permissions::EXECUTE;
    Leaf::page(frames.address(page), PageSize::K4, permissions)
}
