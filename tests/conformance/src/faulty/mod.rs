//! What can be wrong with an implementation: each a switch of the [model](crate::model), with which
//! at least one case fails.

mod sides;

pub use sides::{ConsumerFault, PrimaryFault};

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Who is told what, and when.
    Ranges(RangeFault),
    /// Starts that must not sleep.
    Refusals(RefusalFault),
    /// Coming and going.
    Lifetime(LifetimeFault),
    /// Interval notifiers.
    Intervals(IntervalFault),
    /// Was it used?
    Aging(AgingFault),
    /// What must not be done where.
    Context(ContextFault),
    /// Which change of a page table is followed by which notification.
    Primary(PrimaryFault),
    /// What drivers make of notifications.
    Consumers(ConsumerFault),
}

macro_rules! into_fault {
    ($($group:ident($faults:ident)),+) => {
        $(impl From<$faults> for Fault {
            fn from(fault: $faults) -> Self {
                Self::$group(fault)
            }
        })+
    };
}

into_fault!(
    Ranges(RangeFault),
    Refusals(RefusalFault),
    Lifetime(LifetimeFault),
    Intervals(IntervalFault),
    Aging(AgingFault),
    Context(ContextFault),
    Primary(PrimaryFault),
    Consumers(ConsumerFault)
);

/// Who is told what, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RangeFault {
    /// Callbacks of both families in one subscriber are registered.
    BothFamilies,
    /// A range end invalidates secondary TLBs too (Linux before ec8832d007cb).
    EndInvalidatesTlbs,
    /// The start is delivered after the change.
    StartLate,
    /// The end is delivered before the change.
    EndEarly,
    /// Every event arrives as `CLEAR`.
    EventLost,
    /// Every owner arrives as the same one.
    OwnersAlike,
    /// The end is taken to be the last address.
    EndInclusive,
    /// Secondary TLBs get the range of the surrounding window.
    SecondaryWidened,
    /// Telling one subscriber moves the start of the range for the next.
    RangeConsumed,
    /// The end of the whole address space overflows to 0.
    WholeOverflows,
    /// An empty range flushes everything.
    EmptyIsAll,
    /// An end before the start is not noticed.
    BackwardAccepted,
    /// One end for all starts that were open at once.
    EndsMerged,
    /// An end without a start is delivered.
    StrayEnd,
    /// Only the oldest subscriber of each kind is told.
    OnlyFirstTold,
    /// Secondary TLBs are told when the page-table lock is released.
    SecondaryDeferred,
    /// Secondary TLBs are not told without the page-table lock.
    SecondaryNeedsLock,
    /// Secondary TLBs of other address spaces are told too.
    AllSpacesTold,
    /// The current task's address space is flushed, not the one that was named (x86 in linux-next,
    /// July 2023).
    CurrentSpaceTold,
    /// The end is told to nobody.
    NoEnd,
    /// Secondary TLBs are not told inside a window that has an owner.
    SecondaryByOwner,
}

/// Starts that must not sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalFault {
    /// Nobody is told the start after one has refused.
    StopsAtFirst,
    /// Nobody is told the end after a refusal (Linux before 5.13).
    NoEndsAfterRefusal,
    /// A refusal is ignored.
    RefusalIgnored,
    /// Ends are sent twice after a refusal.
    DoubleEnd,
    /// Who may refuse may have an end.
    RefuserWithEnd,
    /// An error of a start that may sleep is handed to the caller as a refusal.
    BlockableRefusal,
    /// The end of what must not sleep says that it may.
    EndForgets,
    /// The start of what must not sleep says that it may.
    FlagLost,
    /// Who may refuse is not told when it may sleep.
    RefuserSkipped,
    /// A refused window stays open.
    WindowStaysOpen,
    /// After the refusal of an interval the others are still told.
    IntervalsGoOn,
    /// After the refusal of an interval range subscribers are still told.
    RangesDespiteInterval,
    /// Second passes that are owed are lost by a refusal.
    FinishesLost,
    /// The number stays odd after the refusal of an interval.
    StaysOdd,
    /// The interval side stays open when a range subscriber refuses (Linux).
    Gap,
    /// Range subscribers are told before intervals.
    RangesFirst,
    /// An interval that must not sleep waits for its user lock.
    WaitsForUserLock,
}

/// Coming and going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LifetimeFault {
    /// Registration does not wait for open windows.
    RegistersInWindow,
    /// Who registers inside a window is told its end.
    LoneEnd,
    /// An end is delivered to who has unregistered.
    EndAfterUnregister,
    /// Unregistering waits for open windows.
    UnregisterWaitsForWindows,
    /// Unregistering does not wait for callbacks.
    UnregisterDoesNotWait,
    /// Who has unregistered is still told.
    StaysRegistered,
    /// Unregistering does not release.
    UnregisterSkipsRelease,
    /// The end of the address space does not release.
    ExitSkipsRelease,
    /// Release is called again by unregistering after the end.
    ReleaseTwice,
    /// Release is never called.
    NoRelease,
    /// The end of the address space does not wait for callbacks.
    ExitDoesNotWait,
    /// Giving back calls release.
    PutReleases,
    /// What was given back is freed twice.
    FreeTwice,
    /// What was given back is never freed.
    FreeNever,
    /// What was given back is freed while a callback runs.
    FreeEarly,
    /// Giving back waits for callbacks.
    PutWaits,
    /// Giving back is forbidden in a callback.
    PutNotInCallback,
    /// A new subscriber is made for each user.
    AlwaysNew,
    /// Other operations get the same subscriber.
    IgnoresOperations,
    /// Other address spaces get the same subscriber.
    IgnoresSpace,
    /// The number of users wraps.
    UsersWrap,
    /// What could not be made blocks the next attempt.
    FailureStays,
    /// What can't be registered is not freed.
    FailureLeaks,
    /// What was given back comes back for the next user.
    ComesBack,
    /// The first user who goes takes the subscriber along.
    FirstPutRemoves,
    /// One can join after the end.
    JoinsAfterExit,
    /// Subscribers are told of changes after the end.
    ToldAfterExit,
    /// A registration does not keep the address space.
    SpaceNotKept,
    /// Nobody is told anything while a release runs.
    ReleaseExcludesCallbacks,
    /// Who was given back is told until the address space ends, freed or not.
    ToldAfterFree,
}

