//! A write to a page-table page, as the guest made it.

use notifier::addr::{Address, Gpa};
use notifier::paging::{NoMemory, TableMemory};

use crate::memory::{OutsideMemory, Ram};

/// One to eight bytes at any address, which may be part of an entry, or parts of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageTableWrite {
    address: Gpa,
    bytes: [u8; 8],
    length: u8,
}

/// A number of bytes that no store has, or an address at the end of the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes at {address} are not one store")]
pub struct NotAWrite {
    /// First byte.
    pub address: Gpa,
    /// How many.
    pub length: u64,
}

impl PageTableWrite {
    /// The store of `bytes` at `address`.
    ///
    /// # Errors
    /// [`NotAWrite`] unless there are 1 to 8 of them and the last has an address.
    pub fn new(address: Gpa, bytes: &[u8]) -> Result<Self, NotAWrite> {
        let length = bytes.len() as u64;
        let refused = NotAWrite { address, length };
        let fits = (1..=8).contains(&length) && address.checked_add(length - 1).is_some();
        let mut held = [0; 8];
        if !fits {
            return Err(refused);
        }
        held[..bytes.len()].copy_from_slice(bytes);
        let length = u8::try_from(length).map_err(|_| refused)?;
        Ok(Self {
            address,
            bytes: held,
            length,
        })
    }

    /// The store of a whole entry at `slot`, a multiple of 8.
    pub fn entry(slot: Gpa, entry: u64) -> Self {
        Self {
            address: slot,
            bytes: entry.to_le_bytes(),
            length: 8,
        }
    }

    /// First byte's address.
    pub fn address(&self) -> Gpa {
        self.address
    }

    /// The bytes, in order of address.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Makes the write, exactly these bytes: in one access where it is a whole entry.
    ///
    /// # Errors
    /// [`OutsideMemory`].
    pub fn make(&self, ram: &Ram) -> Result<(), OutsideMemory> {
        let aligned = self.address.raw().is_multiple_of(8);
        if aligned && self.length == 8 {
            ram.publish(self.address, u64::from_le_bytes(self.bytes))
        } else {
            ram.write(self.address, self.bytes())
        }
    }

    /// The entries that it touches, each with what it will be: one, or two for a write that
    /// crosses from one entry into the next.
    ///
    /// # Errors
    /// [`NoMemory`] if one has no memory.
    pub fn entries(&self, memory: &dyn TableMemory) -> Result<Vec<(Gpa, u64)>, NoMemory> {
        self.slots()
            .map(|slot| Ok((slot, self.overlay(slot, memory.read_entry(slot)?))))
            .collect()
    }

    /// Addresses of the entries that it touches.
    pub fn slots(&self) -> impl Iterator<Item = Gpa> + use<> {
        let first = self.address.raw() & !7;
        let last = (self.address.raw() + u64::from(self.length) - 1) & !7;
        (first..=last).step_by(8).map(Gpa::new)
    }

    /// `entry`, which stands at `slot`, with the bytes of this write that fall on it.
    fn overlay(&self, slot: Gpa, entry: u64) -> u64 {
        let mut bytes = entry.to_le_bytes();
        for (offset, byte) in (0..).zip(self.bytes()) {
            let at = self.address.raw() + offset;
            let within = at
                .checked_sub(slot.raw())
                .and_then(|at| usize::try_from(at).ok());
            if let Some(place) = within.and_then(|at| bytes.get_mut(at)) {
                *place = *byte;
            }
        }
        u64::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two entries at 0x1000.
    struct Two([u64; 2]);

    impl TableMemory for Two {
        fn read_entry(&self, address: Gpa) -> Result<u64, NoMemory> {
            let index = usize::try_from((address.raw() - 0x1000) / 8).unwrap();
            self.0.get(index).copied().ok_or(NoMemory(address))
        }
    }

    fn entries(address: u64, bytes: &[u8]) -> Vec<(u64, u64)> {
        let memory = Two([0x1111_1111_1111_1111, 0x2222_2222_2222_2222]);
        let write = PageTableWrite::new(Gpa::new(address), bytes).unwrap();
        let entries = write.entries(&memory).unwrap();
        entries
            .into_iter()
            .map(|(slot, entry)| (slot.raw(), entry))
            .collect()
    }

    #[test]
    fn every_width_changes_its_own_bytes_only() {
        for width in 1..=8 {
            let found = entries(0x1000, &vec![0xff; width]);
            let kept = u32::try_from(8 * width).unwrap();
            let mask = u64::MAX.checked_shl(kept).unwrap_or(0);
            assert_eq!(found, [(0x1000, 0x1111_1111_1111_1111 & mask | !mask)]);
        }
    }

    #[test]
    fn a_write_across_two_entries_changes_parts_of_both() {
        let found = entries(0x1006, &[0xa, 0xb, 0xc]);
        assert_eq!(
            found,
            [
                (0x1000, 0x0b0a_1111_1111_1111),
                (0x1008, 0x2222_2222_2222_220c)
            ]
        );
    }

    #[test]
    fn what_is_not_one_store_is_refused() {
        assert!(PageTableWrite::new(Gpa::new(0), &[]).is_err());
        assert!(PageTableWrite::new(Gpa::new(0), &[0; 9]).is_err());
        assert!(PageTableWrite::new(Gpa::new(u64::MAX), &[0; 2]).is_err());
    }
}
