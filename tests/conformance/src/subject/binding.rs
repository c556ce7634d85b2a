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
    fn remap(&self) -> Result<Frame, Refused>;

    /// The device reads the page: from which frame, or nothing if it is not let through.
    fn read(&self, device: DeviceId) -> Option<Frame>;

    /// The address space ends.
    ///
    /// # Errors
    /// [`Refused`] in a context in which it must not.
    fn exit(&self) -> Result<(), Refused>;
}

/// One of two devices behind one IOMMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceId {
    /// One.
    One,
    /// The other.
    Two,
}
