//! New entries, and what page faults do to them.

use notifier::addr::{AddrRange, Gva};
use notifier::contract;

use super::{Locked, Mm, page_range};
use crate::faulty::PrimaryFault;
use crate::subject::{Bounds, Leaf, PAGE, Platform, Rights};

/// Pages in a block with the contiguous hint.
const CONTIGUOUS: u64 = 16;
/// Pages in a huge one.
const HUGE: u64 = 512;

fn pages(at: Gva, count: u64) -> Bounds {
    Bounds::pages(at.raw() / PAGE, count)
}

impl Mm {
    pub(super) fn map(&self, range: AddrRange<Gva>, rights: Rights, accessed: bool) {
        let first = range.start().raw() / PAGE;
        self.locked(|locked| {
            for number in first..=range.last().raw() / PAGE {
                let entry = Bounds::pages(number, 1);
                if locked.table.mapped(page_range(entry.start)).is_empty() {
                    locked.fill(entry, entry, rights, accessed);
                }
            }
            if self.has(PrimaryFault::MapInvalidates) {
                locked.invalidate(range.into());
            }
        });
    }

    pub(super) fn map_contiguous(&self, at: Gva) {
        let block = pages(at, CONTIGUOUS);
        let first = at.raw() / PAGE;
        self.locked(|locked| {
            for number in 0..CONTIGUOUS {
                let last = number == CONTIGUOUS - 1;
                let rights = if last {
                    Rights::ReadWrite
                } else {
                    Rights::ReadOnly
                };
                locked.fill(Bounds::pages(first + number, 1), block, rights, true);
            }
        });
    }

    pub(super) fn map_huge(&self, at: Gva, count: u64) {
        let block = pages(at, count * HUGE);
        let first = at.raw() / PAGE;
        self.locked(|locked| {
            for number in 0..count {
                let entry = Bounds::pages(first + number * HUGE, HUGE);
                locked.fill(entry, block, Rights::ReadOnly, true);
            }
        });
    }

    /// Linux: `ptep_set_access_flags`, under the page-table lock alone.
    pub(super) fn write_fault(&self, page: Gva) {
        let range = page_range(page);
        if self.has(PrimaryFault::UpgradeInWindow) {
            let event = contract::Event::ProtectionPage;
            return self.window(event, range, || self.upgrade(page));
        }
        self.upgrade(page);
    }

    fn upgrade(&self, page: Gva) {
        self.locked(|locked| {
            let mapped = locked.table.mapped(page_range(page));
            let Some((bounds, old)) = mapped.first().copied() else {
                return;
            };
            let upgraded = |leaf| Leaf {
                rights: Rights::ReadWrite,
                dirty: true,
                accessed: true,
                ..leaf
            };
            let is_done = |leaf: Leaf| leaf == upgraded(leaf);
            let block = locked.block(old.span, bounds);
            let done = block.iter().all(|(_, leaf)| is_done(*leaf));
            let gathered = block.iter().any(|(_, leaf)| is_done(*leaf));
            let done = done || gathered && self.has(PrimaryFault::ContiguousNoOp);
            let always = self.has(PrimaryFault::FaultAlwaysInvalidates);
            if done && !always {
                return;
            }
            if self.platform == Platform::BreakBeforeMake
                && !self.has(PrimaryFault::MakeWithoutBreak)
            {
                for (bounds, _) in &block {
                    locked.write(*bounds, None);
                }
                locked.invalidate(old.span);
            }
            for (bounds, leaf) in &block {
                locked.write(*bounds, Some(upgraded(*leaf)));
            }
            self.tell_upgrade(locked, page, old.span, bounds);
        });
    }

    fn tell_upgrade(&self, locked: &Locked<'_>, page: Gva, span: Bounds, entry: Bounds) {
        let needless = self.has(PrimaryFault::NeedlessUpgrade);
        let needed = match self.platform {
            Platform::KeepsReadOnly => !self.has(PrimaryFault::UpgradeSilent),
            Platform::WalksAgain => needless,
            Platform::BreakBeforeMake => self.has(PrimaryFault::MakeWithoutBreak),
        };
        let huge = entry.end.raw() - entry.start.raw() > PAGE;
        let bounds = if self.has(PrimaryFault::SumForProduct) && span != entry && huge {
            let count = (span.end.raw() - span.start.raw()) / (HUGE * PAGE);
            Bounds::new(span.start, Gva::new(span.start.raw() + HUGE * PAGE + count))
        } else if self.has(PrimaryFault::HugeOnePage) && huge
            || self.has(PrimaryFault::ContiguousOnePage)
        {
            page_range(page).into()
        } else {
            span
        };
        if needed {
            locked.invalidate(bounds);
        }
    }

    pub(super) fn access_fault(&self, page: Gva) {
        self.change_quietly(page, PrimaryFault::AccessedInvalidates, |leaf| Leaf {
            accessed: true,
            ..leaf
        });
    }

    pub(super) fn set_software_bit(&self, page: Gva) {
        self.change_quietly(page, PrimaryFault::SoftwareInvalidates, |leaf| Leaf {
            software: true,
            ..leaf
        });
    }

    /// This CPU's TLB alone is flushed.
    pub(super) fn spurious_fault(&self, page: Gva) {
        if self.has(PrimaryFault::SpuriousInvalidates) {
            self.locked(|locked| locked.invalidate(page_range(page).into()));
        }
    }

    /// A change that no TLB can have cached.
    fn change_quietly(&self, page: Gva, loud: PrimaryFault, edit: impl Fn(Leaf) -> Leaf) {
        self.locked(|locked| {
            for (bounds, leaf) in locked.table.mapped(page_range(page)) {
                locked.write(bounds, Some(edit(leaf)));
                if self.has(loud) {
                    locked.invalidate(bounds);
                }
            }
        });
    }
}

impl Locked<'_> {
    fn fill(&mut self, entry: Bounds, span: Bounds, rights: Rights, accessed: bool) {
        let count = (entry.end.raw() - entry.start.raw()) / PAGE;
        let leaf = Leaf {
            frame: self.table.frames_from(count),
            rights,
            accessed,
            dirty: rights == Rights::ReadWrite,
            software: false,
            span,
        };
        self.write(entry, Some(leaf));
    }

    /// The entries that share a TLB entry with this one.
    fn block(&self, span: Bounds, entry: Bounds) -> Vec<(Bounds, Leaf)> {
        let all = if self.mm.has(PrimaryFault::ContiguousOnePage) {
            entry
        } else {
            span
        };
        all.range()
            .map_or(Vec::new(), |range| self.table.mapped(range))
    }
}
