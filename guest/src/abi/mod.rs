//! The numbers that the guest payload and its machine share: memory map, operations, device
//! registers and structures. Addresses are guest-physical and, because the payload runs on an
//! identity map, guest-virtual too. All ranges are half-open, all sizes are in bytes.

pub mod dma;
pub mod header;
pub mod layout;
pub mod litmus;
pub mod op;
pub mod pattern;
pub mod port;
pub mod probe;
pub mod program;
pub mod smmu;
mod words;
pub mod x86_64;

/// Version of everything in this module; an image built for another one is refused.
pub const VERSION: u64 = 2;
