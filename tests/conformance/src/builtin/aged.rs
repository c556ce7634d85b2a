//! The KVM-like MMU of `notifier::secondary`, with its accessed bits.

use std::sync::Arc;

use notifier::addr::{Access, AddrRange, Iova, PageSize};
use notifier::contract::{AddressSpace, Subscription};
use notifier::secondary::shadow::Shadow;

use super::tables::{PAGE, Tables};
use crate::subject::{self, Age, Refused};

pub(super) struct Aged {
    space: AddressSpace<()>,
    shadow: Arc<Shadow>,
    _subscription: Subscription,
}

impl Aged {
    /// `None` if the tables can't be built, which they can.
    pub(super) fn new() -> Option<Self> {
        let tables = Tables::new(1);
        let root = tables.table(0)?.root;
        let (memory, format) = (tables.memory.clone(), tables.format.clone());
        let shadow = Arc::new(Shadow::new(memory, format, root, Arc::new(())));
        let space = AddressSpace::new(());
        Some(Self {
            _subscription: space.register_ranges(shadow.clone()).ok()?,
            space,
            shadow,
        })
    }
}

impl subject::Aged for Aged {
    fn touch(&self) -> Result<(), Refused> {
        let access = self.shadow.access(Iova::shared(PAGE), Access::Read, |_| ());
        access.map_err(|fault| Refused::Invalid(format!("{:?}", fault.kind)))
    }

    fn age(&self, question: Age) -> Result<bool, Refused> {
        let page = AddrRange::page(PAGE, PageSize::K4);
        let table = self.space.lock_page_table();
        Ok(match question {
            Age::ClearFlush => table.clear_flush_young(page),
            Age::Clear => table.clear_young(page),
            Age::Test => table.test_young(page),
        })
    }
}
