//! What a right program invalidates after a change: every way there is.

use notifier::addr::{Asid, Iova, Ipa, Vmid};
use notifier::secondary::smmu::{Command, Granule, Levels, RangeOperand, TlbiSpan, TlbiVa};

use super::{Holds, Slot};

/// What was changed.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A place of an address space.
    Space { asid: Asid, vmid: Vmid, place: Slot },
    /// A place of a virtual machine's stage 2.
    Machine { vmid: Vmid, place: Slot },
}

/// Commands that invalidate what was changed, in lots that have to be completed one after the other;
/// `how` chooses among the ways.
pub(crate) fn repair(change: &Change, granule: Granule, how: u8) -> Vec<Vec<Command>> {
    match change {
        Change::Space { asid, vmid, place } => vec![vec![first(*asid, *vmid, place, granule, how)]],
        Change::Machine { vmid, place } => second(*vmid, place, how),
    }
}

fn first(asid: Asid, vmid: Vmid, place: &Slot, granule: Granule, how: u8) -> Command {
    let span = span(place, granule);
    match how % 9 {
        0 if place.holds != Holds::Global => Command::TlbiAsid(vmid, asid),
        1 => Command::TlbiVaa(vmid, span),
        2 => Command::TlbiAll(vmid),
        3 => Command::TlbiVmall(vmid),
        4 => Command::TlbiNsnhAll,
        _ => Command::TlbiVa(TlbiVa { vmid, asid, span }),
    }
}

/// One address is enough for whatever is one entry of a table; each of a group is one.
fn span(place: &Slot, granule: Granule) -> TlbiSpan<Iova> {
    let levels = match place.holds {
        Holds::Either => Levels::All,
        _ => Levels::Leaf,
    };
    let count = place.entries.len();
    TlbiSpan {
        pages: RangeOperand::new(granule, 1, count.trailing_zeros()),
        ..TlbiSpan::page(Iova::new(place.address), levels)
    }
}

/// Entries of both stages in one are not among those that an invalidation of stage 2 takes: stage 1's
/// have to go too, and after it, or they come back (`IHI0070` 4.4.3).
fn second(vmid: Vmid, place: &Slot, how: u8) -> Vec<Vec<Command>> {
    let each = place.range().length().unwrap() / place.entries.len() as u64;
    let pages = (0..).step_by(usize::try_from(each).unwrap());
    let at = |page: u64| TlbiSpan::page(Ipa::new(place.address + page), Levels::All);
    match how % 3 {
        0 => vec![vec![Command::TlbiVmall(vmid)]],
        1 => vec![vec![Command::TlbiNsnhAll]],
        _ => vec![
            pages
                .take(place.entries.len())
                .map(|page| Command::TlbiIpa(vmid, at(page)))
                .collect(),
            vec![Command::TlbiAll(vmid)],
        ],
    }
}
