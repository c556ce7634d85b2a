//! The first bytes of a payload image.

use super::words::words;

/// `"STALEMT1"`, little-endian.
pub const MAGIC: u64 = u64::from_le_bytes(*b"STALEMT1");

words! {
    /// What the machine must know of an image beyond its ELF entry point, at
    /// [`layout::IMAGE`](super::layout::IMAGE).
    pub struct Header {
        /// [`MAGIC`].
        magic,
        /// [`VERSION`](super::VERSION).
        version,
        /// Address of the first exception entry of the ring-0 stub; entry *n* is
        /// [`VECTOR_STRIDE`](super::x86_64::VECTOR_STRIDE) · *n* bytes further on.
        vectors,
        /// Address at which ring 3 continues after a fault that nobody asked for.
        fatal,
    }
}
