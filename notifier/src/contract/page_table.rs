//! The page-table lock.

use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;

use super::Member;
use super::context::{Context, Inside};
use super::core::Core;
use crate::addr::{AddrRange, Gva};

/// The page-table lock, held. Only its holder can reach the page table, invalidate secondary TLBs
/// under it, or ask for the age of pages.
///
/// ```compile_fail,E0599
/// use std::sync::Arc;
/// use notifier::addr::AddrRange;
/// use notifier::contract::AddressSpace;
///
/// let space = AddressSpace::new(());
/// space.invalidate_secondary_tlbs(AddrRange::all()); // without the lock
/// ```
#[must_use = "the lock is released when this is dropped"]
pub struct PageTableGuard<'a, P> {
    core: &'a Core,
    page_table: MutexGuard<'a, P>,
    _inside: Inside,
}

impl<'a, P> PageTableGuard<'a, P> {
    #[track_caller]
    pub(super) fn new(core: &'a Core, page_table: MutexGuard<'a, P>) -> Self {
        Self {
            core,
            page_table,
            _inside: Inside::new(Context::PageTableLock(core.id)),
        }
    }

    /// Tells secondary TLBs that entries of `range` were changed (Linux:
    /// `mmu_notifier_arch_invalidate_secondary_tlbs`). Call it after the entries are written and
    /// before the lock is released.
    #[track_caller]
    pub fn invalidate_secondary_tlbs(&self, range: AddrRange<Gva>) {
        self.core.invalidate_secondary_tlbs(range);
    }

    /// Whether any subscriber saw a use of `range`; all of them forget it, and will notice the next.
    #[track_caller]
    pub fn clear_flush_young(&self, range: AddrRange<Gva>) -> bool {
        self.ask_all(|member| member.clear_flush_young(range))
    }

    /// As [`clear_flush_young`](Self::clear_flush_young), but the next use may go unnoticed.
    #[track_caller]
    pub fn clear_young(&self, range: AddrRange<Gva>) -> bool {
        self.ask_all(|member| member.clear_young(range))
    }

    /// Whether any subscriber saw a use of `range`; nobody forgets it. Stops at the first who did.
    #[track_caller]
    pub fn test_young(&self, range: AddrRange<Gva>) -> bool {
        self.core.registry.subscribers() > 0
            && self.core.ask_until(|member| member.test_young(range))
    }

    #[track_caller]
    fn ask_all(&self, question: impl Fn(&Member) -> bool) -> bool {
        self.core.registry.subscribers() > 0 && self.core.ask_all(question)
    }
}

impl<P> Deref for PageTableGuard<'_, P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.page_table
    }
}

impl<P> DerefMut for PageTableGuard<'_, P> {
    fn deref_mut(&mut self) -> &mut P {
        &mut self.page_table
    }
}
