//! Break-before-make: which changes of a live translation have to go by way of an invalid entry.

use std::fmt;

use crate::addr::Permissions;
use crate::paging::{Change, Leaf, LeafHints};

use super::MemoryType;

/// How much hardware bears without break-before-make (FEAT_BBM, `IHI0070` 6.3.4: IDR3.BBML).
///
/// Of several observers of the same tables the lowest level counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BreakLevel {
    /// Every change of size goes by way of an invalid entry.
    L0,
    /// A block that says nT may be split or joined; the Contiguous bit may change.
    L1,
    /// Sizes may change: what is used then is the old or the new translation.
    L2,
}

/// Why a change needs break-before-make (D8.16.1, R_WHZWS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BreakReason {
    /// The memory attributes differ (AttrIndx or MemAttr: type and cacheability).
    MemoryType,
    /// SH differs.
    Shareability,
    /// Another output address, and stores are possible before or after.
    OutputAddress,
    /// A page or block of another size.
    Size,
    /// The Contiguous bit differs.
    Contiguous,
    /// A global entry where one bound to an ASID may be cached.
    Global,
}

/// Whether `change`, made in place, breaks the rule, and by what; the first reason of
/// [`BreakReason`]'s order if there are several.
///
/// `None` for what was not or will not be mapped, and for a change of permissions, accessed flag,
/// DBM, nT or software bits alone: such a change needs a TLB invalidation at most.
///
/// The rule also asks for it where the output address changes, neither side is writable, and the
/// two pages hold different bytes. The entries don't say what pages hold, so that is not reported.
///
/// ```
/// use notifier::addr::{AddrRange, Gva};
/// use notifier::paging::vmsa::{
///     BreakLevel, BreakReason, Granule, Half, InputSize, OutputSize, Stage1, needs_break_before_make,
/// };
/// use notifier::paging::{Change, Format, Level, Meaning};
///
/// let (input, output) = (InputSize::BITS_48, OutputSize::Bits48);
/// let format = Stage1::new(Granule::K4, Half::Low, input, output);
/// let leaf = |entry| match format.decode(entry, Level(0)) {
///     Ok(Meaning::Leaf(leaf)) => Some(leaf),
///     _ => None,
/// };
/// let range = AddrRange::page(Gva::new(0x1000), format.span(Level(0)));
/// let reason = |old, new| {
///     let change = Change::between(range, leaf(old), leaf(new))?;
///     needs_break_before_make(&change, BreakLevel::L2)
/// };
/// let read_only = 0x5000 | 0x4c3;
/// assert_eq!(reason(read_only, read_only & !0x80), None);
/// assert_eq!(reason(0x5443, 0x6443), Some(BreakReason::OutputAddress));
/// ```
pub fn needs_break_before_make(change: &Change, support: BreakLevel) -> Option<BreakReason> {
    let (old, new) = (change.old.as_ref()?, change.new.as_ref()?);
    let start = change.range.start();
    let attributes = |leaf: &Leaf| MemoryType::from_raw(leaf.memory_type).attributes();
    let shareability = |leaf: &Leaf| MemoryType::from_raw(leaf.memory_type).shareability();
    let contiguous = |leaf: &Leaf| leaf.hints.contains(LeafHints::CONTIGUOUS);
    let moved = old.translate(start) != new.translate(start);
    let grouped = contiguous(old) != contiguous(new);
    [
        (attributes(old) != attributes(new), BreakReason::MemoryType),
        (
            shareability(old) != shareability(new),
            BreakReason::Shareability,
        ),
        (
            moved && (writable(old) || writable(new)),
            BreakReason::OutputAddress,
        ),
        (resized(old, new, support), BreakReason::Size),
        (
            grouped && support == BreakLevel::L0,
            BreakReason::Contiguous,
        ),
        (new.global && !old.global, BreakReason::Global),
    ]
    .into_iter()
    .find_map(|(broken, reason)| broken.then_some(reason))
}

/// Whether stores are possible, if only after hardware has marked the page.
fn writable(leaf: &Leaf) -> bool {
    leaf.permissions.contains(Permissions::WRITE) || leaf.hints.contains(LeafHints::DIRTY_MANAGED)
}

/// Whether the sizes differ in a way that `support` does not cover. The larger of the two is the
/// one that can say nT.
fn resized(old: &Leaf, new: &Leaf, support: BreakLevel) -> bool {
    let block = if old.size > new.size { old } else { new };
    old.size != new.size
        && match support {
            BreakLevel::L0 => true,
            BreakLevel::L1 => !block.hints.contains(LeafHints::NO_CONFLICT),
            BreakLevel::L2 => false,
        }
}

impl fmt::Display for BreakReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MemoryType => "memory type",
            Self::Shareability => "shareability",
            Self::OutputAddress => "output address of a writable page",
            Self::Size => "page size",
            Self::Contiguous => "contiguous bit",
            Self::Global => "global over non-global",
        })
    }
}
