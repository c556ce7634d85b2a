//! The bits of an entry (SDM 3A, tables 4-15 to 4-20).

bitflags::bitflags! {
    /// A page-table entry of any level, as it stands in memory.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Entry: u64 {
        /// P: anything else counts only if this is set.
        const PRESENT = 1 << 0;
        /// R/W: stores are allowed.
        const WRITE = 1 << 1;
        /// U/S: unprivileged accesses are allowed.
        const USER = 1 << 2;
        /// PWT: low bit of the memory-type index.
        const WRITE_THROUGH = 1 << 3;
        /// PCD: middle bit of the memory-type index.
        const CACHE_DISABLE = 1 << 4;
        /// A: a walker used the entry.
        const ACCESSED = 1 << 5;
        /// D: the page was written; only in an entry that maps a page.
        const DIRTY = 1 << 6;
        /// PS: the entry maps a page (above level 0). At level 0 the same bit is PAT.
        const LARGE = 1 << 7;
        /// G: survives a change of address space.
        const GLOBAL = 1 << 8;
        /// XD: instruction fetches are not allowed.
        const NO_EXECUTE = 1 << 63;

        // All other bits are an address, reserved, or software's; unknown to this type but kept.
        const _ = !0;
    }
}

/// PAT, the high bit of the memory-type index, in an entry that maps 4 KiB.
pub(super) const PAT_SMALL: u64 = 1 << 7;
/// PAT in an entry that maps a larger page.
pub(super) const PAT_LARGE: u64 = 1 << 12;
/// Bits 51:12, of which those at and above MAXPHYADDR are reserved.
pub(super) const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Bits 11:9, ignored by hardware.
const SOFTWARE_LOW: u64 = 0x0e00;
/// Bits 62:52, ignored by hardware while protection keys are off.
const SOFTWARE_HIGH: u64 = 0x7ff0_0000_0000_0000;

impl Entry {
    /// The entry with these bits.
    pub const fn new(raw: u64) -> Self {
        Self::from_bits_retain(raw)
    }

    /// The bits.
    pub const fn raw(self) -> u64 {
        self.bits()
    }

    /// The bits that hardware ignores: 11:9 lowest, then 62:52.
    pub fn software(self) -> u16 {
        let low = (self.raw() & SOFTWARE_LOW) >> 9;
        let high = (self.raw() & SOFTWARE_HIGH) >> 52;
        u16::try_from(high << 3 | low).unwrap_or(u16::MAX)
    }

    /// This entry with the bits that hardware ignores set from [`software`](Self::software)'s form.
    #[must_use]
    pub fn with_software(self, bits: u16) -> Self {
        let bits = u64::from(bits);
        let kept = self.raw() & !(SOFTWARE_LOW | SOFTWARE_HIGH);
        let high = ((bits >> 3) << 52) & SOFTWARE_HIGH;
        Self::new(kept | (bits << 9) & SOFTWARE_LOW | high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_bits_round_trip_and_touch_nothing_else() {
        let entry = Entry::new(0x8000_1234_5678_90e7);
        for bits in [0, 1, 7, 8, 0x3fff, 0x2aaa] {
            let tagged = entry.with_software(bits);
            assert_eq!(tagged.software(), bits);
            assert_eq!(tagged.with_software(0), entry.with_software(0));
        }
    }
}
