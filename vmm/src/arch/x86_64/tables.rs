//! The system tables in guest memory.

use guest::abi::header::Header;
use guest::abi::{layout, x86_64};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use super::descriptors::{gate, global_table};
use super::task::TaskState;
use crate::arch::{ArchError, Result};

/// Writes what all vCPUs share (GDT, IDT) and what each of the first `vcpus` has of its own (task
/// state, the stack words of the ring-0 stub), for an image with this header.
///
/// # Errors
///
/// If there are too many vCPUs, the header makes no sense, or memory ends before
/// [`layout::SYSTEM_END`].
pub fn write_system_tables<M>(memory: &M, vcpus: u64, header: &Header) -> Result<()>
where
    M: Bytes<GuestAddress, E = GuestMemoryError>,
{
    if vcpus > layout::MAX_VCPUS {
        return Err(ArchError::TooManyVcpus(vcpus));
    }
    let last_vector = header
        .vectors
        .saturating_add((x86_64::GATES - 1) * x86_64::VECTOR_STRIDE);
    in_image("first exception entry", header.vectors)?;
    in_image("interrupt entry", last_vector)?;
    in_image("fatal-fault entry", header.fatal)?;

    let write = |address: u64, bytes: &[u8]| {
        let address = GuestAddress(address);
        memory
            .write_slice(bytes, address)
            .map_err(|source| ArchError::Memory { address, source })
    };
    write(x86_64::GDT, &global_table().map(u64::to_le_bytes).concat())?;
    let gates = (0..x86_64::GATES).map(|n| gate(n, header.vectors + n * x86_64::VECTOR_STRIDE));
    write(
        x86_64::IDT,
        &gates.flat_map(u128::to_le_bytes).collect::<Vec<_>>(),
    )?;
    for index in 0..vcpus {
        let area = x86_64::system(index);
        write(area + x86_64::TASK, &TaskState::of_vcpu(index).to_bytes())?;
        for (word, value) in [
            (x86_64::RECOVER, 0),
            (x86_64::FATAL, header.fatal),
            // It answers from its first instruction on, so whoever asks before may wait for it,
            // and there is no moment at which it could have a translation and not be asked.
            (x86_64::ONLINE, 1),
        ] {
            let word = area + x86_64::STUB_STACK + word;
            write(word, &u64::to_le_bytes(value))?;
        }
    }
    Ok(())
}

fn in_image(what: &'static str, address: u64) -> Result<()> {
    let inside = (layout::IMAGE..layout::IMAGE_END).contains(&address);
    if inside {
        Ok(())
    } else {
        Err(ArchError::OutsideImage { what, address })
    }
}

#[cfg(test)]
mod tests {
    use vm_memory::GuestMemoryMmap;

    use super::*;

    const HEADER: Header = Header {
        magic: 0,
        version: 0,
        vectors: 0x10_1000,
        fatal: 0x10_2000,
    };

    fn memory(bytes: usize) -> GuestMemoryMmap {
        GuestMemoryMmap::from_ranges(&[(GuestAddress(0), bytes)]).unwrap()
    }

    #[test]
    fn every_vcpu_gets_its_fatal_entry_and_no_recovery_point() {
        let memory = memory(0x80_0000);
        write_system_tables(&memory, layout::MAX_VCPUS, &HEADER).unwrap();
        for index in 0..layout::MAX_VCPUS {
            let words = x86_64::system(index) + x86_64::STUB_STACK;
            let word = |offset| {
                memory
                    .read_obj::<u64>(GuestAddress(words + offset))
                    .unwrap()
            };
            assert_eq!(
                (word(x86_64::RECOVER), word(x86_64::FATAL)),
                (0, HEADER.fatal)
            );
        }
    }

    #[test]
    fn memory_that_ends_too_early_is_reported_with_the_address() {
        let result = write_system_tables(&memory(0x20_0000), 1, &HEADER);
        assert!(
            matches!(result, Err(ArchError::Memory { address, .. }) if address.0 == x86_64::GDT)
        );
    }

    #[test]
    fn a_header_that_points_out_of_the_image_is_refused() {
        let memory = memory(0x80_0000);
        let header = Header {
            vectors: layout::IMAGE_END - x86_64::VECTOR_STRIDE,
            ..HEADER
        };
        let result = write_system_tables(&memory, 1, &header);
        assert!(matches!(
            result,
            Err(ArchError::OutsideImage {
                what: "interrupt entry",
                ..
            })
        ));
        let header = Header {
            vectors: u64::MAX,
            ..HEADER
        };
        assert!(write_system_tables(&memory, 1, &header).is_err());
        let header = Header { fatal: 0, ..HEADER };
        assert!(write_system_tables(&memory, 1, &header).is_err());
    }

    #[test]
    fn more_vcpus_than_the_layout_has_are_refused() {
        let result = write_system_tables(&memory(0x80_0000), layout::MAX_VCPUS + 1, &HEADER);
        assert!(matches!(result, Err(ArchError::TooManyVcpus(9))));
    }
}
