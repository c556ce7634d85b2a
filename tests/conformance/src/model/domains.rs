//! Domains of the model, and a TLB that has one entry for each tag.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::seat::lock;
use crate::faulty::{ConsumerFault, Fault};
use crate::subject::{self, DomainId, Frame, Refused};

pub(super) struct Domains {
    fault: Option<Fault>,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct Domain {
    tag: u64,
    frame: Frame,
}

#[derive(Default)]
struct State {
    made: u64,
    frames: u64,
    domains: BTreeMap<DomainId, Domain>,
    /// Those that notifications reach.
    listed: BTreeSet<DomainId>,
    bound: Option<DomainId>,
    /// By tag.
    cached: BTreeMap<u64, Frame>,
}

impl State {
    fn domain(&mut self, domain: DomainId) -> Result<&mut Domain, Refused> {
        let found = self.domains.get_mut(&domain);
        found.ok_or_else(|| Refused::Invalid("there is no such domain".into()))
    }

    fn next_frame(&mut self) -> Frame {
        self.frames += 1;
        Frame(self.frames)
    }

    fn free_tag(&self) -> u64 {
        let taken: BTreeSet<_> = self.domains.values().map(|domain| domain.tag).collect();
        // The lowest, so that one is soon used again.
        (1..).find(|tag| !taken.contains(tag)).unwrap_or(0)
    }
}

impl Domains {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        let state = Mutex::default();
        Self { fault, state }
    }

    fn has(&self, fault: ConsumerFault) -> bool {
        self.fault == Some(fault.into())
    }

    fn list(&self, new: DomainId) {
        lock(&self.state).listed.insert(new);
    }

    fn install(&self, new: DomainId) {
        lock(&self.state).bound = Some(new);
    }

    fn leave(&self, old: DomainId) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        state.listed.remove(&old);
        let tag = state.domain(old)?.tag;
        if !self.has(ConsumerFault::LeftDirty) {
            state.cached.remove(&tag);
        }
        Ok(())
    }
}

impl subject::Domains for Domains {
    fn create(&self) -> Result<DomainId, Refused> {
        let mut state = lock(&self.state);
        let id = DomainId(state.made);
        state.made += 1;
        let (tag, frame) = (state.free_tag(), state.next_frame());
        state.domains.insert(id, Domain { tag, frame });
        Ok(id)
    }

    fn destroy(&self, domain: DomainId) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        let tag = state.domain(domain)?.tag;
        if !self.has(ConsumerFault::AsidDirty) {
            state.cached.remove(&tag);
        }
        state.bound.take_if(|bound| *bound == domain);
        state.listed.remove(&domain);
        state.domains.remove(&domain);
        Ok(())
    }

    fn attach(&self, domain: DomainId, between: &mut dyn FnMut()) -> Result<(), Refused> {
        let old = lock(&self.state).bound;
        let early = old.filter(|_| self.has(ConsumerFault::LeftBeforeMoved));
        between();
        if let Some(old) = early {
            self.leave(old)?;
            between();
        }
        let mut steps: [fn(&Self, DomainId); 2] = [Self::list, Self::install];
        if self.has(ConsumerFault::MovedBeforeListed) {
            steps.reverse();
        }
        for step in steps {
            step(self, domain);
            between();
        }
        if let Some(old) = old.filter(|_| early.is_none()) {
            self.leave(old)?;
            between();
        }
        Ok(())
    }

    fn tag(&self, domain: DomainId) -> Result<u64, Refused> {
        Ok(lock(&self.state).domain(domain)?.tag)
    }

    fn remap(&self, domain: DomainId) -> Result<Frame, Refused> {
        let mut state = lock(&self.state);
        let frame = state.next_frame();
        let found = state.domain(domain)?;
        found.frame = frame;
        let tag = found.tag;
        if state.listed.contains(&domain) {
            state.cached.remove(&tag);
        }
        Ok(frame)
    }

    fn read(&self) -> Option<Frame> {
        let mut state = lock(&self.state);
        let Domain { tag, frame } = *state.domains.get(&state.bound?)?;
        Some(*state.cached.entry(tag).or_insert(frame))
    }
}
