//! A driver of the model: devices, each with a TLB of one entry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::seat::lock;
use crate::faulty::{ConsumerFault, Fault};
use crate::subject::{Binding, DeviceId, Frame, Refused};

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

    fn remap(&self) -> Result<Frame, Refused> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.frame += 1;
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

    fn read(&self, device: DeviceId) -> Option<Frame> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if !state.bound.contains(&device) {
            return None;
        }
        if state.exited {
            return state.cached.get(&device).copied().map(Frame);
        }
        let frame = state.frame;
        Some(Frame(*state.cached.entry(device).or_insert(frame)))
    }

    fn exit(&self) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        state.exited = true;
        if !self.has(ConsumerFault::ReleaseKeepsTlb) {
            state.cached.clear();
        }
        Ok(())
    }
}
