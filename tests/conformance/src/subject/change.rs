//! What subscribers are told.

use super::Bounds;

/// Why a range is invalidated (Linux: `enum mmu_notifier_event`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// `MMU_NOTIFY_UNMAP`
    Unmap,
    /// `MMU_NOTIFY_CLEAR`
    Clear,
    /// `MMU_NOTIFY_PROTECTION_VMA`
    ProtectionVma,
    /// `MMU_NOTIFY_PROTECTION_PAGE`
    ProtectionPage,
    /// `MMU_NOTIFY_SOFT_DIRTY`
    SoftDirty,
    /// `MMU_NOTIFY_RELEASE`; only told to intervals, never announced by a caller.
    Release,
    /// `MMU_NOTIFY_MIGRATE`, with who began it.
    Migrate(OwnerId),
    /// `MMU_NOTIFY_EXCLUSIVE`, with who began it.
    Exclusive(OwnerId),
}

impl Event {
    /// All that a caller may announce.
    pub const ANNOUNCED: [Self; 7] = [
        Self::Unmap,
        Self::Clear,
        Self::ProtectionVma,
        Self::ProtectionPage,
        Self::SoftDirty,
        Self::Migrate(OwnerId(1)),
        Self::Exclusive(OwnerId(2)),
    ];

    /// Who began it, of the events that say so.
    pub fn owner(self) -> Option<OwnerId> {
        match self {
            Self::Migrate(owner) | Self::Exclusive(owner) => Some(owner),
            _ => None,
        }
    }
}

/// Somebody who begins migrations or exclusive accesses; only compared (Linux:
/// `mmu_notifier_range.owner`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerId(pub u64);

/// Whether a callback may sleep (Linux: `MMU_NOTIFIER_RANGE_BLOCKABLE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blocking {
    /// It may.
    Allowed,
    /// It may not.
    Forbidden,
}

/// What range and interval subscribers are told (Linux: `struct mmu_notifier_range`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// Why.
    pub event: Event,
    /// Where.
    pub bounds: Bounds,
    /// Whether the callback may sleep.
    pub blocking: Blocking,
}

impl Change {
    /// One whose callbacks may sleep.
    pub fn blockable(event: Event, bounds: Bounds) -> Self {
        let blocking = Blocking::Allowed;
        Self {
            event,
            bounds,
            blocking,
        }
    }

    /// One whose callbacks may not.
    pub fn nonblocking(event: Event, bounds: Bounds) -> Self {
        let blocking = Blocking::Forbidden;
        Self {
            event,
            bounds,
            blocking,
        }
    }
}
