//! A device with one cached entry, and a count of its faults.

use std::sync::Mutex;

use notifier::addr::Gva;

use super::seat::lock;
use crate::faulty::{ConsumerFault, Fault};
use crate::subject::{self, Announced, PAGE, Refused};

const AT: Gva = Gva::new(5 * PAGE);

pub(super) struct Progress {
    fault: Option<Fault>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    table_writable: bool,
    cache_writable: bool,
    stuck: Vec<Gva>,
}

impl Progress {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        let state = Mutex::default();
        Self { fault, state }
    }
}

impl subject::Progress for Progress {
    fn page(&self) -> Gva {
        AT
    }

    fn upgrade(&self, announced: Announced) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        state.table_writable = true;
        state.cache_writable |= announced == Announced::ToSecondaryTlbs;
        Ok(())
    }

    fn write(&self, tries: u64) -> bool {
        let mut state = lock(&self.state);
        let through = (0..tries).any(|_| state.cache_writable);
        let watched = self.fault != Some(ConsumerFault::NobodyWatches.into());
        // A fault that the page table agrees with is none of the watcher's business.
        if !through && state.table_writable && watched {
            state.stuck.push(AT);
        }
        through
    }

    fn stuck(&self) -> Vec<Gva> {
        lock(&self.state).stuck.clone()
    }
}
