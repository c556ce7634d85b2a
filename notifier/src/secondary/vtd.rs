//! What Intel's VT-d driver makes of a secondary-TLB notification (Linux:
//! `intel_arch_invalidate_secondary_tlbs`, `cache_tag_flush_range`).

use super::AlignedSpan;
use crate::addr::{AddrRange, Asid, Iova, StreamId};

/// Invalidation descriptor, by what it drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Descriptor {
    /// PASID-based IOTLB, PASID-selective: everything of one address space.
    IotlbPasid(Asid),
    /// PASID-based IOTLB, page-selective-within-PASID. The order is the address mask (AM).
    IotlbPages(Asid, AlignedSpan),
    /// PASID-based device TLB of one requester. The order 52 is the whole address space.
    DeviceTlb(StreamId, Asid, AlignedSpan),
}

/// A step by which a PASID is taken away from its devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Teardown {
    /// The entry in the PASID table is made not present.
    ClearEntry(Asid),
    /// PASID-cache invalidation, PASID-selective: what is cached of that entry.
    PasidCache(Asid),
    /// What was translated by it.
    Invalidate(Descriptor),
}

/// What caches an address space on one remapping unit.
#[derive(Clone, Copy, Debug)]
pub struct CacheTags<'a> {
    /// Its PASID, which the IOTLB tags it with.
    pub pasid: Asid,
    /// The requesters with a device TLB.
    pub devices: &'a [StreamId],
}

impl CacheTags<'_> {
    /// The descriptors for `range`, in order: the IOTLB, then the devices that refill from it.
    ///
    /// A range becomes one aligned power of two of pages. The whole address space is nothing that
    /// needs arithmetic: since a range here ends with its last address, its length can't overflow,
    /// which flushed nothing at all in Linux until e7ad6c2a4b1a.
    pub fn plan(&self, range: AddrRange<Iova>) -> Vec<Descriptor> {
        let span = AlignedSpan::covering(range);
        let iotlb = if span.order() == AlignedSpan::ALL {
            Descriptor::IotlbPasid(self.pasid)
        } else {
            Descriptor::IotlbPages(self.pasid, span)
        };
        let device = |device: &StreamId| Descriptor::DeviceTlb(*device, self.pasid, span);
        let devices = self.devices.iter().map(device);
        std::iter::once(iotlb).chain(devices).collect()
    }

    /// What is done when the address space ends under its devices, in order (Linux: `intel_mm_release`,
    /// `intel_pasid_tear_down_entry`): the entry first, or hardware would fill the caches again by it.
    pub fn tear_down(&self) -> Vec<Teardown> {
        let all = self.plan(AddrRange::all());
        let entry = [
            Teardown::ClearEntry(self.pasid),
            Teardown::PasidCache(self.pasid),
        ];
        let caches = all.into_iter().map(Teardown::Invalidate);
        entry.into_iter().chain(caches).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASID: Asid = Asid(3);
    const TAGS: CacheTags<'_> = CacheTags {
        pasid: PASID,
        devices: &[StreamId(1), StreamId(2)],
    };

    fn pages(first: u64, count: u64) -> AddrRange<Iova> {
        AddrRange::from_length(Iova::new(first << 12), count << 12).unwrap()
    }

    #[test]
    fn the_iotlb_comes_before_the_devices() {
        let span = AlignedSpan::covering(pages(0, 16));
        let expected = [
            Descriptor::IotlbPages(PASID, span),
            Descriptor::DeviceTlb(StreamId(1), PASID, span),
            Descriptor::DeviceTlb(StreamId(2), PASID, span),
        ];
        assert_eq!(
            TAGS.plan(pages(7, 4)),
            expected,
            "pages 0 to 15 for 7 to 10"
        );
    }

    /// The end of (0, -1UL), once overflown.
    #[test]
    fn the_whole_address_space_is_everything_of_the_pasid_and_the_devices() {
        let all = AlignedSpan::covering(AddrRange::all());
        let plan = TAGS.plan(AddrRange::all());
        assert_eq!(plan[0], Descriptor::IotlbPasid(PASID));
        assert_eq!(plan[1], Descriptor::DeviceTlb(StreamId(1), PASID, all));
        assert_eq!(plan.len(), 3);
    }

    #[test]
    fn the_entry_goes_before_what_was_cached_by_it() {
        let steps = TAGS.tear_down();
        assert_eq!(steps[0], Teardown::ClearEntry(PASID));
        assert_eq!(steps[1], Teardown::PasidCache(PASID));
        let rest = TAGS.plan(AddrRange::all()).into_iter();
        let rest: Vec<_> = rest.map(Teardown::Invalidate).collect();
        assert_eq!(steps[2..], rest);
    }

    #[test]
    fn one_page_is_one_page() {
        let Descriptor::IotlbPages(_, span) = TAGS.plan(pages(7, 1))[0] else {
            panic!("not by page");
        };
        assert_eq!(span.range(), pages(7, 1));
    }
}
