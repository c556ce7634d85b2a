//! A device whose use of a page is asked for.

use super::{Age, Refused};

/// A driver with page tables of its own, in an address space of one page that its device uses.
pub trait Aged: Send + Sync {
    /// The device uses the page.
    ///
    /// # Errors
    /// [`Refused`] if it can't.
    fn touch(&self) -> Result<(), Refused>;

    /// Asks through the address space whether it did.
    ///
    /// # Errors
    /// [`Refused`] if the contract forbids it.
    fn age(&self, question: Age) -> Result<bool, Refused>;
}
