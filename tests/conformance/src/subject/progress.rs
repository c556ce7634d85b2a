//! A device that faults without end.

use notifier::addr::Gva;

use super::Refused;

/// A device that has cached the read-only entry of an address space's one page, and somebody who
/// watches whether it gets on.
pub trait Progress: Send + Sync {
    /// The page's address.
    fn page(&self) -> Gva;

    /// The entry becomes writable.
    ///
    /// # Errors
    /// [`Refused`] if the address space can't.
    fn upgrade(&self, announced: Announced) -> Result<(), Refused>;

    /// The device writes. A fault that the page table disagrees with is handled as a spurious one:
    /// there is nothing to do, nobody is told, and the device tries again, up to `tries` times.
    /// Whether it got through.
    fn write(&self, tries: u64) -> bool;

    /// Where no progress was found so far.
    fn stuck(&self) -> Vec<Gva>;
}

/// Who is told of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// Nobody, which is the bug.
    ToNobody,
    /// Secondary TLBs.
    ToSecondaryTlbs,
}
