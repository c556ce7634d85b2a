//! Start and end around each operation of the primary side; and what all its cases share.

use std::sync::Arc;

use notifier::addr::{AddrRange, Gva};

use crate::case::cases;
use crate::check::{Failure, Outcome, equal, holds, offered};
use crate::device::Device;
use crate::log::{Log, Seen};
use crate::subject::{
    Bounds, Event, Implementation, Operation, OwnerId, PAGE, Platform, Primary, Registration,
    Rights, Step,
};

cases! { Primary, PrimaryFault:
    "start-precedes-first-write" = start_first, unless WriteBeforeStart:
        "Each operation that takes something away sends its start before it writes the first entry.";
        "Documentation/mm/mmu_notifier.rst";
    "end-follows-last-write" = end_last, unless WriteAfterEnd:
        "It sends the end after it has written the last.";
        "Documentation/mm/mmu_notifier.rst";
    "start-and-end-without-lock" = without_lock, unless StartUnderLock:
        "Neither is sent with the page-table lock held.";
        "include/linux/mmu_notifier.h, mmu_notifier_invalidate_range_start (might_sleep)";
    "event-of-each-operation" = event_of_each, unless AlwaysClear:
        "Each operation announces its own kind of event.";
        "include/linux/mmu_notifier.h, enum mmu_notifier_event";
    "migration-names-its-owner" = names_its_owner, unless NoOwner:
        "Migration and exclusive access say who began them.";
        "mm/migrate_device.c, migrate_vma_collect; mm/rmap.c, make_device_exclusive";
    "range-of-each-operation" = range_of_each, unless FlushMovesStart:
        "Secondary TLBs are told of all pages that an operation changed, also if the flush goes by page.";
        "f7edb07ad7c6; 20250304085127.2238030-1-pjaroszynski@nvidia.com";
}

/// An address space that four pages are mapped in, with a secondary TLB and a range subscriber.
pub(super) struct Machine {
    pub(super) primary: Arc<dyn Primary>,
    pub(super) log: Log,
    pub(super) platform: Platform,
    _registrations: [Box<dyn Registration>; 2],
}

pub(super) fn pages(first: u64, count: u64) -> AddrRange<Gva> {
    let start = Gva::new(first * PAGE);
    // No case asks for no page, or for one past the top.
    AddrRange::from_length(start, count * PAGE).unwrap_or_else(|_| AddrRange::all())
}

pub(super) fn page(number: u64) -> Gva {
    Gva::new(number * PAGE)
}

impl Machine {
    /// Nothing is mapped.
    pub(super) fn empty(
        implementation: &dyn Implementation,
        platform: Platform,
    ) -> Result<Self, Failure> {
        let log = Log::default();
        let primary = offered(implementation.primary(platform, Arc::new(log.clone())))?;
        let _registrations = [
            primary.register(log.tlb(1))?,
            primary.register(log.ranges(2))?,
        ];
        Ok(Self {
            primary,
            log,
            platform,
            _registrations,
        })
    }

    /// Pages 16 to 19 are mapped with these rights.
    pub(super) fn new(
        implementation: &dyn Implementation,
        rights: Rights,
    ) -> Result<Self, Failure> {
        let machine = Self::empty(implementation, Platform::KeepsReadOnly)?;
        machine.perform(Operation::Map(pages(16, 4), rights))?;
        Ok(machine)
    }

    /// What an operation did.
    pub(super) fn perform(&self, operation: Operation) -> Result<Vec<Seen>, Failure> {
        let before = self.log.seen().len();
        self.primary.perform(operation)?;
        Ok(self.log.seen().split_off(before))
    }

    /// A device after all that was done.
    pub(super) fn device(&self) -> Device {
        Device::after(self.platform, &self.log.seen())
    }
}

pub(super) fn is_write(seen: &Seen) -> bool {
    matches!(seen, Seen::Step(Step::Written { .. }))
}

pub(super) fn is_start(seen: &Seen) -> bool {
    matches!(seen, Seen::Start(..))
}

pub(super) fn is_end(seen: &Seen) -> bool {
    matches!(seen, Seen::End(..))
}

