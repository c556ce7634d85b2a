//! What AMD's driver makes of a secondary-TLB notification (Linux:
//! `sva_arch_invalidate_secondary_tlbs`, `amd_iommu_dev_flush_pasid_pages`).

use crate::addr::{AddrRange, Asid, Iova, PageSize, StreamId};

/// A device of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// Its requester.
    pub stream: StreamId,
    /// The PASID under which it uses the address space.
    pub pasid: Asid,
    /// Whether it has a TLB of its own.
    pub ats: bool,
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// `INVALIDATE_IOMMU_PAGES` for a PASID.
    IommuPages(Asid, PageOperand),
    /// `INVALIDATE_IOTLB_PAGES`, which goes to the device.
    IotlbPages(StreamId, Asid, PageOperand),
    /// `COMPLETION_WAIT`.
    CompletionWait,
}

/// Address and size in one word: the lowest clear bit from 12 on, below the address, says how much
/// (Linux: `build_inv_address`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageOperand(u64);

impl PageOperand {
    /// More than one page (S).
    const SIZE: u64 = 1;
    /// Everything (`CMD_INV_IOMMU_ALL_PAGES_ADDRESS`).
    const ALL: u64 = 0x7fff_ffff_ffff_ffff;
    /// The highest address bit: those above are copies of it.
    const LAST_BIT: u32 = 51;

    /// What covers `range`.
    pub fn covering(range: AddrRange<Iova>) -> Self {
        let (first, last) = (range.start().raw(), range.last().raw());
        let page = !PageSize::K4.offset_mask();
        let Some(differs) = ((first ^ last) & page).checked_ilog2() else {
            return Self(first & page);
        };
        let address = if differs > Self::LAST_BIT {
            Self::ALL
        } else {
            // The bit itself is clear in the first address, and marks the end of the ones.
            first | ((1 << differs) - 1)
        };
        Self(address & page | Self::SIZE)
    }

    /// The word.
    pub fn raw(self) -> u64 {
        self.0
    }

    /// What hardware drops by it.
    pub fn range(self) -> AddrRange<Iova> {
        let address = Iova::new(self.0 & !PageSize::K4.offset_mask());
        if self.0 & Self::SIZE == 0 {
            return AddrRange::page(address, PageSize::K4);
        }
        let ones = (self.0 >> PageSize::K4.shift()).trailing_ones();
        let shift = u32::from(PageSize::K4.shift()) + ones + 1;
        let size = u8::try_from(shift).ok().and_then(PageSize::from_shift);
        size.map_or(AddrRange::all(), |size| AddrRange::page(address, size))
    }
}

/// The commands for `range`, device by device: the IOMMU's pages, the device's, and a wait for both.
///
/// Linux has no wait between the two, only the one after both.
pub fn plan(devices: &[Device], range: AddrRange<Iova>) -> Vec<Command> {
    let operand = PageOperand::covering(range);
    let of_device = |device: &Device| {
        let own = Command::IommuPages(device.pasid, operand);
        let ats = Command::IotlbPages(device.stream, device.pasid, operand);
        let ats = device.ats.then_some(ats);
        [Some(own), ats, Some(Command::CompletionWait)]
    };
    devices.iter().flat_map(of_device).flatten().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pages(first: u64, count: u64) -> AddrRange<Iova> {
        AddrRange::from_length(Iova::new(first << 12), count << 12).unwrap()
    }

    #[test]
    fn each_device_is_flushed_and_waited_for() {
        let with = Device {
            stream: StreamId(1),
            pasid: Asid(5),
            ats: true,
        };
        let without = Device {
            stream: StreamId(2),
            pasid: Asid(6),
            ats: false,
        };
        let one = PageOperand::covering(pages(7, 1));
        let expected = [
            Command::IommuPages(Asid(5), one),
            Command::IotlbPages(StreamId(1), Asid(5), one),
            Command::CompletionWait,
            Command::IommuPages(Asid(6), one),
            Command::CompletionWait,
        ];
        assert_eq!(plan(&[with, without], pages(7, 1)), expected);
    }

    #[test]
    fn the_size_is_in_the_address() {
        let word = |first, count| PageOperand::covering(pages(first, count)).raw();
        assert_eq!(word(7, 1), 0x7000, "S clear");
        assert_eq!(word(8, 2), 0x8001, "bit 12 clear: two pages");
        assert_eq!(word(8, 4), 0x9001);
        assert_eq!(word(7, 4), 0x7001, "pages 0 to 15");
        let all = PageOperand::covering(AddrRange::all());
        assert_eq!(all.raw(), 0x7fff_ffff_ffff_f001);
        assert_eq!(all.range(), AddrRange::all());
    }

    proptest! {
        #[test]
        fn what_hardware_drops_covers_what_was_asked_for(
            first in any::<u64>(),
            length in 1..1u64 << 45,
        ) {
            let last = Iova::new(first.saturating_add(length - 1));
            let range = AddrRange::through(Iova::new(first), last).unwrap();
            prop_assert!(PageOperand::covering(range).range().covers(range));
        }
    }
}
