//! Shared subscribers, of which the contract tells the kinds apart by their types.

use std::sync::Arc;

use notifier::contract::{self, GetError, Member, OwnPageTables, Singleton, Subscriber};

use super::Space;
use super::subscriber::member;
use crate::subject::{AllocFailed, Call, Callbacks, Lifetime, Operations, Refused, Shared};

/// A kind of shared subscriber; what it is registered as is made from the callbacks.
struct Single<const KIND: u8> {
    member: Member,
    free: Option<Call>,
}

impl<const KIND: u8> Subscriber for Single<KIND> {
    type Family = OwnPageTables;
}

impl<const KIND: u8> Singleton for Single<KIND> {
    fn member(self: Arc<Self>) -> Member {
        self.member.clone()
    }

    fn free(&self) {
        if let Some(free) = &self.free {
            free();
        }
    }
}

struct Held<const KIND: u8>(contract::Shared<Single<KIND>>);

impl<const KIND: u8> Shared for Held<KIND> {
    fn object(&self) -> usize {
        std::ptr::from_ref::<Single<KIND>>(&self.0).addr()
    }

    fn put(self: Box<Self>) -> Result<(), Refused> {
        drop(self.0);
        Ok(())
    }
}

impl Space {
    fn get_kind<const KIND: u8>(
        &self,
        alloc: &mut dyn FnMut() -> Result<Callbacks, AllocFailed>,
    ) -> Result<Box<dyn Shared>, Refused> {
        let make = || {
            let mut callbacks = alloc().map_err(|AllocFailed| Refused::Alloc)?;
            let free = callbacks.free.take();
            let member = member(callbacks, &self.owners)?;
            Ok(Single::<KIND> { member, free })
        };
        let shared = self.space.get(make).map_err(|error| match error {
            GetError::Register(_) => Refused::Exited,
            GetError::TooManyUsers => Refused::Overflow("too many users".into()),
            GetError::Alloc(refused) => refused,
        })?;
        Ok(Box::new(Held(shared)))
    }
}

impl Lifetime for Space {
    fn get(
        &self,
        operations: Operations,
        alloc: &mut dyn FnMut() -> Result<Callbacks, AllocFailed>,
    ) -> Result<Box<dyn Shared>, Refused> {
        match operations {
            Operations::One => self.get_kind::<1>(alloc),
            Operations::Two => self.get_kind::<2>(alloc),
        }
    }

    fn user_limit(&self) -> u64 {
        contract::MAX_USERS.into()
    }
}
