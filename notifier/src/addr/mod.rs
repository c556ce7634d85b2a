//! Addresses, ranges and permissions: the types that cross every other module's edge.

mod access;
mod address;
mod page_size;
mod range;
mod tag;

pub use access::{Access, Permissions};
pub use address::{Address, Gpa, Gva, Iova, Ipa};
pub use page_size::PageSize;
pub use range::{AddrRange, RangeError};
pub use tag::{Asid, StreamId, SubstreamId, Vmid};
