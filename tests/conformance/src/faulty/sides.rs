//! Faults of those who notify and of those who are notified.

/// Which change of a page table is followed by which notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrimaryFault {
    /// Entries are written before the start.
    WriteBeforeStart,
    /// The last entry is written after the end.
    WriteAfterEnd,
    /// Starts come with the page-table lock held.
    StartUnderLock,
    /// An upgrade by a fault invalidates nothing (Linux before 6.6).
    UpgradeSilent,
    /// An upgrade by a fault is a start and an end (the proposal of May 2023).
    UpgradeInWindow,
    /// Every fault invalidates secondary TLBs.
    FaultAlwaysInvalidates,
    /// Setting the accessed flag invalidates secondary TLBs.
    AccessedInvalidates,
    /// A spurious fault invalidates secondary TLBs.
    SpuriousInvalidates,
    /// Making an invalid entry valid invalidates secondary TLBs.
    MapInvalidates,
    /// Changing a software bit invalidates secondary TLBs.
    SoftwareInvalidates,
    /// Every entry that mprotect visits is invalidated, changed or not.
    ProtectAlwaysInvalidates,
    /// mprotect that gives rights sends no start.
    ProtectUpgradeSilent,
    /// Write-protection invalidates secondary TLBs only after the end.
    DowngradeLate,
    /// Every operation says `CLEAR`.
    AlwaysClear,
    /// Migration and exclusive access have owner 0.
    NoOwner,
    /// A copy's entry is written over the old one, which is invalidated later.
    CopyWithoutClear,
    /// A merged page's old entry is never invalidated.
    MergeSilent,
    /// Pages are freed before secondary TLBs are told.
    FreeFirst,
    /// Pages are freed before the subscribers are released at the end.
    FreeBeforeRelease,
    /// The reaper goes on although somebody refused.
    ReapsAnyway,
    /// A dirty neighbour in a contiguous block makes an upgrade look done (97c5550b7631).
    ContiguousNoOp,
    /// A change in a contiguous block touches and invalidates one page.
    ContiguousOnePage,
    /// The size of a contiguous block of huge pages is taken to be a sum (v2 of May 2023).
    SumForProduct,
    /// An upgrade of a huge page invalidates the page that faulted.
    HugeOnePage,
    /// An entry is invalidated while it is valid, where it must not be.
    MakeWithoutBreak,
    /// A table of the kernel's half is freed without a word (before e37d5a2d60a3).
    KernelTableSilent,
    /// The loop that flushes moves the start of the range (f7edb07ad7c6).
    FlushMovesStart,
    /// The last page of a range is not invalidated.
    LastPageForgotten,
    /// Where hardware walks again, an upgrade is notified all the same.
    NeedlessUpgrade,
}

/// What drivers make of notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConsumerFault {
    /// The last page of a range is left out.
    LastPageForgotten,
    /// One command for each page, however many there are (d5afb4b47e13).
    NoThreshold,
    /// The end of the whole address space overflows (e7ad6c2a4b1a).
    WholeOverflows,
    /// Cached tables stay.
    LeavesOnly,
    /// A range command with NUM and SCALE both zero.
    ZeroRange,
    /// The device's TLB is invalidated before the IOMMU's is done.
    DeviceFirst,
    /// What the device is sent is not aligned.
    Unaligned,
    /// Nothing waits for the last command.
    NoFinalSync,
    /// The erratum is not worked around.
    ErratumOnce,
    /// The erratum is worked around for the device's TLB too.
    DeviceTwice,
    /// What is in progress does not matter to a fault.
    InProgressIgnored,
    /// Every fault is repeated while anything is in progress.
    AllRefused,
    /// What has ended since does not matter to a fault.
    SequenceIgnored,
    /// A second start replaces the range of the first.
    RangeReplaced,
    /// The merged range is kept for ever.
    RangeKept,
    /// An end without a start is taken.
    UnbalancedEnd,
    /// Memory slots may change at any time.
    SlotsNotBlocked,
    /// Ranges that no slot overlaps disturb faults.
    ElsewhereCounts,
    /// Ends that never come are waited for.
    NeverHeals,
    /// A device is bound before notifications reach it.
    BoundBeforeListed,
    /// What an unbound device has cached stays.
    DetachedDirty,
    /// A notification reaches one device alone.
    OneDeviceTold,
    /// What a device has cached outlives the address space.
    ReleaseKeepsTlb,
    /// The end of the address space takes the device's descriptor away.
    ReleaseUnbinds,
    /// A second release panics, since the first took what it looks for.
    SecondReleaseFails,
    /// A notification of more than what is mapped is taken to be for somebody else.
    WideIgnored,
    /// The entry of the PASID outlives the address space.
    EntryStays,
    /// A loop over pages takes the end to be inclusive.
    OnePageMore,
    /// An ASID is free for others before what it tagged is flushed.
    AsidDirty,
    /// A device translates by its new domain before that lists it.
    MovedBeforeListed,
    /// A device's old domain forgets it before it translates by the new one.
    LeftBeforeMoved,
    /// What a device cached of the domain that it leaves stays.
    LeftDirty,
    /// Only the last of several ends counts for a fault.
    OnlyLastEndCounts,
    /// Forgetting a use does not flush, so that the next goes unnoticed.
    AgeNotFlushed,
    /// Cached page numbers are dropped after the lock was taken.
    PfnCacheLate,
    /// The lock is taken whether a memory slot overlaps or not.
    LockAlways,
    /// What is mapped goes at the end of an invalidation.
    UnmapsAtEnd,
    /// Who must not sleep has taken its mappings away when it refuses.
    RefusesHalfway,
    /// The initiator's own migrations take its mappings away.
    OwnerIgnored,
    /// Pinned pages go whatever the event.
    EveryEventUnpins,
    /// The end of the address space is an eviction like any other.
    ReleaseEvicts,
    /// What is unmapped is only evicted.
    UnmapEvicts,
    /// Each flush is waited for before the next one is begun.
    WaitsAtOnce,
    /// An invalidation leaves the mirror's entries.
    MirrorKeeps,
    /// A subscriber whose callback uses its domain is given back, which does not wait for it.
    PutsWithoutWaiting,
    /// A fault that no progress follows is handled without end.
    NobodyWatches,
}
