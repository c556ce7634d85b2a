//! The port by which a scenario's own page-table code tells secondary MMUs.

use std::sync::Arc;

use guest::abi::{layout, port};
use notifier::addr::{AddrRange, Asid, Gva, Iova};
use notifier::contract::{AddressSpace, Event};
use notifier::paging::Tree;
use notifier::secondary::smmu::Smmu;

use crate::bus::{BusDevice, Flow, written};
use crate::page_tables::WINDOW_PAGES;
use crate::vcpu::{VcpuEnd, VcpuIndex};

/// Turns a write into a notification of one page of the window. Reads as zero.
pub(crate) struct NotifyPort {
    space: Arc<AddressSpace<Tree>>,
    smmu: Arc<Smmu>,
    asid: Asid,
}

impl NotifyPort {
    pub(crate) fn new(space: Arc<AddressSpace<Tree>>, smmu: Arc<Smmu>, asid: Asid) -> Self {
        Self { space, smmu, asid }
    }

    fn tell(&self, kind: u64, page: AddrRange<Gva>) -> Option<()> {
        match u32::try_from(kind).ok()? {
            port::NOTIFY_SECONDARY_TLB => {
                self.space.lock_page_table().invalidate_secondary_tlbs(page);
            }
            port::NOTIFY_EVENT => {
                drop(self.space.mutate().into_window(Event::ProtectionPage, page));
            }
            port::NOTIFY_BROADCAST => self.smmu.broadcast(self.asid, page.map(Iova::shared)),
            _ => return None,
        }
        Some(())
    }
}

/// The page of the window that a notification is about.
fn page(number: u64) -> Option<AddrRange<Gva>> {
    let start = Gva::new(layout::WINDOW + layout::PAGE * number);
    let range = AddrRange::from_length(start, layout::PAGE).ok()?;
    (number < WINDOW_PAGES).then_some(range)
}

impl BusDevice for NotifyPort {
    fn read(&self, _: u64, data: &mut [u8]) -> Flow {
        data.fill(0);
        Flow::Continue(())
    }

    fn write(&self, _: VcpuIndex, _: u64, data: &[u8]) -> Flow {
        let value = written(data);
        let told = page(value & 0xffff).and_then(|page| self.tell(value >> 16, page));
        match told {
            Some(()) => Flow::Continue(()),
            None => Flow::Break(VcpuEnd::BadNotification(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_those_of_the_window() {
        let last = page(WINDOW_PAGES - 1).unwrap();
        let end = layout::WINDOW + layout::PAGE * WINDOW_PAGES - 1;
        assert_eq!(last.last().raw(), end);
        assert_eq!(page(WINDOW_PAGES), None);
    }
}
