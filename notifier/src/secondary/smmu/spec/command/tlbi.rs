//! What an invalidation by address is for: pages, a range, a level (`IHI0070` 4.4.1).

use super::super::super::Granule;
use crate::addr::{AddrRange, Address, Asid, Iova, PageSize, Vmid};

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
    /// In which virtual machine; 0 where there is no stage 2.
    pub vmid: Vmid,
    /// Whose translations.
    pub asid: Asid,
    /// Which addresses.
    pub span: TlbiSpan<Iova>,
}

impl TlbiVa {
    /// See [`TlbiSpan::range`].
    pub fn range(&self, granule: Granule) -> AddrRange<Iova> {
        self.span.range(granule)
    }

    /// See [`TlbiSpan::only_size`].
    pub fn only_size(&self) -> Option<PageSize> {
        self.span.only_size()
    }
}

/// The addresses that an invalidation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TlbiSpan<A> {
    /// The first address, or any address of the one page.
    pub address: A,
    /// Whether cached tables go too.
    pub levels: Levels,
    /// How many pages, if it is a range command; else it is for the page of `address`.
    pub pages: Option<RangeOperand>,
}

impl<A: Address> TlbiSpan<A> {
    /// The page of `address`, by a command without a range.
    pub fn page(address: A, levels: Levels) -> Self {
        let pages = None;
        Self {
            address,
            levels,
            pages,
        }
    }

    /// The addresses that it is for; `granule` is that of the tables, which a command without an
    /// operand does not name. A range that would pass the top of the address space ends there.
    pub fn range(&self, granule: Granule) -> AddrRange<A> {
        let Some(pages) = self.pages else {
            return AddrRange::page(self.address, granule.page());
        };
        let page = pages.granule().page();
        let start = self.address.align_down(page);
        let bytes = pages.pages().saturating_mul(page.bytes());
        AddrRange::from_length(start, bytes).unwrap_or_else(|_| to_the_top(start))
    }

    /// The only granule whose entries it is certain to drop, if it names one.
    pub fn only_granule(&self) -> Option<Granule> {
        self.pages.map(RangeOperand::granule)
    }

    /// The only page size whose entries it is certain to drop, if it names a level (TTL).
    pub fn only_size(&self) -> Option<PageSize> {
        let pages = self.pages?;
        pages.level()?.size(pages.granule())
    }
}

fn to_the_top<A: Address>(start: A) -> AddrRange<A> {
    AddrRange::through(start, A::new(u64::MAX)).unwrap_or(AddrRange::all())
}

/// A level of the tables that the TTL field can name; level 0 it can't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ttl {
    /// Level 1.
    Level1,
    /// Level 2.
    Level2,
    /// Level 3, the last.
    Level3,
}

impl Ttl {
    /// The field: 1 to 3.
    pub fn field(self) -> u64 {
        match self {
            Self::Level1 => 1,
            Self::Level2 => 2,
            Self::Level3 => 3,
        }
    }

    /// What the field names; `None` for any level. A 16 KiB granule has no blocks at level 1, so
    /// there hardware takes 1 as 0.
    pub(super) fn of(field: u64, granule: Granule) -> Option<Self> {
        match (field, granule) {
            (1, Granule::K16) => None,
            (1, _) => Some(Self::Level1),
            (2, _) => Some(Self::Level2),
            (3, _) => Some(Self::Level3),
            _ => None,
        }
    }

    /// The size of a block or page at this level. `None` where the granule has no blocks there.
    pub fn size(self, granule: Granule) -> Option<PageSize> {
        let page = granule.page().shift();
        // A table of one granule holds 8-byte entries, so it resolves three bits less.
        let bits = page - 3;
        match (self, granule) {
            (Self::Level3, _) => Some(granule.page()),
            (Self::Level2, _) => PageSize::from_shift(page + bits),
            (Self::Level1, Granule::K16) => None,
            (Self::Level1, _) => PageSize::from_shift(page + 2 * bits),
        }
    }
}

/// How many pages a range command is for: (NUM + 1) * 2^SCALE, and at which level, if it says so.
///
/// With NUM, SCALE and TTL all zero the encoding is reserved (`CERROR_ILL`); Linux avoids it by
/// adding a page, and here it can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RangeOperand {
    granule: Granule,
    num: u8,
    scale: u8,
    level: Option<Ttl>,
}

impl RangeOperand {
    /// The largest multiplier that Linux uses (`CMDQ_TLBI_RANGE_NUM_MAX`).
    pub const MAX_MULTIPLIER: u64 = 31;
    /// The largest SCALE that its field can hold (without IDR5.DS).
    pub const MAX_SCALE: u32 = 31;

    /// `multiplier` * 2^`scale` pages, of any level; `None` for a field that can't be encoded, for
    /// a multiplier that Linux does not use, and for one page.
    pub fn new(granule: Granule, multiplier: u64, scale: u32) -> Option<Self> {
        let fits = (1..=Self::MAX_MULTIPLIER).contains(&multiplier) && scale <= Self::MAX_SCALE;
        let num = u8::try_from(multiplier.checked_sub(1)?).ok()?;
        let scale = u8::try_from(scale).ok().filter(|_| fits)?;
        Self::of_fields(granule, num, scale, None)
    }

    /// The same, of this level only. `None` if the granule has no blocks there.
    pub fn at(self, level: Ttl) -> Option<Self> {
        let level = Some(level.size(self.granule).map(|_| level)?);
        Some(Self { level, ..self })
    }

    /// From the fields of a command; `None` for what is reserved. `num` and `scale` have five bits.
    pub(super) fn of_fields(
        granule: Granule,
        num: u8,
        scale: u8,
        level: Option<Ttl>,
    ) -> Option<Self> {
        let reserved = num == 0 && scale == 0 && level.is_none();
        let operand = Self {
            granule,
            num,
            scale,
            level,
        };
        (!reserved).then_some(operand)
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

    /// The level that the TTL field names, if any.
    pub fn level(self) -> Option<Ttl> {
        self.level
    }
}
