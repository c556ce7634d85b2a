//! The primary MMU's code: what an operating system's mm does around a page-table change, done for
//! the guest's page table.
//!
//! A write becomes a [`Window`] (what will change is known, range subscribers are told) and then a
//! commit (the entry is written and, under the page-table lock, secondary TLBs are told). Which of
//! that an upgrade gets is the [`UpgradePolicy`] under test; everything that takes something away
//! gets all of it under every policy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use notifier::addr::{AddrRange, Asid, Gva, Iova};
use notifier::contract::{self, AddressSpace, Event, Mutation, PageTableGuard};
use notifier::oracle::{Changing, Oracle};
use notifier::paging::{Change, ChangeKind, NoMemory, TableChange, TableMemory, Tree, TreeError};
use notifier::secondary::smmu::Smmu;

use crate::lock::lock;
use crate::memory::{OutsideMemory, Ram};
use crate::policy::UpgradePolicy;
use crate::tracker::PageTableWrite;

/// Turns page-table writes into changes and notifications.
pub struct Mirror {
    ram: Ram,
    /// Where the entries are that the tree follows: guest memory, or a copy of its tables.
    tables: Arc<dyn TableMemory>,
    space: Arc<AddressSpace<Tree>>,
    oracle: Arc<Oracle>,
    policy: UpgradePolicy,
    /// Whom the CPUs' own TLB maintenance reaches, and as which address space.
    broadcasts: Option<(Arc<Smmu>, Asid)>,
    counts: Mutex<BTreeMap<ChangeKind, u64>>,
}

/// A page-table write that can't be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// It would make the page table something that can't be watched.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// It is not wholly in the page-table pool.
    #[error("a page-table write of {length} bytes at {address} is not in the page-table pool")]
    OutsidePool {
        /// First byte.
        address: notifier::addr::Gpa,
        /// How many.
        length: usize,
    },
    /// There is no memory.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
    /// There is no memory.
    #[error(transparent)]
    OutsideMemory(#[from] OutsideMemory),
    /// The host did not let go of what it derived from the old entries.
    #[error("KVM could not be made to forget its copy of the old page table: {0}")]
    Host(std::io::ErrorKind),
    /// A device marked the entry since its change was prepared.
    #[error("a device marked the entry while it was changed")]
    Overtaken,
    /// The host does not say which page tables were written.
    #[error("KVM does not say which page tables the guest may have written: {0}")]
    Log(std::io::ErrorKind),
}

/// A write that is about to be made: its changes are announced, and the start of its range
/// invalidation, if it needs one, is sent. Dropping it without a commit ends the invalidation.
#[must_use = "commit it once the write is made"]
pub struct Window {
    write: PageTableWrite,
    expected: Vec<Change>,
    structural: bool,
    changing: Option<Changing>,
    /// What it will do to the way to tables.
    tables: Vec<TableChange>,
    /// What range subscribers were told that it takes away.
    revoked: Option<AddrRange<Gva>>,
    invalidation: Option<contract::Window<Mutation<Tree>>>,
    oracle: Arc<Oracle>,
}

/// What a write would change.
#[derive(Default)]
struct Preview {
    changes: Vec<Change>,
    /// In the places of tables.
    tables: Vec<TableChange>,
    /// Whether anything of it is on the way to a table.
    structural: bool,
}

impl Window {
    /// The write.
    pub fn write(&self) -> &PageTableWrite {
        &self.write
    }

    /// What it will change.
    pub fn changes(&self) -> &[Change] {
        &self.expected
    }

    /// Whether it links, unlinks or changes the way to a table.
    pub fn is_structural(&self) -> bool {
        self.structural
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if let Some(changing) = self.changing.take() {
            self.oracle.called_off(changing);
            self.oracle.tables_called_off(&self.tables);
        }
    }
}

impl Mirror {
    /// A mirror of the page table in `space`, which stands in `ram`.
    pub fn new(
        ram: Ram,
        space: Arc<AddressSpace<Tree>>,
        oracle: Arc<Oracle>,
        policy: UpgradePolicy,
    ) -> Self {
        let kinds = ChangeKind::ALL.into_iter();
        Self {
            tables: Arc::new(ram.clone()),
            ram,
            space,
            oracle,
            policy,
            broadcasts: None,
            counts: Mutex::new(kinds.map(|kind| (kind, 0)).collect()),
        }
    }

    /// The same, whose CPUs broadcast the TLB maintenance of what they take away to this SMMU, which
    /// listens or does not ([`Broadcast`](notifier::secondary::smmu::Broadcast)). After an upgrade
    /// each CPU invalidates for itself alone.
    #[must_use]
    pub fn with_broadcasts(self, smmu: Arc<Smmu>, asid: Asid) -> Self {
        let broadcasts = Some((smmu, asid));
        Self { broadcasts, ..self }
    }

    /// The same, which follows the entries in `tables` and not in guest memory.
    #[must_use]
    pub fn with_tables(self, tables: Arc<dyn TableMemory>) -> Self {
        Self { tables, ..self }
    }

