//! Several address spaces behind one IOMMU, and a device that moves between them.

use super::{Frame, Refused};

/// A driver's domains, each with an address space of one page, and one device.
pub trait Domains: Send + Sync {
    /// A new domain with a new address space, whose page has a frame of its own.
    ///
    /// # Errors
    /// [`Refused`] if there is room for no more.
    fn create(&self) -> Result<DomainId, Refused>;

    /// Frees it. The device is not bound to it any more.
    ///
    /// # Errors
    /// [`Refused`] if there is no such domain.
    fn destroy(&self, domain: DomainId) -> Result<(), Refused>;

    /// Moves the device to a domain from whichever it is bound to. `between` is called after each
    /// step of the driver, and before the first.
    ///
    /// # Errors
    /// [`Refused`] if there is no such domain.
    fn attach(&self, domain: DomainId, between: &mut dyn FnMut()) -> Result<(), Refused>;

    /// The tag of the domain's entries in the IOMMU's TLB.
    ///
    /// # Errors
    /// [`Refused`] if there is no such domain.
    fn tag(&self, domain: DomainId) -> Result<u64, Refused>;

    /// Gives the domain's page another frame and tells secondary TLBs; which frame it is.
    ///
    /// # Errors
    /// [`Refused`] if there is no such domain.
    fn remap(&self, domain: DomainId) -> Result<Frame, Refused>;

    /// The device reads the page: from which frame, or nothing if it is not let through.
    fn read(&self) -> Option<Frame>;
}

/// Which domain; none is ever used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainId(pub u64);
