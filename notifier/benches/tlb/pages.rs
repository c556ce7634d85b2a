//! The pages that are translated, and random addresses in them.

use notifier::addr::PageSize;

/// Where they begin; 2^47 apart from anything that could be mistaken for a target.
const FIRST: u64 = 0x4000_0000_0000;

/// A power-of-two number of 4 KiB pages, one after another, whose targets are scattered.
#[derive(Clone, Copy)]
pub(crate) struct Pages {
    count: u64,
}

impl Pages {
    pub(crate) fn new(count: u64) -> Self {
        assert!(count.is_power_of_two());
        Self { count }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// First address of each.
    pub(crate) fn iovas(&self) -> impl Iterator<Item = u64> + use<> {
        (0..self.count).map(|number| FIRST + (number << PageSize::K4.shift()))
    }

    /// First address of the page that `iova`'s page is translated to. An odd factor permutes the
    /// page numbers and keeps no two neighbours together.
    pub(crate) fn target(&self, iova: u64) -> u64 {
        let number = (iova - FIRST) >> PageSize::K4.shift();
        let scattered = number.wrapping_mul(0x9e37_79b1) & (self.count - 1);
        scattered << PageSize::K4.shift()
    }

    pub(crate) fn random(&self) -> Random {
        Random {
            state: 0x2545_f491_4f6c_dd1d,
            mask: (self.count << PageSize::K4.shift()) - 8,
        }
    }
}

/// Marsaglia's xorshift: a few cycles, the same for every contender.
pub(crate) struct Random {
    state: u64,
    mask: u64,
}

impl Random {
    /// First address of any of the first `below` pages; a power of two.
    pub(crate) fn page(&mut self, below: u64) -> u64 {
        FIRST + ((self.iova() - FIRST) & ((below - 1) << PageSize::K4.shift()))
    }

    /// A multiple of eight in any of the pages.
    pub(crate) fn iova(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        FIRST + (self.state & self.mask)
    }
}
