//! Loading a payload image.

use std::io::Cursor;

use guest::abi::header::{Header, MAGIC};
use guest::abi::{VERSION, layout};
use linux_loader::loader::{Elf, KernelLoader};
use notifier::addr::Gpa;
use vm_memory::GuestAddress;

use crate::memory::Ram;

/// An image in memory, ready to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// Where ring 3 starts.
    pub(crate) entry: Gpa,
    /// What the image says of itself.
    pub(crate) header: Header,
}

/// Why a file is no payload.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not an ELF file that can be loaded.
    #[error("the payload is no ELF file that fits: {0}")]
    Elf(#[from] linux_loader::loader::Error),
    /// Loads something where it must not.
    #[error(
        "the payload reaches to {end:#x}, past the end of what an image may occupy ({limit:#x})",
        limit = layout::IMAGE_END
    )]
    TooLarge {
        /// End (exclusive) of the last segment.
        end: u64,
    },
    /// Starts somewhere else.
    #[error("the payload's entry point {0:#x} is not in the image")]
    Entry(u64),
    /// Is not one of ours.
    #[error("the payload does not begin with a payload's header")]
    NoHeader,
    /// Is one of another version.
    #[error("the payload is made for version {0} of the interface, not for {VERSION}")]
    Version(u64),
}

/// Puts `image` into memory and checks what it says of itself.
pub(crate) fn load(ram: &Ram, image: &[u8]) -> Result<Loaded, ImageError> {
    let lowest = GuestAddress(layout::IMAGE);
    let mut file = Cursor::new(image);
    let loaded = Elf::load(ram.backend(), None, &mut file, Some(lowest))?;
    let end = loaded.kernel_end;
    if end > layout::IMAGE_END {
        return Err(ImageError::TooLarge { end });
    }
    let entry = loaded.kernel_load.0;
    if !(layout::IMAGE..layout::IMAGE_END).contains(&entry) {
        return Err(ImageError::Entry(entry));
    }
    let entry = Gpa::new(entry);
    let header = read_header(ram)?;
    Ok(Loaded { entry, header })
}

fn read_header(ram: &Ram) -> Result<Header, ImageError> {
    let mut bytes = [0; Header::SIZE];
    let read = ram.read(Gpa::new(layout::IMAGE), &mut bytes);
    let header = Header::from_bytes(&bytes);
    if read.is_err() || header.magic != MAGIC {
        return Err(ImageError::NoHeader);
    }
    if header.version != VERSION {
        return Err(ImageError::Version(header.version));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Layout, MemoryConfig};

    fn try_load(image: &[u8]) -> Result<Loaded, ImageError> {
        let layout = Layout::new(&MemoryConfig::default()).unwrap();
        load(&Ram::new(layout).unwrap(), image)
    }

    /// The payload with eight bytes of its first program header changed.
    fn changed(offset: usize, value: u64) -> Vec<u8> {
        let mut image = guest::images::PAYLOAD.to_vec();
        let segments = u64::from_le_bytes(image[32..40].try_into().unwrap());
        let at = usize::try_from(segments).unwrap() + offset;
        image[at..at + 8].copy_from_slice(&value.to_le_bytes());
        image
    }

    #[test]
    fn the_payload_loads() {
        assert!(try_load(guest::images::PAYLOAD).is_ok());
    }

    #[test]
    fn what_is_not_a_payload_is_refused() {
        for image in [&b""[..], b"\x7fELF", &[0; 4096]] {
            assert!(matches!(try_load(image), Err(ImageError::Elf(_))));
        }
        for length in (0..guest::images::PAYLOAD.len()).step_by(97) {
            // Cut anywhere, it must give an error or a payload, never a panic.
            drop(try_load(&guest::images::PAYLOAD[..length]));
        }
    }

    #[test]
    fn segments_outside_the_image_are_refused() {
        let (address, size) = (24, 32);
        let high = try_load(&changed(address, layout::PAGE_TABLES));
        assert!(matches!(high, Err(ImageError::TooLarge { .. })), "{high:?}");
        let low = try_load(&changed(address, 0));
        assert!(matches!(low, Err(ImageError::NoHeader)), "{low:?}");
        for value in [u64::MAX, u64::MAX - 0xfff, 1 << 40] {
            assert!(try_load(&changed(address, value)).is_err());
            assert!(try_load(&changed(size, value)).is_err());
        }
    }
}
