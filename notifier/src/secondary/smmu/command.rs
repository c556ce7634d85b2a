//! The commands by which a driver invalidates, and their 16 bytes (`IHI0070` 4.4, 4.5, 4.7).

use std::fmt;

use super::Granule;
use crate::addr::{AddrRange, Address, Asid, Iova, PageSize, StreamId};
use crate::secondary::AlignedSpan;

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// `CMD_TLBI_NH_VA`: some addresses of one ASID.
    TlbiVa(TlbiVa),
    /// `CMD_TLBI_NH_ASID`: everything of one ASID.
    TlbiAsid(Asid),
    /// `CMD_ATC_INV`: some addresses of the device TLB behind one stream.
    AtcInv(StreamId, AlignedSpan),
    /// `CMD_SYNC`: every earlier command is complete when this one is.
    Sync,
}

/// Which entries of a walk an invalidation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Levels {
    /// Also the tables on the way: walk caches go too. What SVA must ask for, as it is not told
    /// whether a table was freed.
    All,
    /// Only the pages at the last level: nothing but those changed.
    Leaf,
}

/// `CMD_TLBI_NH_VA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TlbiVa {
    /// Whose translations.
    pub asid: Asid,
    /// The first address, or any address of the one page.
    pub address: Iova,
    /// Whether cached tables go too.
    pub levels: Levels,
    /// How many pages, if it is a range command; else it is for the page of `address`.
    pub pages: Option<RangeOperand>,
}

/// How many pages a range command is for: (NUM + 1) * 2^SCALE, never with both fields zero.
///
/// With both zero and no level named (TTL), the encoding is not one of a range; Linux avoids it by
/// adding a page, and here it can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RangeOperand {
    granule: Granule,
    num: u8,
    scale: u8,
}

impl RangeOperand {
    /// The largest multiplier that Linux uses (`CMDQ_TLBI_RANGE_NUM_MAX`).
    pub const MAX_MULTIPLIER: u64 = 31;
    /// The largest SCALE that its field can hold.
    pub const MAX_SCALE: u32 = 31;

    /// `multiplier` * 2^`scale` pages; `None` for a field that can't be encoded, and for one page.
    pub fn new(granule: Granule, multiplier: u64, scale: u32) -> Option<Self> {
        let fits = (1..=Self::MAX_MULTIPLIER).contains(&multiplier) && scale <= Self::MAX_SCALE;
        if !fits || (multiplier == 1 && scale == 0) {
            return None;
        }
        Some(Self {
            granule,
            num: u8::try_from(multiplier - 1).ok()?,
            scale: u8::try_from(scale).ok()?,
        })
    }

    /// The number of pages.
    pub fn pages(self) -> u64 {
        (u64::from(self.num) + 1) << self.scale
    }

    /// The size of each.
    pub fn granule(self) -> Granule {
        self.granule
    }

    /// The NUM field, one less than the multiplier.
    pub fn num(self) -> u8 {
        self.num
    }

    /// The SCALE field.
    pub fn scale(self) -> u8 {
        self.scale
    }
}

impl TlbiVa {
    /// The addresses that it is for; `granule` is that of the tables, which a command without an
    /// operand does not name. A range that would pass the top of the address space ends there.
    pub fn range(&self, granule: Granule) -> AddrRange<Iova> {
        let Some(pages) = self.pages else {
            return AddrRange::page(self.address, granule.page());
        };
        let page = pages.granule().page();
        let start = self.address.align_down(page);
        let bytes = pages.pages().saturating_mul(page.bytes());
        AddrRange::from_length(start, bytes).unwrap_or_else(|_| to_the_top(start))
    }

    /// The only page size whose entries it is certain to drop, if it names a level.
    pub fn only_size(&self) -> Option<PageSize> {
        let pages = self.pages?;
        (self.levels == Levels::Leaf).then_some(pages.granule().page())
    }

    /// The TTL field: 0 for any level, 3 for the last. It means something only beside TG.
    fn ttl(&self) -> u64 {
        self.only_size().map_or(0, |_| 3)
    }

    fn encode(&self) -> [u64; 2] {
        let mut low = 0x12 | u64::from(self.asid.0) << 48;
        let mut high = self.address.align_down(PageSize::K4).raw();
        high |= self.ttl() << 8 | u64::from(self.levels == Levels::Leaf);
        if let Some(pages) = self.pages {
            low |= u64::from(pages.num) << 12 | u64::from(pages.scale) << 20;
            high |= pages.granule.field() << 10;
        }
        [low, high]
    }
}

