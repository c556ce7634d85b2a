//! The x86-64 format: four levels of 512 entries (Intel SDM volume 3A, 4.5).

mod entry;
mod format;

pub use entry::Entry;
pub use format::X86_64;