/// What secondary TLBs were told.
pub(super) fn told(seen: &[Seen]) -> Vec<Bounds> {
    let told = seen.iter().filter_map(|seen| match seen {
        Seen::Tlb(_, bounds) => Some(*bounds),
        _ => None,
    });
    told.collect()
}

const OWNER: OwnerId = OwnerId(5);

/// The operations that have a start and an end, with their events.
fn windowed() -> Vec<(Operation, Event)> {
    let all = pages(16, 4);
    vec![
        (Operation::Unmap(all), Event::Unmap),
        (Operation::Zap(all), Event::Clear),
        (
            Operation::Protect(all, Rights::ReadOnly),
            Event::ProtectionVma,
        ),
        (Operation::Fork(all), Event::ProtectionPage),
        (Operation::WriteBack(all), Event::ProtectionPage),
        (Operation::ClearSoftDirty(all), Event::SoftDirty),
        (Operation::Copy(page(17)), Event::Clear),
        (Operation::Merge(page(17)), Event::Clear),
        (Operation::Migrate(all, OWNER), Event::Migrate(OWNER)),
        (Operation::Exclusive(all, OWNER), Event::Exclusive(OWNER)),
    ]
}

/// Each operation on an address space of its own.
fn each(
    implementation: &dyn Implementation,
    verify: impl Fn(Event, &[Seen]) -> Outcome,
) -> Outcome {
    for (operation, event) in windowed() {
        let machine = Machine::new(implementation, Rights::ReadWrite)?;
        let seen = machine.perform(operation)?;
        holds(seen.iter().any(is_write), "an operation wrote no entry")?;
        verify(event, &seen).map_err(|failure| match failure {
            Failure::Broken(reason) => Failure::Broken(format!("{operation:?}: {reason}")),
            Failure::NotOffered => failure,
        })?;
    }
    Ok(())
}

fn start_first(implementation: &dyn Implementation) -> Outcome {
    each(implementation, |_, seen| {
        let (start, write) = (
            seen.iter().position(is_start),
            seen.iter().position(is_write),
        );
        holds(start.is_some(), "no start was sent")?;
        holds(start < write, "an entry was written before the start")
    })
}

fn end_last(implementation: &dyn Implementation) -> Outcome {
    each(implementation, |_, seen| {
        let (end, write) = (
            seen.iter().rposition(is_end),
            seen.iter().rposition(is_write),
        );
        holds(end.is_some(), "no end was sent")?;
        holds(end > write, "an entry was written after the end")
    })
}

fn without_lock(implementation: &dyn Implementation) -> Outcome {
    each(implementation, |_, seen| {
        let mut locked = false;
        for seen in seen {
            match seen {
                Seen::Step(Step::Locked) => locked = true,
                Seen::Step(Step::Unlocked) => locked = false,
                seen => {
                    let outside = !locked || !(is_start(seen) || is_end(seen));
                    holds(outside, "sent with the page-table lock held")?;
                }
            }
        }
        Ok(())
    })
}

fn event_of_each(implementation: &dyn Implementation) -> Outcome {
    each(implementation, |event, seen| {
        let kind = std::mem::discriminant(&event);
        let events = seen.iter().filter_map(|seen| match seen {
            Seen::Start(_, change) | Seen::End(_, change) => Some(change.event),
            _ => None,
        });
        let mut others = events.filter(|event| std::mem::discriminant(event) != kind);
        let other = others.next();
        holds(
            other.is_none(),
            &format!("it announced {other:?} and not {event:?}"),
        )
    })
}

fn names_its_owner(implementation: &dyn Implementation) -> Outcome {
    each(implementation, |event, seen| {
        let owners = seen.iter().filter_map(|seen| match seen {
            Seen::Start(_, change) | Seen::End(_, change) => Some(change.event.owner()),
            _ => None,
        });
        for owner in owners {
            equal("the owner", owner, event.owner())?;
        }
        Ok(())
    })
}

/// By a device that saw all of it: nothing that was changed is still cached.
fn range_of_each(implementation: &dyn Implementation) -> Outcome {
    for (operation, _) in windowed() {
        let machine = Machine::new(implementation, Rights::ReadWrite)?;
        machine.perform(operation)?;
        let stale = machine.device().stale();
        equal(&format!("stale pages after {operation:?}"), stale, 0)?;
    }
    Ok(())
}
