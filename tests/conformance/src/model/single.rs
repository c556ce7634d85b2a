//! Shared subscribers.

use std::sync::Arc;

use super::Space;
use super::detector::{self, Entered, Inside, Kind};
use super::seat::{Seat, lock};
use crate::faulty::{ContextFault, LifetimeFault};
use crate::subject::{AllocFailed, Callbacks, Lifetime, Operations, Refused, Shared};

const USER_LIMIT: u64 = 40;

pub(super) enum Single {
    /// It is there.
    Used { seat: Arc<Seat>, users: u64 },
    /// It could not be made; kept only by a fault.
    Broken,
}

impl Lifetime for Space {
    fn get(
        &self,
        mut operations: Operations,
        alloc: &mut dyn FnMut() -> Result<Callbacks, AllocFailed>,
    ) -> Result<Box<dyn Shared>, Refused> {
        self.may_join()?;
        if self.has(LifetimeFault::IgnoresOperations) {
            operations = Operations::One;
        }
        let space = self.single_space(operations);
        let seat = match space.one_more(operations)? {
            Some(seat) => seat,
            None => space.make(operations, alloc)?,
        };
        Ok(Box::new(Held {
            space,
            operations,
            seat,
        }))
    }

    fn user_limit(&self) -> u64 {
        USER_LIMIT
    }
}

impl Space {
    /// Where the subscriber is looked for.
    fn single_space(&self, operations: Operations) -> Arc<Self> {
        let has_it = |space: &Arc<Self>| lock(&space.state).singles.contains_key(&operations);
        let foreign = self.others().into_iter().find(has_it);
        let own = || self.myself.upgrade();
        match foreign {
            Some(other) if self.has(LifetimeFault::IgnoresSpace) => other,
            other => own().or(other).expect("the caller has the space"),
        }
    }

    fn one_more(&self, operations: Operations) -> Result<Option<Arc<Seat>>, Refused> {
        match lock(&self.state).singles.get_mut(&operations) {
            None => Ok(None),
            Some(Single::Broken) => Err(Refused::Alloc),
            Some(Single::Used { .. }) if self.has(LifetimeFault::AlwaysNew) => Ok(None),
            Some(Single::Used { seat, users }) => {
                if *users >= USER_LIMIT && !self.has(LifetimeFault::UsersWrap) {
                    return Err(Refused::Overflow("too many users".into()));
                }
                *users += 1;
                Ok(Some(Arc::clone(seat)))
            }
        }
    }

    fn make(
        &self,
        operations: Operations,
        alloc: &mut dyn FnMut() -> Result<Callbacks, AllocFailed>,
    ) -> Result<Arc<Seat>, Refused> {
        let strict = self.has(ContextFault::AllocNeverSleeps);
        let inside = strict.then(|| Entered::new(Inside::Atomic(self.id, Kind::Free)));
        let made = alloc();
        drop(inside);
        let Ok(callbacks) = made else {
            if self.has(LifetimeFault::FailureStays) {
                let singles = &mut lock(&self.state).singles;
                singles.insert(operations, Single::Broken);
            }
            return Err(Refused::Alloc);
        };
        let seat = self.join(callbacks)?;
        let users = 1;
        let single = Single::Used {
            seat: Arc::clone(&seat),
            users,
        };
        lock(&self.state).singles.insert(operations, single);
        Ok(seat)
    }

    /// Whether it was the last user.
    fn one_less(&self, operations: Operations) -> bool {
        let mut state = lock(&self.state);
        let Some(Single::Used { users, .. }) = state.singles.get_mut(&operations) else {
            return false;
        };
        *users -= 1;
        let last = *users == 0;
        if last && !self.has(LifetimeFault::ComesBack) {
            state.singles.remove(&operations);
        } else if last && let Some(Single::Used { users, .. }) = state.singles.get_mut(&operations)
        {
            *users = 1;
        }
        last || self.has(LifetimeFault::FirstPutRemoves)
    }

    fn put(&self, operations: Operations, seat: &Arc<Seat>) {
        if !self.one_less(operations) {
            return;
        }
        if self.has(LifetimeFault::PutReleases)
            && let Some(release) = &seat.callbacks.release
        {
            release();
        }
        if self.has(LifetimeFault::ComesBack) {
            return;
        }
        if !self.has(LifetimeFault::ToldAfterFree) {
            self.leave(seat);
        }
        if self.has(LifetimeFault::PutWaits) {
            seat.wait_idle();
        }
        if self.has(LifetimeFault::FreeEarly) {
            return self.free(seat);
        }
        if self.has(LifetimeFault::FreeNever) {
            return;
        }
        seat.owe_free();
        if seat.take_free() {
            self.free(seat);
        }
    }
}

struct Held {
    space: Arc<Space>,
    operations: Operations,
    seat: Arc<Seat>,
}

impl Shared for Held {
    fn object(&self) -> usize {
        Arc::as_ptr(&self.seat).addr()
    }

    fn put(self: Box<Self>) -> Result<(), Refused> {
        if self.space.has(LifetimeFault::PutNotInCallback) {
            let own = |inside: Inside| inside.is_callback_of(self.space.id);
            detector::refuse("giving back in a callback", own)?;
        }
        self.space.put(self.operations, &self.seat);
        Ok(())
    }
}
