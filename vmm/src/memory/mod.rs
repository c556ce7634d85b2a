//! Guest memory: where things are in it, and how they are read and written.

mod iommu;
mod layout;
mod ram;
mod slots;

pub use iommu::{InFlight, MOST_BYTES, SmmuIommu};
pub use layout::{Layout, LayoutError, MemoryConfig};
pub use ram::{OutsideMemory, Ram};
pub(crate) use slots::{DirtyLogging, PageTableSlot, Slot, map_into, page_table_slot};
