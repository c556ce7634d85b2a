//! A driver of the model: devices, each with a TLB of one entry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::seat::lock;
use crate::faulty::{ConsumerFault, Fault};
use crate::subject::{Binding, Denied, DeviceId, Frame, Refused, Told};

pub(super) struct Bench {
    fault: Option<Fault>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    frame: u64,
    /// Whom a notification reaches.
    listed: BTreeSet<DeviceId>,
    bound: BTreeSet<DeviceId>,
    cached: BTreeMap<DeviceId, u64>,
    exited: bool,
    releases: u32,
}

impl Bench {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        let state = Mutex::default();
        Self { fault, state }
    }

    fn has(&self, fault: ConsumerFault) -> bool {
        self.fault == Some(fault.into())
    }

    fn list(&self, device: DeviceId) {
        lock(&self.state).listed.insert(device);
    }

    fn bind(&self, device: DeviceId) {
        lock(&self.state).bound.insert(device);
    }
}

impl Binding for Bench {
    fn attach(&self, device: DeviceId, between: &mut dyn FnMut()) -> Result<(), Refused> {
        let mut steps: [fn(&Self, DeviceId); 2] = [Self::list, Self::bind];
        if self.has(ConsumerFault::BoundBeforeListed) {
            steps.reverse();
        }
        between();
        for step in steps {
            step(self, device);
            between();
        }
        Ok(())
    }

    fn detach(&self, device: DeviceId) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        state.bound.remove(&device);
        state.listed.remove(&device);
        if !self.has(ConsumerFault::DetachedDirty) {
            state.cached.remove(&device);
        }
        Ok(())
    }

    fn remap(&self, told: Told) -> Result<Frame, Refused> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.frame += 1;
        if told != Told::Page && self.has(ConsumerFault::WideIgnored) {
            return Ok(Frame(state.frame));
        }
        let limit = if self.has(ConsumerFault::OneDeviceTold) {
            1
        } else {
            usize::MAX
        };
        for device in state.listed.iter().take(limit) {
            state.cached.remove(device);
        }
        Ok(Frame(state.frame))
    }

    fn access(&self, device: DeviceId) -> Result<Frame, Denied> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if !state.bound.contains(&device) {
            return Err(Denied::NotBound);
        }
        if state.exited {
            let cached = state.cached.get(&device);
            return cached.copied().map(Frame).ok_or(Denied::NoTranslation);
        }
        let frame = state.frame;
        Ok(Frame(*state.cached.entry(device).or_insert(frame)))
    }

    fn release(&self) {
        let mut state = lock(&self.state);
        state.exited = true;
        state.releases += 1;
        let again = state.releases > 1 && self.has(ConsumerFault::SecondReleaseFails);
        assert!(!again, "the first release took what this one looks for");
        if !self.has(ConsumerFault::ReleaseKeepsTlb) {
            state.cached.clear();
        }
        if self.has(ConsumerFault::ReleaseUnbinds) {
            state.bound.clear();
        }
    }

    fn exit(&self) -> Result<(), Refused> {
        self.release();
        Ok(())
    }
}
