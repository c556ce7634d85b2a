//! The x86-64 half of the run-time. The payload runs in ring 3, over the ring-0 stub of `stub`.
#![allow(unsafe_code, reason = "this is the layer that talks to the processor")]

mod bytes;
mod clock;
mod entry;
mod fatal;
mod fault;
mod interrupt;
mod mailbox;
mod memory;
pub mod port;
mod start;
mod stub;
mod translation;

pub use clock::{count_in_ring_0, count_in_ring_3, ticks};
pub use entry::Entry;
pub use interrupt::interrupt;
pub use mailbox::{Mailbox, this_vcpu};
pub use memory::Memory;
pub use translation::{invalidate, invalidate_all, jump};
