//! What the bits mean, level by level.

use super::Entry;
use super::entry::{ADDRESS, PAT_LARGE, PAT_SMALL};
use crate::addr::{Access, Gpa, Gva, PageSize, Permissions};
use crate::paging::{Format, Leaf, LeafHints, Level, Malformed, Meaning};

/// x86-64 four-level paging of a machine with a given physical-address width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct X86_64 {
    /// MAXPHYADDR: address bits at and above it are reserved.
    physical_bits: u8,
}

impl X86_64 {
    /// Four-level paging with this many physical-address bits; widths outside what the format can
    /// hold (12 to 52) are taken as the nearest it can.
    pub const fn four_level(physical_bits: u8) -> Self {
        let physical_bits = match physical_bits {
            0..12 => 12,
            12..=52 => physical_bits,
            _ => 52,
        };
        Self { physical_bits }
    }

    /// The bits that must be zero in a present entry of this level (SDM 3A, 4.5.4).
    fn reserved(self, entry: Entry, level: Level) -> u64 {
        let beyond_memory = ADDRESS & !((1 << self.physical_bits) - 1);
        let by_kind = match (level.0, entry.contains(Entry::LARGE)) {
            (3.., true) => Entry::LARGE.raw(),
            (1 | 2, true) => self.span(level).offset_mask() & ADDRESS & !PAT_LARGE,
            _ => 0,
        };
        entry.raw() & (beyond_memory | by_kind)
    }

    fn leaf(self, entry: Entry, level: Level) -> Leaf {
        let size = self.span(level);
        let pat = if level.0 == 0 { PAT_SMALL } else { PAT_LARGE };
        let bit = |mask: u64, value: u8| if entry.raw() & mask == 0 { 0 } else { value };
        Leaf {
            output: Gpa::new(entry.raw() & ADDRESS & !size.offset_mask()),
            size,
            permissions: permissions(entry),
            accessed: entry.contains(Entry::ACCESSED),
            dirty: entry.contains(Entry::DIRTY),
            global: entry.contains(Entry::GLOBAL),
            memory_type: bit(Entry::WRITE_THROUGH.raw(), 1)
                | bit(Entry::CACHE_DISABLE.raw(), 2)
                | bit(pat, 4),
            software: entry.software(),
            hints: LeafHints::empty(),
        }
    }
}

fn permissions(entry: Entry) -> Permissions {
    let mut allowed = Permissions::READ;
    allowed.set(Permissions::WRITE, entry.contains(Entry::WRITE));
    allowed.set(Permissions::USER, entry.contains(Entry::USER));
    allowed.set(Permissions::EXECUTE, !entry.contains(Entry::NO_EXECUTE));
    allowed
}

impl Format for X86_64 {
    fn root(&self) -> Level {
        Level(3)
    }

    fn entries(&self, _level: Level) -> usize {
        512
    }

    fn span(&self, level: Level) -> PageSize {
        PageSize::from_shift(12 + 9 * level.0.min(3)).unwrap_or(PageSize::K4)
    }

    /// Bits 63:47 are all alike (SDM 1, 3.3.7.1).
    fn is_canonical(&self, address: Gva) -> bool {
        matches!(address.raw() >> 47, 0 | 0x1_ffff)
    }

    /// Bit 47 repeated upwards.
    fn canonical(&self, translated: u64) -> Gva {
        let low = translated & 0xffff_ffff_ffff;
        let upper_half = low >> 47 == 1;
        Gva::new(if upper_half { low | 0xffff << 48 } else { low })
    }

    fn decode(&self, entry: u64, level: Level) -> Result<Meaning, Malformed> {
        let bits = Entry::new(entry);
        if !bits.contains(Entry::PRESENT) {
            return Ok(Meaning::NotPresent);
        }
        let reserved = self.reserved(bits, level);
        if reserved != 0 {
            return Err(Malformed::Reserved {
                entry,
                level,
                reserved,
            });
        }
        if level.0 == 0 || bits.contains(Entry::LARGE) {
            return Ok(Meaning::Leaf(self.leaf(bits, level)));
        }
        Ok(Meaning::Table {
            next: Gpa::new(entry & ADDRESS),
            limits: permissions(bits),
        })
    }