    /// The page table as it was last told of, under its lock.
    pub(crate) fn page_table(&self) -> PageTableGuard<'_, Tree> {
        self.space.lock_page_table()
    }

    /// The address space that it changes.
    #[cfg(test)]
    pub(crate) fn space(&self) -> &Arc<AddressSpace<Tree>> {
        &self.space
    }

    /// How many changes of each kind there were.
    pub fn counts(&self) -> BTreeMap<ChangeKind, u64> {
        lock(&self.counts).clone()
    }

    /// This write is about to be made.
    ///
    /// # Errors
    /// [`MirrorError`] if it can't be followed.
    pub fn prepare(&self, write: PageTableWrite) -> Result<Window, MirrorError> {
        self.check(&write)?;
        let Preview {
            changes: expected,
            tables,
            structural,
        } = self.preview(&write)?;
        let changing = self.oracle.changing(&expected);
        self.oracle.tables_changing(&tables);
        let revoked = revocation(&expected);
        let start = |(event, range)| self.space.mutate().into_window(event, range);
        Ok(Window {
            write,
            expected,
            structural,
            changing: Some(changing),
            tables,
            revoked: revoked.map(|(_, range)| range),
            invalidation: revoked.map(start),
            oracle: Arc::clone(&self.oracle),
        })
    }

    /// Makes the write of this window by `make`, which does nothing where the guest has made it
    /// itself, and tells who must be told. `make` runs under the page-table lock.
    ///
    /// # Errors
    /// What `make` says, and [`MirrorError`] if what was written can't be followed.
    pub fn commit(
        &self,
        mut window: Window,
        make: impl FnOnce(&Window) -> Result<(), MirrorError>,
    ) -> Result<(), MirrorError> {
        let mut table = self.space.lock_page_table();
        make(&window)?;
        let (made, tables) = self.apply(&mut table, &window.write)?;
        let announced = window.changing.take();
        let settling = announced.map(|announced| {
            let mut settling = self.oracle.made(announced, &made);
            self.oracle.tables_made(&mut settling, &tables);
            settling
        });
        let revoked = revocation(&made);
        if let Some((_, range)) = revoked {
            self.broadcast(range);
            table.invalidate_secondary_tlbs(range);
        }
        let upgraded = hull(&made, |kind| kind == ChangeKind::Upgrade);
        if let Some(range) = upgraded.filter(|_| self.policy == UpgradePolicy::SecondaryTlb) {
            table.invalidate_secondary_tlbs(range);
        }
        drop(table);
        drop(window.invalidation.take());
        // Something else was made than was announced: range subscribers hear of it now.
        let told = |range| window.revoked.is_some_and(|told| told.covers(range));
        if let Some((event, range)) = revoked.filter(|(_, range)| !told(*range)) {
            drop(self.space.mutate().into_window(event, range));
        }
        if let Some(range) = upgraded.filter(|_| self.policy == UpgradePolicy::Range) {
            let mutation = self.space.mutate();
            drop(mutation.into_window(Event::ProtectionUpgrade, range));
        }
        if let Some(made) = settling {
            self.oracle.settled(made);
        }
        self.count(&made);
        Ok(())
    }

    /// The CPUs' own flush of what was taken away.
    fn broadcast(&self, range: AddrRange<Gva>) {
        if let Some((smmu, asid)) = &self.broadcasts {
            smmu.broadcast(*asid, range.map(Iova::shared));
        }
    }

    fn check(&self, write: &PageTableWrite) -> Result<(), MirrorError> {
        let (address, length) = (write.address(), write.bytes().len());
        let pool = self.ram.layout().page_tables();
        let within = AddrRange::from_length(address, length as u64);
        if within.is_ok_and(|range| pool.covers(range)) {
            Ok(())
        } else {
            Err(MirrorError::OutsidePool { address, length })
        }
    }

    /// What it would change.
    fn preview(&self, write: &PageTableWrite) -> Result<Preview, MirrorError> {
        let table = self.space.lock_page_table();
        let mut preview = Preview::default();
        for (slot, entry) in write.entries(&*self.tables)? {
            let changes = table.preview(&*self.tables, slot, entry)?;
            preview.changes.extend(changes);
            if table.is_structural(slot, entry) {
                preview.structural = true;
                let tables = table.preview_tables(&*self.tables, slot, entry)?;
                preview.tables.extend(tables);
            }
        }
        Ok(preview)
    }

    /// Brings the tree up to what now stands in memory where `write` was made.
    fn apply(
        &self,
        table: &mut Tree,
        write: &PageTableWrite,
    ) -> Result<(Vec<Change>, Vec<TableChange>), MirrorError> {
        let (mut changes, mut tables) = (Vec::new(), Vec::new());
        for slot in write.slots() {
            let entry = self.tables.read_entry(slot)?;
            if table.is_structural(slot, entry) {
                tables.extend(table.preview_tables(&*self.tables, slot, entry)?);
            }
            changes.extend(table.apply(&*self.tables, slot, entry)?);
        }
        Ok((changes, tables))
    }

    fn count(&self, changes: &[Change]) {
        let mut counts = lock(&self.counts);
        for change in changes {
            *counts.entry(change.kind).or_default() += 1;
        }
    }
}

/// The range and the reason of the invalidation that changes need whatever the policy.
fn revocation(changes: &[Change]) -> Option<(Event, AddrRange<Gva>)> {
    let needed = |kind: ChangeKind| kind.revokes() || kind == ChangeKind::Resize;
    let range = hull(changes, needed)?;
    let any = |kind| changes.iter().any(|change| change.kind == kind);
    let event = if any(ChangeKind::Unmap) {
        Event::Unmap
    } else if any(ChangeKind::Remap) || any(ChangeKind::Resize) {
        Event::Clear
    } else {
        Event::ProtectionPage
    };
    Some((event, range))
}

/// The smallest range with all changes of the wanted kinds in it.
fn hull(changes: &[Change], wanted: impl Fn(ChangeKind) -> bool) -> Option<AddrRange<Gva>> {
    let wanted = changes.iter().filter(|change| wanted(change.kind));
    wanted.map(|change| change.range).reduce(AddrRange::hull)
}

#[cfg(test)]
mod tests;
