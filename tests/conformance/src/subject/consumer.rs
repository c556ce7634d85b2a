//! Consumers: what a driver makes of the notifications that it gets.

use notifier::addr::Gva;

use super::{Bounds, Refused};

/// Drivers of IOMMUs that share the page table, each for one address space that one device uses,
/// which has a TLB of its own where that is said.
pub trait Commands: Send + Sync {
    /// The commands for one secondary-TLB notification, in the order in which they are issued.
    /// `None` for a driver that is not there.
    fn commands(&self, driver: Driver, bounds: Bounds) -> Option<Vec<Command>>;

    /// What VT-d's driver does when the address space ends, in order. `None` if it is not there.
    fn vtd_release(&self) -> Option<Vec<Teardown>> {
        None
    }
}

/// A step by which a PASID is taken from a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Teardown {
    /// Its entry is made not present.
    ClearEntry,
    /// What is cached of that entry goes.
    EntryCache,
    /// All translations of the PASID go.
    Tlb,
    /// And those of the device.
    DeviceTlb,
}

/// Which driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Driver {
    /// SMMUv3 without range commands; the device has a TLB.
    SmmuByPage,
    /// SMMUv3 with range commands; the device has a TLB.
    SmmuByRange,
    /// SMMUv3 on which an entry survives an invalidation that races with traffic (Tegra264); the
    /// device has a TLB.
    SmmuErratum,
    /// VT-d; the device has a TLB.
    Vtd,
    /// AMD; the device has a TLB.
    Amd,
    /// OpenCAPI, with pages of 4 KiB.
    Ocxl,
}

impl Driver {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::SmmuByPage,
        Self::SmmuByRange,
        Self::SmmuErratum,
        Self::Vtd,
        Self::Amd,
        Self::Ocxl,
    ];

    /// Those of an SMMU.
    pub const SMMU: [Self; 3] = [Self::SmmuByPage, Self::SmmuByRange, Self::SmmuErratum];
}

/// A command to an IOMMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Of the IOMMU's TLB, everything that translates these addresses.
    Pages(Bounds, Depth),
    /// The same as an SMMU's range command: (`num` + 1) * 2^`scale` pages of 4 KiB from `start` on.
    Range {
        /// First address.
        start: Gva,
        /// The field NUM.
        num: u8,
        /// The field SCALE.
        scale: u8,
        /// Whether tables go too.
        depth: Depth,
    },
    /// Everything of the address space.
    Everything,
    /// Of the device's TLB, 2^`order` pages of 4 KiB from `start` on.
    DeviceTlb {
        /// First address, aligned to the size.
        start: Gva,
        /// Base-two logarithm of the number of pages.
        order: u8,
    },
    /// What came before is complete when this is.
    Sync,
}

/// What goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// Pages, and cached tables that lead to them.
    Tables,
    /// Pages alone.
    Leaves,
}

/// What KVM keeps to decide whether a fault's result may be installed.
pub trait FaultGate: Send + Sync {
    /// A range start.
    ///
    /// # Errors
    /// [`Refused::Invalid`] for bounds that are no range.
    fn start(&self, bounds: Bounds, slots: Slots) -> Result<(), Refused>;

    /// A range end.
    ///
    /// # Errors
    /// [`Refused::Violation`] if there is none to end.
    fn end(&self, bounds: Bounds, slots: Slots) -> Result<(), Refused>;

    /// A fault begins: before the primary page table is looked at.
    fn fault(&self) -> Box<dyn Fault + '_>;

    /// Whether memory slots may change places now.
    fn slots_may_change(&self) -> bool;

    /// The subscriber has unregistered, so that some ends will never come.
    fn unregistered(&self);
}

/// A fault that is being handled.
pub trait Fault {
    /// Whether what was found at this address must not be installed, asked with the lock held under
    /// which it would be.
    fn must_retry(&self, address: Gva) -> bool;
}

/// Whether a memory slot overlaps a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slots {
    /// One does.
    Overlap,
    /// None does.
    Elsewhere,
}