    fn encode_leaf(&self, leaf: &Leaf) -> Result<u64, Malformed> {
        let large = leaf.size != PageSize::K4;
        let level = match leaf.size {
            PageSize::K4 => Level(0),
            PageSize::M2 => Level(1),
            _ => Level(2),
        };
        let pat = if large { PAT_LARGE } else { PAT_SMALL };
        let type_bit = |value: u8, mask: u64| {
            if leaf.memory_type & value == 0 {
                0
            } else {
                mask
            }
        };
        let mut entry = Entry::new(leaf.output.raw() | type_bit(4, pat)) | Entry::PRESENT;
        for (flag, wanted) in [
            (Entry::WRITE, leaf.permissions.contains(Permissions::WRITE)),
            (Entry::USER, leaf.permissions.contains(Permissions::USER)),
            (
                Entry::NO_EXECUTE,
                !leaf.permissions.contains(Permissions::EXECUTE),
            ),
            (Entry::WRITE_THROUGH, leaf.memory_type & 1 != 0),
            (Entry::CACHE_DISABLE, leaf.memory_type & 2 != 0),
            (Entry::ACCESSED, leaf.accessed),
            (Entry::DIRTY, leaf.dirty),
            (Entry::GLOBAL, leaf.global),
            (Entry::LARGE, large),
        ] {
            if wanted {
                entry |= flag;
            }
        }
        let entry = entry.with_software(leaf.software).raw();
        match self.decode(entry, level) {
            Ok(Meaning::Leaf(said)) if said == *leaf => Ok(entry),
            Err(malformed) => Err(malformed),
            Ok(_) => Err(Malformed::NoEntry(*leaf)),
        }
    }

    fn encode_table(&self, next: Gpa) -> u64 {
        let open = Entry::PRESENT | Entry::WRITE | Entry::USER | Entry::ACCESSED;
        (Entry::new(next.raw() & ADDRESS) | open).raw()
    }

    /// SDM 3A, 4.8.
    fn marked(&self, entry: u64, access: Access) -> u64 {
        let mark = match access {
            Access::Read => Entry::ACCESSED,
            Access::Write => Entry::ACCESSED | Entry::DIRTY,
        };
        (Entry::new(entry) | mark).raw()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMAT: X86_64 = X86_64::four_level(40);

    #[test]
    fn each_level_refuses_its_reserved_bits() {
        let refused = |bits: u64, level| FORMAT.decode(bits | 1, Level(level)).is_err();
        let large = Entry::LARGE.raw();
        assert!(refused(1 << 40, 0), "beyond the physical address width");
        assert!(refused(large, 3), "a 512 GiB page");
        assert!(refused(large | 1 << 13, 1), "below a 2 MiB page's address");
        assert!(refused(large | 1 << 29, 2), "below a 1 GiB page's address");
        assert!(!refused(large | 1 << 12, 1), "PAT of a 2 MiB page");
        assert!(!refused(1 << 39, 0), "the highest physical address bit");
        assert!(!refused(large, 0), "PAT of a 4 KiB page");
    }

    #[test]
    fn a_write_marks_dirty_and_a_read_does_not() {
        let used = FORMAT.marked(0x1007, Access::Read);
        assert_eq!(used, 0x1007 | Entry::ACCESSED.raw());
        let written = FORMAT.marked(0x1007, Access::Write);
        assert_eq!(written, used | Entry::DIRTY.raw());
    }

    #[test]
    fn a_malformed_entry_that_is_not_present_means_nothing() {
        assert_eq!(FORMAT.decode(!1, Level(0)), Ok(Meaning::NotPresent));
    }

    #[test]
    fn a_leaf_that_the_format_cannot_say_is_refused() {
        let leaf = FORMAT.leaf(Entry::PRESENT | Entry::USER, Level(0));
        let unreadable = Leaf {
            permissions: Permissions::USER,
            ..leaf
        };
        let misaligned = Leaf {
            output: Gpa::new(0x1000),
            size: PageSize::M2,
            ..leaf
        };
        assert!(FORMAT.encode_leaf(&unreadable).is_err());
        assert!(FORMAT.encode_leaf(&misaligned).is_err());
    }

    proptest! {
        /// Whatever decodes as a page encodes to the same entry again.
        #[test]
        fn decoding_loses_nothing(entry: u64, level in 0..3u8) {
            if let Ok(Meaning::Leaf(leaf)) = FORMAT.decode(entry, Level(level)) {
                prop_assert_eq!(FORMAT.encode_leaf(&leaf), Ok(entry));
            }
        }
    }
}
