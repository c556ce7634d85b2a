//! Devices that come to share a page table and leave it again.

use super::{Frame, Refused};

/// An address space of one page, which devices can be bound to, and a driver that is told when its
/// entry changes.
pub trait Binding: Send + Sync {
    /// Binds a device. `between` is called after each step of the driver, and before the first.
    ///
    /// # Errors
    /// [`Refused`] if the driver can't.
    fn attach(&self, device: DeviceId, between: &mut dyn FnMut()) -> Result<(), Refused>;

    /// Unbinds it.
    ///
    /// # Errors
    /// [`Refused`] if it is not bound.
    fn detach(&self, device: DeviceId) -> Result<(), Refused>;

    /// Gives the page another frame and tells secondary TLBs, with the page-table lock held; which
    /// frame it is.
    ///
    /// # Errors
    /// [`Refused`] if the address space can't.
    fn remap(&self, told: Told) -> Result<Frame, Refused>;

    /// The device reads the page: from which frame.
    ///
    /// # Errors
    /// [`Denied`] if it is not let through.
    fn access(&self, device: DeviceId) -> Result<Frame, Denied>;

    /// As [`access`](Self::access), for whoever does not ask why not.
    fn read(&self, device: DeviceId) -> Option<Frame> {
        self.access(device).ok()
    }

    /// Calls the driver's release once more, or beside another, as the end of the address space and
    /// unregistering may when they race.
    fn release(&self);

    /// The address space ends.
    ///
    /// # Errors
    /// [`Refused`] in a context in which it must not.
    fn exit(&self) -> Result<(), Refused>;
}

/// How much secondary TLBs are told when one page changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The page.
    Page,
    /// 512 pages, of which it is one.
    Block,
    /// Everything.
    Everything,
}

/// Why a device's access was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no translation, of which a device that is bound may get as many as it likes (Arm:
    /// quietly, without an event, if walks are switched off).
    NoTranslation,
    /// It is bound to nothing, or to a descriptor that is not valid (Arm: `C_BAD_CD`,
    /// `C_BAD_STREAMID`).
    NotBound,
}

/// One of two devices behind one IOMMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceId {
    /// One.
    One,
    /// The other.
    Two,
}