fn to_the_top(start: Iova) -> AddrRange<Iova> {
    AddrRange::through(start, Iova::new(u64::MAX)).unwrap_or(AddrRange::all())
}

impl Command {
    /// Whether it invalidates the SMMU's own TLB.
    pub fn is_tlbi(&self) -> bool {
        matches!(self, Self::TlbiVa(_) | Self::TlbiAsid(_))
    }

    /// The command's two words. VMID and SubstreamID are 0 (SSV clear); a CMD_SYNC raises no
    /// signal (CS = 0).
    pub fn encode(&self) -> [u64; 2] {
        match self {
            Self::TlbiVa(tlbi) => tlbi.encode(),
            Self::TlbiAsid(asid) => [0x11 | u64::from(asid.0) << 48, 0],
            Self::AtcInv(stream, span) => [
                0x40 | u64::from(stream.0) << 32,
                span.start().raw() | u64::from(span.order()),
            ],
            Self::Sync => [0x46, 0],
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TlbiVa(tlbi) => {
                write!(f, "TLBI_NH_VA asid {} at {}", tlbi.asid, tlbi.address)?;
                tlbi.pages.map_or(Ok(()), |pages| {
                    write!(f, ", {} pages of {}", pages.pages(), pages.granule().page())
                })
            }
            Self::TlbiAsid(asid) => write!(f, "TLBI_NH_ASID asid {asid}"),
            Self::AtcInv(stream, span) => write!(f, "ATC_INV stream {stream} {}", span.range()),
            Self::Sync => f.write_str("SYNC"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlbi(levels: Levels, pages: Option<RangeOperand>) -> Command {
        Command::TlbiVa(TlbiVa {
            asid: Asid(0xabcd),
            address: Iova::new(0x1234_5000),
            levels,
            pages,
        })
    }

    /// Field by field, by the masks of Linux's `arm-smmu-v3.h`.
    #[test]
    fn fields_are_where_the_specification_has_them() {
        let page = tlbi(Levels::All, None).encode();
        assert_eq!(page, [0xabcd_0000_0000_0012, 0x1234_5000]);
        let operand = RangeOperand::new(Granule::K64, 31, 5);
        let range = tlbi(Levels::All, operand).encode();
        assert_eq!(range[0], 0xabcd << 48 | 5 << 20 | 30 << 12 | 0x12);
        assert_eq!(range[1], 0x1234_5000 | 3 << 10);
        let leaf = tlbi(Levels::Leaf, operand).encode();
        assert_eq!(leaf[1], 0x1234_5000 | 3 << 10 | 3 << 8 | 1);
        let leaf_page = tlbi(Levels::Leaf, None).encode();
        assert_eq!(leaf_page[1], 0x1234_5000 | 1, "no TTL without TG");
        assert_eq!(Command::TlbiAsid(Asid(7)).encode(), [7 << 48 | 0x11, 0]);
        assert_eq!(Command::Sync.encode(), [0x46, 0]);
    }

    #[test]
    fn a_device_tlb_invalidation_carries_address_and_order() {
        let range = AddrRange::new(Iova::new(0x7000), Iova::new(0xb000)).unwrap();
        let some = Command::AtcInv(StreamId(9), AlignedSpan::covering(range));
        assert_eq!(some.encode(), [9 << 32 | 0x40, 4]);
        let all = Command::AtcInv(StreamId(9), AlignedSpan::covering(AddrRange::all()));
        assert_eq!(all.encode(), [9 << 32 | 0x40, 52]);
    }

    #[test]
    fn no_operand_has_both_fields_zero() {
        assert_eq!(RangeOperand::new(Granule::K4, 1, 0), None);
        assert_eq!(RangeOperand::new(Granule::K4, 32, 0), None);
        assert_eq!(RangeOperand::new(Granule::K4, 1, 32), None);
        let largest = RangeOperand::new(Granule::K4, 31, 31).unwrap();
        assert_eq!(largest.pages(), 31 << 31);
    }

    #[test]
    fn a_range_past_the_top_ends_there() {
        let operand = RangeOperand::new(Granule::K4, 2, 0);
        let address = Iova::new(u64::MAX - 0xfff);
        let tlbi = TlbiVa {
            asid: Asid(1),
            address,
            levels: Levels::All,
            pages: operand,
        };
        let range = tlbi.range(Granule::K4);
        assert_eq!(
            (range.start(), range.last()),
            (address, Iova::new(u64::MAX))
        );
    }
}
