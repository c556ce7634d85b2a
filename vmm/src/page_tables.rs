//! The page tables a guest starts with.

use guest::abi::layout;
use notifier::addr::{Gpa, Gva, PageSize, Permissions};
use notifier::paging::{BuildError, Builder, Format, Leaf};

use crate::memory::Ram;

/// Pages of the window that a machine has entries for.
pub const WINDOW_PAGES: u64 = 64;

/// What was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Built {
    /// The root.
    pub(crate) root: Gpa,
    /// Where the entry of the window's first page stands; the others follow it.
    pub(crate) window: Gpa,
}

/// An ordinary page of `size` at `output`: used and written, so that no walker needs to mark it.
pub(crate) fn page(output: Gpa, size: PageSize, permissions: Permissions) -> Leaf {
    Leaf::page(output, size, permissions)
}

/// Maps memory one to one (as far as the payload needs it), the devices, and the tables for the
/// scenario's window with nothing in it.
pub(crate) fn build(format: &dyn Format, ram: &Ram) -> Result<Built, BuildError> {
    let mut builder = Builder::new(format, ram, ram.layout().page_tables())?;
    let everything = Permissions::all();
    let memory = ram.layout().memory();
    let end = memory.last().raw().min(layout::IDENTITY_END - 1);
    let large = PageSize::M2;
    for number in 0..=end >> large.shift() {
        let at = number << large.shift();
        let leaf = page(Gpa::new(at), large, everything);
        builder.map(Gva::new(at), &leaf)?;
    }
    let devices = page(Gpa::new(layout::MMIO), large, Permissions::READ_WRITE);
    builder.map(Gva::new(layout::MMIO), &devices)?;
    let window = builder.slot(Gva::new(layout::WINDOW), PageSize::K4)?;
    Ok(Built {
        root: builder.root(),
        window,
    })
}
