//! The payload images, as ELF files to be loaded at [`layout::IMAGE`](crate::abi::layout::IMAGE).

macro_rules! image {
    ($name:expr) => {
        include_bytes!(concat!(env!("PAYLOAD_DIR"), "/", $name))
    };
}

macro_rules! hostile {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, image!(concat!("hostile-", $name)))),+]
    };
}

/// The interpreter of scenario programs.
pub const PAYLOAD: &[u8] = image!("payload");

/// Images that misbehave, by name; each must leave the machine with a typed error or a clean
/// exit, never with a hang or a crash.
pub const HOSTILE: &[(&str, &[u8])] = hostile![
    "triple-fault",
    "spin",
    "jump-mmio",
    "write-outside",
    "fatal-fault",
    "interrupts",
    "dma",
    "panic",
];

/// The hostile image of this name.
pub fn hostile(name: &str) -> Option<&'static [u8]> {
    HOSTILE
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, image)| *image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::header::{Header, MAGIC};
    use crate::abi::{VERSION, layout};

    fn word(image: &[u8], offset: usize) -> u64 {
        u64::from_le_bytes(image[offset..offset + 8].try_into().unwrap())
    }

    /// Header of the one loadable segment of an ELF-64 image.
    fn header(image: &[u8]) -> Header {
        assert_eq!(&image[..4], b"\x7fELF");
        let segment = usize::try_from(word(image, 32)).unwrap();
        let (offset, address, size) = (
            word(image, segment + 8),
            word(image, segment + 24),
            word(image, segment + 40),
        );
        assert_eq!(address, layout::IMAGE);
        assert!(size <= layout::IMAGE_END - layout::IMAGE);
        let offset = usize::try_from(offset).unwrap();
        Header::from_bytes(image[offset..offset + Header::SIZE].try_into().unwrap())
    }

    #[test]
    fn every_image_begins_with_its_header() {
        for image in HOSTILE.iter().map(|(_, image)| *image).chain([PAYLOAD]) {
            let header = header(image);
            assert_eq!((header.magic, header.version), (MAGIC, VERSION));
            for address in [header.vectors, header.fatal, word(image, 24)] {
                assert!(
                    (layout::IMAGE..layout::IMAGE_END).contains(&address),
                    "{address:#x}"
                );
            }
        }
    }

    #[test]
    fn images_do_not_name_the_checkout() {
        let directory = env!("CARGO_MANIFEST_DIR").as_bytes();
        for image in HOSTILE.iter().map(|(_, image)| *image).chain([PAYLOAD]) {
            assert!(
                !image
                    .windows(directory.len())
                    .any(|bytes| bytes == directory)
            );
        }
    }

    #[test]
    fn hostile_images_are_found_by_name() {
        assert!(hostile("spin").is_some());
        assert!(hostile("tame").is_none());
    }
}