/// Interval notifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntervalFault {
    /// The first number is 0.
    StartsAtZero,
    /// The number stays even during an invalidation.
    StaysEven,
    /// The end of an invalidation goes back to the number before.
    EndGoesBack,
    /// Every start goes on to the next odd number.
    EveryStartAdvances,
    /// A start that overlaps nothing makes the number odd.
    OddWithoutOverlap,
    /// An interval that comes while idle gets the current number.
    InsertIdleEven,
    /// An interval that comes in a window leaves the number even.
    InsertActiveEven,
    /// An interval that comes while others are invalidated is inserted at once.
    InsertOddNow,
    /// An interval without an address is inserted.
    ZeroLength,
    /// An interval past the top is inserted.
    Overflow,
    /// An interval of an address space that has ended is inserted.
    DeadSpace,
    /// What is removed is still told.
    RemoveForgets,
    /// What is removed before it was inserted is inserted after all.
    DeferredComesBack,
    /// Removing does not wait for the invalidation.
    RemoveDoesNotWait,
    /// A read does not wait for the invalidation.
    ReadDoesNotWait,
    /// A read waits for invalidations of other intervals.
    ReadWaitsForAll,
    /// A read waits until nothing is invalidated.
    ReadLoops,
    /// An interval's own number is not set.
    NumberNotSet,
    /// A read has to be repeated although nothing happened.
    AlwaysRetry,
    /// A read has to be repeated whatever was invalidated.
    RetryOnAnyChange,
    /// The hint says to repeat whatever happened.
    HintAlwaysTrue,
    /// An interval is told without its user lock.
    NoUserLock,
    /// Second passes run with the first.
    FinishAtOnce,
    /// Second passes run last to first.
    FinishReversed,
    /// Who has no second pass cancels those of the others.
    FinishOnlyIfAll,
    /// Second passes run when the window ends.
    FinishAtEnd,
    /// Intervals are not told of the end of the address space.
    NoReleaseEvent,
    /// Range subscribers are told of the end as of an invalidation.
    ReleaseToRanges,
    /// Without a range subscriber dispatch fails.
    NullSubscription,
    /// Intervals that only touch the range are told.
    TouchingTold,
    /// The last end of several does not wake who waits.
    FirstEndWakes,
    /// Another lock than the interval's own is taken for it.
    AnyLockWillDo,
    /// Whether a read has to be repeated is asked without the user lock.
    RetryWithoutLock,
}

/// Was it used?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AgingFault {
    /// Clearing stops at the first yes.
    ClearStops,
    /// The last answer is the result.
    LastAnswerWins,
    /// Testing asks everybody.
    TestAsksAll,
    /// Testing clears.
    TestClears,
    /// Clearing with a flush clears without one.
    FlushSkipped,
    /// Without an answer it counts as used.
    YoungByDefault,
    /// The question is about everything.
    Widened,
    /// Secondary TLBs are not asked.
    OnlyRangesAsked,
}

/// What must not be done where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContextFault {
    /// Sleeping under the page-table lock goes unnoticed.
    SleepUnderLock,
    /// A start that may sleep under the page-table lock goes unnoticed.
    StartUnderLock,
    /// A secondary TLB that sleeps goes unnoticed.
    TlbSleeps,
    /// A callback that sleeps where it must not goes unnoticed.
    NonblockingSleeps,
    /// An end that sleeps although its start must not goes unnoticed.
    NonblockingEndSleeps,
    /// An aging callback that sleeps goes unnoticed.
    AgingSleeps,
    /// A free that sleeps goes unnoticed.
    FreeSleeps,
    /// Sleeping is forbidden in all callbacks.
    NeverSleeps,
    /// Sleeping is forbidden to what makes a shared subscriber.
    AllocNeverSleeps,
    /// Taking the page-table lock twice goes unnoticed.
    LockTwice,
    /// The locks of two address spaces are taken for one.
    LocksAlike,
    /// Registering in a callback goes unnoticed.
    RegisterInCallback,
    /// Unregistering in a callback goes unnoticed.
    UnregisterInCallback,
    /// Registering in one's own window goes unnoticed.
    RegisterInOwnWindow,
    /// Registering or unregistering under the page-table lock goes unnoticed.
    RegisterUnderLock,
    /// Installing in a callback goes unnoticed.
    InstallInCallback,
    /// Beginning a read with the user lock held goes unnoticed.
    ReadUnderUserLock,
    /// Removing an interval with the user lock held goes unnoticed.
    RemoveUnderUserLock,
    /// Removing an interval in a callback goes unnoticed.
    RemoveInCallback,
}
