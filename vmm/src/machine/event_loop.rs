//! The event loop: doorbells, the ends of vCPUs, and the watchdog, on the thread that runs the
//! machine.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use event_manager::{EventManager, EventOps, Events, MutEventSubscriber, SubscriberOps};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::timerfd::TimerFd;

use super::MachineError;
use crate::devices::dma::Engine;
use crate::vcpu::{Ended, EndedAt, VcpuEnd, VcpuIndex};

/// What the loop waits for.
#[derive(Default)]
struct Progress {
    ended: BTreeMap<VcpuIndex, EndedAt>,
    expired: bool,
    asked: bool,
}

/// How the loop ended.
pub(super) struct Outcome {
    /// The vCPUs that ended by themselves.
    pub(super) ended: BTreeMap<VcpuIndex, EndedAt>,
    /// Whether the watchdog ended it.
    pub(super) expired: bool,
    /// Whether somebody outside did.
    pub(super) asked: bool,
}

/// Hears of the ends of vCPUs.
struct Ends<'a> {
    bell: EventFd,
    ends: &'a Receiver<Ended>,
    progress: Rc<RefCell<Progress>>,
}

impl MutEventSubscriber for Ends<'_> {
    fn init(&mut self, ops: &mut EventOps) {
        watch(ops, Events::new(&self.bell, EventSet::IN));
    }

    fn process(&mut self, _: Events, _: &mut EventOps) {
        if let Err(error) = self.bell.read() {
            log::debug!("the bell of ends rang for nothing: {error}");
        }
        let mut progress = self.progress.borrow_mut();
        for Ended { index, at } in self.ends.try_iter() {
            progress.ended.insert(index, at);
        }
    }
}

/// Rings once, when the time is up.
struct Watchdog {
    timer: TimerFd,
    progress: Rc<RefCell<Progress>>,
}

impl MutEventSubscriber for Watchdog {
    fn init(&mut self, ops: &mut EventOps) {
        watch(ops, Events::new(&self.timer, EventSet::IN));
    }

    fn process(&mut self, _: Events, ops: &mut EventOps) {
        self.progress.borrow_mut().expired = true;
        if let Err(error) = ops.remove(Events::empty(&self.timer)) {
            log::debug!("the watchdog goes on ringing: {error}");
        }
    }
}

/// Hears whether the run is to end.
struct Stop<'a> {
    bell: &'a EventFd,
    progress: Rc<RefCell<Progress>>,
}

impl MutEventSubscriber for Stop<'_> {
    fn init(&mut self, ops: &mut EventOps) {
        watch(ops, Events::new(self.bell, EventSet::IN));
    }

    fn process(&mut self, _: Events, _: &mut EventOps) {
        if let Err(error) = self.bell.read() {
            log::debug!("the bell of stops rang for nothing: {error}");
        }
        self.progress.borrow_mut().asked = true;
    }
}

/// The DMA engine, borrowed for the run.
struct Doorbells<'a>(&'a mut Engine);

impl MutEventSubscriber for Doorbells<'_> {
    fn init(&mut self, ops: &mut EventOps) {
        self.0.init(ops);
    }

    fn process(&mut self, events: Events, ops: &mut EventOps) {
        self.0.process(events, ops);
    }
}

fn watch(ops: &mut EventOps, events: Events) {
    if let Err(error) = ops.add(events) {
        log::error!("the event loop does not watch a descriptor: {error}");
    }
}

/// Serves the machine until all of `vcpus` have ended, one has ended as it should not, or `limit`
/// is over.
pub(super) fn serve(
    engine: &mut Engine,
    vcpus: usize,
    (bell, ends): (EventFd, &Receiver<Ended>),
    stop: &EventFd,
    limit: Duration,
) -> Result<Outcome, MachineError> {
    let progress = Rc::new(RefCell::new(Progress::default()));
    let mut timer = TimerFd::new().map_err(timer_error)?;
    timer
        .reset(limit.max(Duration::from_millis(1)), None)
        .map_err(timer_error)?;
    let mut manager = EventManager::<Box<dyn MutEventSubscriber + '_>>::new()?;
    manager.add_subscriber(Box::new(Doorbells(engine)));
    manager.add_subscriber(Box::new(Ends {
        bell,
        ends,
        progress: Rc::clone(&progress),
    }));
    manager.add_subscriber(Box::new(Stop {
        bell: stop,
        progress: Rc::clone(&progress),
    }));
    manager.add_subscriber(Box::new(Watchdog {
        timer,
        progress: Rc::clone(&progress),
    }));
    while !is_over(&progress.borrow(), vcpus) {
        manager.run()?;
    }
    // A doorbell that was rung just before the end.
    manager.run_with_timeout(0)?;
    let progress = progress.take();
    Ok(Outcome {
        ended: progress.ended,
        expired: progress.expired,
        asked: progress.asked,
    })
}

fn is_over(progress: &Progress, vcpus: usize) -> bool {
    let mut ends = progress.ended.values();
    progress.expired
        || progress.asked
        || progress.ended.len() == vcpus
        || ends.any(|at| at.end != VcpuEnd::Done)
}

fn timer_error(error: vmm_sys_util::errno::Error) -> MachineError {
    let error = std::io::Error::from_raw_os_error(error.errno());
    MachineError::resource("timer")(error)
}
