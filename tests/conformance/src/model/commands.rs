//! Drivers of the model, by the rules and no faster than need be.

use notifier::addr::Gva;

use crate::faulty::{ConsumerFault, Fault};
use crate::subject::{Bounds, Command, Commands, Depth, Driver, PAGE, Teardown};

pub(super) struct Drivers(pub(super) Option<Fault>);

/// From this many pages on one command is for everything (Linux: `arm_smmu_inv_size_too_big`).
const MAX_COMMANDS: u64 = 512;
/// What nobody loops over.
const MAX_LOOP: u64 = 1 << 20;
/// The order of the whole address space.
const WHOLE: u8 = 52;

impl Commands for Drivers {
    fn vtd_release(&self) -> Option<Vec<Teardown>> {
        let steps = [
            Teardown::ClearEntry,
            Teardown::EntryCache,
            Teardown::Tlb,
            Teardown::DeviceTlb,
        ];
        let stays = usize::from(self.has(ConsumerFault::EntryStays));
        Some(steps[stays..].to_vec())
    }

    fn commands(&self, driver: Driver, bounds: Bounds) -> Option<Vec<Command>> {
        let bounds = self.distorted(bounds);
        Some(match driver {
            Driver::SmmuByPage => self.smmu(self.by_page(bounds), bounds),
            Driver::SmmuByRange => self.smmu(self.by_range(bounds), bounds),
            Driver::SmmuErratum => self.erratum(bounds),
            Driver::Vtd => self.vtd(bounds),
            Driver::Amd => self.amd(bounds),
            Driver::Ocxl => self.page_loop(bounds),
        })
    }
}

/// First and last page number.
fn numbers(bounds: Bounds) -> (u64, u64) {
    (bounds.start.raw() / PAGE, (bounds.end.raw() - 1) / PAGE)
}

impl Drivers {
    fn has(&self, fault: ConsumerFault) -> bool {
        self.0 == Some(fault.into())
    }

    /// The bounds as a faulty driver reads them.
    fn distorted(&self, bounds: Bounds) -> Bounds {
        let Bounds { start, end } = bounds;
        if bounds == Bounds::ALL && self.has(ConsumerFault::WholeOverflows) {
            return Bounds::new(start, Gva::new(PAGE));
        }
        let short = self.has(ConsumerFault::LastPageForgotten) && end.raw() - start.raw() > PAGE;
        let end = if short { end.raw() - PAGE } else { end.raw() };
        Bounds::new(start, Gva::new(end))
    }

    fn depth(&self) -> Depth {
        if self.has(ConsumerFault::LeavesOnly) {
            Depth::Leaves
        } else {
            Depth::Tables
        }
    }

    fn by_page(&self, bounds: Bounds) -> Vec<Command> {
        let (first, last) = numbers(bounds);
        let many = last - first >= MAX_COMMANDS - 1;
        if bounds == Bounds::ALL || many && !self.has(ConsumerFault::NoThreshold) {
            return vec![Command::Everything];
        }
        let page = |number| Command::Pages(Bounds::pages(number, 1), self.depth());
        (first..=last).map(page).collect()
    }

    fn page_loop(&self, bounds: Bounds) -> Vec<Command> {
        let (first, last) = numbers(bounds);
        if last - first >= MAX_LOOP {
            return vec![Command::Everything];
        }
        let last = last + u64::from(self.has(ConsumerFault::OnePageMore));
        let page = |number| Command::Pages(Bounds::pages(number, 1), self.depth());
        (first..=last).map(page).collect()
    }

    fn by_range(&self, bounds: Bounds) -> Vec<Command> {
        if bounds == Bounds::ALL {
            return vec![Command::Everything];
        }
        let (mut next, last) = numbers(bounds);
        let mut left = last - next + 1;
        // Five bits of the length at a time; if the lowest five are 1, that would be one page.
        if left % 32 == 1 && !self.has(ConsumerFault::ZeroRange) {
            left += 1;
        }
        let mut commands = Vec::new();
        while left > 0 {
            let scale = left.trailing_zeros();
            let multiple = (left >> scale) & 31;
            commands.push(Command::Range {
                start: Gva::new(next * PAGE),
                num: u8::try_from(multiple - 1).unwrap_or(31),
                scale: u8::try_from(scale).unwrap_or(31),
                depth: self.depth(),
            });
            next += multiple << scale;
            left -= multiple << scale;
        }
        commands
    }

    /// The smallest aligned power of two of pages.
    fn span(&self, bounds: Bounds) -> (Gva, u8) {
        let (first, last) = numbers(bounds);
        let bits = u64::BITS - (first ^ last).leading_zeros();
        let order = u8::try_from(bits).unwrap_or(WHOLE);
        let first = if self.has(ConsumerFault::Unaligned) {
            first
        } else {
            first >> order << order
        };
        (Gva::new(first * PAGE), order)
    }

    fn device_tlb(&self, bounds: Bounds) -> Command {
        let (start, order) = self.span(bounds);
        Command::DeviceTlb { start, order }
    }

    fn synced(&self, mut commands: Vec<Command>, last: bool) -> Vec<Command> {
        if !(last && self.has(ConsumerFault::NoFinalSync)) {
            commands.push(Command::Sync);
        }
        commands
    }

    fn smmu(&self, tlb: Vec<Command>, bounds: Bounds) -> Vec<Command> {
        let device = self.synced(vec![self.device_tlb(bounds)], true);
        let tlb = self.synced(tlb, false);
        if self.has(ConsumerFault::DeviceFirst) {
            return [device, tlb].concat();
        }
        [tlb, device].concat()
    }

    fn erratum(&self, bounds: Bounds) -> Vec<Command> {
        let tlb = self.synced(self.by_page(bounds), false);
        let device = self.synced(vec![self.device_tlb(bounds)], true);
        if self.has(ConsumerFault::ErratumOnce) {
            return [tlb, device].concat();
        }
        if self.has(ConsumerFault::DeviceTwice) {
            return [tlb.clone(), device.clone(), tlb, device].concat();
        }
        if self.has(ConsumerFault::DeviceFirst) {
            return [device, tlb.clone(), tlb].concat();
        }
        [tlb.clone(), tlb, device].concat()
    }

    fn vtd(&self, bounds: Bounds) -> Vec<Command> {
        let (start, order) = self.span(bounds);
        let own = if order == WHOLE {
            Command::Everything
        } else {
            let end = Gva::new(start.raw() + (PAGE << order));
            Command::Pages(Bounds::new(start, end), self.depth())
        };
        let device = self.device_tlb(bounds);
        if self.has(ConsumerFault::DeviceFirst) {
            return vec![device, own];
        }
        vec![own, device]
    }

    fn amd(&self, bounds: Bounds) -> Vec<Command> {
        self.synced(self.vtd(bounds), true)
    }
}
