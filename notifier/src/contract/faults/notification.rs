//! A notification on its way to one subscriber.

use std::fmt;

use super::MisTag;
use crate::addr::{AddrRange, Address, Gva, PageSize};
use crate::contract::RangeEvent;

/// What a subscriber is about to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notification {
    /// The start of a range invalidation.
    RangeStart(RangeEvent),
    /// Its end.
    RangeEnd(RangeEvent),
    /// A secondary-TLB invalidation.
    SecondaryTlb(AddrRange<Gva>),
}

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Notification::RangeStart`]
    RangeStart,
    /// [`Notification::RangeEnd`]
    RangeEnd,
    /// [`Notification::SecondaryTlb`]
    SecondaryTlb,
}

impl Notification {
    /// Which of the three it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::RangeStart(_) => Kind::RangeStart,
            Self::RangeEnd(_) => Kind::RangeEnd,
            Self::SecondaryTlb(_) => Kind::SecondaryTlb,
        }
    }

    /// The addresses it is about.
    pub fn range(&self) -> AddrRange<Gva> {
        match self {
            Self::RangeStart(event) | Self::RangeEnd(event) => event.range,
            Self::SecondaryTlb(range) => *range,
        }
    }

    fn with_range(self, range: AddrRange<Gva>) -> Self {
        match self {
            Self::RangeStart(event) => Self::RangeStart(RangeEvent { range, ..event }),
            Self::RangeEnd(event) => Self::RangeEnd(RangeEvent { range, ..event }),
            Self::SecondaryTlb(_) => Self::SecondaryTlb(range),
        }
    }

    /// Without its last `pages` pages; `None` if no page would be left.
    pub(super) fn shortened(self, pages: u64) -> Option<Self> {
        let range = self.range();
        let left = range.pages(PageSize::K4).checked_sub(pages)?;
        let beyond_first = left.checked_sub(1)?.checked_mul(PageSize::K4.bytes())?;
        let first_page = range.start().align_down(PageSize::K4);
        let last_page = first_page.checked_add(beyond_first)?;
        let last = last_page.checked_add(PageSize::K4.offset_mask())?;
        let shorter = AddrRange::through(range.start(), last.min(range.last())).ok()?;
        self.unless_same(shorter)
    }

    /// With `pages` pages more at each end, as far as there are any.
    pub(super) fn widened(self, pages: u64) -> Option<Self> {
        let range = self.range();
        let more = pages.saturating_mul(PageSize::K4.bytes());
        let first = range.start().align_down(PageSize::K4).raw();
        let last = range.last().raw() | PageSize::K4.offset_mask();
        let first = Gva::new(first.saturating_sub(more));
        let last = Gva::new(last.saturating_add(more));
        self.unless_same(AddrRange::through(first, last).ok()?)
    }

    /// Under a wrong label; `None` if it has no such label, or the wrong one is the right one.
    /// A wrong address space is not the notification's label but its addressee.
    pub(super) fn mis_tagged(self, label: MisTag) -> Option<Self> {
        match (label, self) {
            (MisTag::Pages(pages), _) => self.moved(pages),
            (MisTag::Event(event), Self::RangeStart(right)) if right.event != event => {
                Some(Self::RangeStart(RangeEvent { event, ..right }))
            }
            (MisTag::Event(event), Self::RangeEnd(right)) if right.event != event => {
                Some(Self::RangeEnd(RangeEvent { event, ..right }))
            }
            (MisTag::Event(_) | MisTag::AddressSpace, _) => None,
        }
    }

    fn moved(self, pages: i64) -> Option<Self> {
        let range = self.range();
        let bytes = pages.checked_mul(1 << PageSize::K4.shift())?;
        let first = range.start().raw().checked_add_signed(bytes)?;
        let last = range.last().raw().checked_add_signed(bytes)?;
        self.unless_same(AddrRange::through(Gva::new(first), Gva::new(last)).ok()?)
    }

    fn unless_same(self, range: AddrRange<Gva>) -> Option<Self> {
        (range != self.range()).then(|| self.with_range(range))
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RangeStart(event) => write!(f, "range start {event}"),
            Self::RangeEnd(event) => write!(f, "range end {event}"),
            Self::SecondaryTlb(range) => write!(f, "secondary-tlb {range}"),
        }
    }
}
