//! Intervals.

use std::sync::{Arc, Mutex, PoisonError};

use notifier::addr::AddrRange;
use notifier::contract::{
    self, FirstPass, IntervalEvent, IntervalSubscriber, ReadSequence, UserLock,
};

use super::subscriber::Owners;
use super::{Space, exited};
use crate::subject::{
    Answer, Bounds, Change, Event, Extent, Interval, IntervalCallbacks, Intervals, Read, Refused,
};

struct Watching {
    callbacks: IntervalCallbacks,
    owners: Arc<Owners>,
}

impl Watching {
    fn answer(&self, event: &IntervalEvent) -> Result<FirstPass, contract::Again> {
        let change = match event {
            IntervalEvent::Change(event) => self.owners.change(event),
            IntervalEvent::Release => Change::blockable(Event::Release, Bounds::ALL),
        };
        match (self.callbacks.invalidate)(change) {
            Answer::Done => Ok(FirstPass::Done),
            Answer::Finish(finish) => Ok(FirstPass::Finish(finish)),
            Answer::Refuse => Err(contract::Again),
        }
    }
}

impl IntervalSubscriber for Watching {
    type State = ();

    fn invalidate(&self, (): &mut (), event: &IntervalEvent) -> FirstPass {
        // There is no way to refuse what may sleep.
        self.answer(event).unwrap_or(FirstPass::Done)
    }

    fn try_invalidate(
        &self,
        (): &mut (),
        event: &IntervalEvent,
    ) -> Result<FirstPass, contract::Again> {
        self.answer(event)
    }
}

impl Intervals for Space {
    fn insert(
        &self,
        extent: Extent,
        callbacks: IntervalCallbacks,
    ) -> Result<Box<dyn Interval>, Refused> {
        let range = AddrRange::from_length(extent.start, extent.length);
        let range = range.map_err(|error| Refused::Overflow(error.to_string()))?;
        let owners = Arc::clone(&self.owners);
        let watching = Watching { callbacks, owners };
        let lock = Arc::new(UserLock::new(()));
        let interval = self.space.insert_interval(range, &lock, watching);
        let interval = Mutex::new(Some(Arc::new(interval.map_err(exited)?)));
        Ok(Box::new(Handle { interval, lock }))
    }

    fn sequence(&self) -> u64 {
        self.space.interval_sequence()
    }
}

struct Handle {
    /// Until it is removed.
    interval: Mutex<Option<Arc<contract::Interval<Watching>>>>,
    lock: Arc<UserLock<()>>,
}

impl Handle {
    fn interval(&self) -> Result<Arc<contract::Interval<Watching>>, Refused> {
        let interval = self.interval.lock().unwrap_or_else(PoisonError::into_inner);
        let removed = || Refused::Invalid("the interval was removed".into());
        interval.clone().ok_or_else(removed)
    }
}

impl Interval for Handle {
    fn sequence(&self) -> u64 {
        self.interval().map_or(0, |interval| interval.sequence())
    }

    fn read_begin(&self) -> Result<Box<dyn Read + '_>, Refused> {
        let interval = self.interval()?;
        let begun = interval.read_begin();
        Ok(Box::new(Begun { interval, begun }))
    }

    fn with_user_lock(&self, body: &mut dyn FnMut()) {
        let _guard = self.lock.lock();
        body();
    }

    /// Its detector panics.
    fn retry_under_another_lock(&self) -> Result<bool, Refused> {
        let interval = self.interval()?;
        let begun = interval.read_begin();
        let other = UserLock::new(());
        Ok(interval.retry(&other.lock(), begun))
    }

    fn remove(&self) -> Result<(), Refused> {
        let mut interval = self.interval.lock().unwrap_or_else(PoisonError::into_inner);
        let interval = interval.take();
        drop(interval);
        Ok(())
    }
}

struct Begun {
    interval: Arc<contract::Interval<Watching>>,
    begun: ReadSequence,
}

impl Read for Begun {
    fn retry(&self, install: &mut dyn FnMut()) -> bool {
        let guard = self.interval.lock();
        let retry = self.interval.retry(&guard, self.begun);
        if !retry {
            install();
        }
        retry
    }

    fn check_retry(&self) -> bool {
        self.interval.check_retry(self.begun)
    }
}
