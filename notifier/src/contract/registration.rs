//! Being registered: alone, or shared by all users of one kind.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use super::context::{Context, Inside, SpaceId};
use super::core::Core;
use super::seat::Seat;
use super::{Member, Subscriber};
use crate::sync::lock;

/// Why somebody can't be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// The address space has ended (Linux: `mm_users` is 0).
    #[error("the address space has ended")]
    Exited,
}

/// A subscriber's place in an address space. Dropping it unregisters: the subscriber's release is
/// called unless it was before, and once that returns no callback of it runs or will run. An
/// invalidation whose start it was told may still be open; its end is not delivered.
///
/// # Panics
/// Dropping panics if the thread holds a page-table lock, or runs a callback of the address space.
#[must_use = "dropping this unregisters"]
pub struct Subscription {
    core: Arc<Core>,
    seat: Arc<Seat>,
}

impl Subscription {
    pub(super) fn new(core: &Arc<Core>, seat: Arc<Seat>) -> Self {
        let core = Arc::clone(core);
        Self { core, seat }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.core.leave(&self.seat);
    }
}

/// A subscriber of which an address space has at most one, shared by all who want it (Linux:
/// `mmu_notifier_get` and `_put`, with the type in place of the pointer to the callbacks).
pub trait Singleton: Subscriber + Sized + 'static {
    /// Which kind of subscriber it is.
    fn member(self: Arc<Self>) -> Member;

    /// The last user has gone, and no callback runs or will run: called exactly once, on whichever
    /// thread was last. It must not sleep.
    fn free(&self) {}
}

/// Why a shared subscriber can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GetError<E> {
    /// It can't be registered.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// It has [`MAX_USERS`] already (Linux: `-EOVERFLOW`).
    #[error("the subscriber has {MAX_USERS} users, no more can be counted")]
    TooManyUsers,
    /// It could not be made.
    #[error("the subscriber can't be made: {0}")]
    Alloc(E),
}

/// How many [`Shared`] of one subscriber there can be.
pub const MAX_USERS: u32 = 0xffff;

/// A user's hold on a shared subscriber. Dropping the last one takes the subscriber out *without*
/// calling its release, and does not wait: callbacks that run go on to their end, after which it is
/// freed. So the user must have let go of what was made from the address space, and may drop this
/// anywhere, in a callback too.
#[must_use = "dropping this gives the subscriber back"]
pub struct Shared<T: Singleton> {
    core: Arc<Core>,
    single: Arc<Single>,
    subscriber: Arc<T>,
}

/// The shared subscribers of an address space.
#[derive(Default)]
pub(super) struct Singletons {
    by_type: Mutex<HashMap<TypeId, Arc<Single>>>,
    /// Held by whoever makes one, which may sleep.
    making: Mutex<()>,
}

struct Single {
    /// Frees the subscriber when the address space and the last user have both let go of it.
    _freeing: Arc<dyn Send + Sync + Any>,
    seat: Arc<Seat>,
    subscriber: Arc<dyn Any + Send + Sync>,
    /// Changed only with the table of singletons locked.
    users: Mutex<u32>,
}

/// The last of those who hold it frees the subscriber.
struct Freeing<T: Singleton> {
    space: SpaceId,
    subscriber: Arc<T>,
}

impl<T: Singleton> Drop for Freeing<T> {
    fn drop(&mut self) {
        let _inside = Inside::new(Context::AtomicCallback(self.space));
        self.subscriber.free();
    }
}

impl<T: Singleton> Shared<T> {
    #[track_caller]
    pub(super) fn get<E>(
        core: &Arc<Core>,
        alloc: impl FnOnce() -> Result<T, E>,
    ) -> Result<Self, GetError<E>> {
        super::context::might_wait_for(core.id);
        let _making = lock(&core.singletons.making);
        if let Some(shared) = core.while_going(|| Self::existing(core))? {
            return shared;
        }
        let subscriber = {
            // Whoever makes one while one is made would wait for himself.
            let _inside = Inside::new(Context::Callback(core.id));
            Arc::new(alloc().map_err(GetError::Alloc)?)
        };
        Self::make(core, subscriber)
    }

    /// One more user of the one there is.
    fn existing<E>(core: &Arc<Core>) -> Option<Result<Self, GetError<E>>> {
        let singles = lock(&core.singletons.by_type);
        let single = singles.get(&TypeId::of::<T>())?;
        let mut users = lock(&single.users);
        if *users == MAX_USERS {
            return Some(Err(GetError::TooManyUsers));
        }
        let subscriber = Arc::clone(&single.subscriber).downcast().ok()?;
        *users += 1;
        Some(Ok(Self {
            core: Arc::clone(core),
            single: Arc::clone(single),
            subscriber,
        }))
    }

    /// Registers `subscriber`, with one user.
    #[track_caller]
    fn make<E>(core: &Arc<Core>, subscriber: Arc<T>) -> Result<Self, GetError<E>> {
        let freeing = Arc::new(Freeing {
            space: core.id,
            subscriber: Arc::clone(&subscriber),
        });
        let held = Mutex::new(Some(Arc::clone(&freeing)));
        let at_end = Box::new(move || drop(lock(&held).take()));
        let seat = core.join(Arc::clone(&subscriber).member(), at_end)?;
        let single = Arc::new(Single {
            _freeing: freeing,
            seat,
            subscriber: subscriber.clone(),
            users: Mutex::new(1),
        });
        let mut singles = lock(&core.singletons.by_type);
        singles.insert(TypeId::of::<T>(), Arc::clone(&single));
        Ok(Self {
            core: Arc::clone(core),
            single,
            subscriber,
        })
    }
}

#[cfg(test)]
#[cfg(not(loom))]
impl<T: Singleton> Shared<T> {
    pub(super) fn subscriber(&self) -> Arc<T> {
        Arc::clone(&self.subscriber)
    }
}

impl<T: Singleton> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.subscriber
    }
}

impl<T: Singleton> Drop for Shared<T> {
    fn drop(&mut self) {
        let mut singles = lock(&self.core.singletons.by_type);
        let mut users = lock(&self.single.users);
        *users -= 1;
        if *users > 0 {
            return;
        }
        drop(users);
        singles.remove(&TypeId::of::<T>());
        // Not under the lock: with it may go the subscriber, whose own code runs then.
        drop(singles);
        self.core.put(&self.single.seat);
    }
}
