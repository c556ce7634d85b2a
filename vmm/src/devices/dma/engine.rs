//! The engine on the event loop: doorbells, and looking again at what waits, for the guest or for
//! the device.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_manager::{EventOps, Events, MutEventSubscriber};
use guest::abi::dma;
use notifier::addr::{Asid, Gpa, StreamId};
use notifier::oracle::Oracle;
use notifier::secondary::shadow::Shadow;
use notifier::secondary::smmu::Smmu;
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::timerfd::TimerFd;

use super::Registers;
use super::carry::{Carrier, DmaCounts};
use super::job::{Job, Progress};
use super::request::{Refusal, Request};
use super::translation::Translation;
use crate::devices::Frame;
use crate::memory::Ram;
use crate::recorder::{Activity, Recorder};
use crate::tracker::scan::{Scanner, Ticket};

/// What an engine is made of.
pub(crate) struct EngineParts {
    pub(crate) ram: Ram,
    pub(crate) registers: Arc<Registers>,
    pub(crate) smmu: Arc<Smmu>,
    pub(crate) frame: Arc<Frame>,
    pub(crate) stream: StreamId,
    pub(crate) driven: StreamId,
    pub(crate) asid: Asid,
    pub(crate) shadow: Arc<Shadow>,
    pub(crate) oracle: Arc<Oracle>,
    /// Who must look at the page tables before a transfer begins.
    pub(crate) scanner: Option<Arc<Scanner>>,
}

/// The engine; a subscriber of the event loop that waits for doorbells.
///
/// It never waits for the guest inside: a job that has to is put aside and looked at again.
pub(crate) struct Engine {
    registers: Arc<Registers>,
    frame: Arc<Frame>,
    carrier: Carrier,
    /// By channel, those that wait.
    waiting: BTreeMap<usize, Job>,
    scanner: Option<Arc<Scanner>>,
    /// By channel, those that were rung and begin after a scan.
    rung: BTreeMap<usize, Ticket>,
    timer: TimerFd,
    recorder: Option<Arc<Recorder>>,
}

/// How often what waits for the guest, and a CMD_SYNC that waits for the device, are looked at.
const INTERVAL: Duration = Duration::from_micros(100);

/// What the timer's events carry; channels are counted from 0.
const TIMER: u32 = u32::MAX;
/// What those of the SMMU's register frame carry.
const FRAME: u32 = u32::MAX - 1;
/// What the scanner's carry.
const SCANNER: u32 = u32::MAX - 2;

impl Engine {
    /// An engine that has not been rung.
    ///
    /// # Errors
    /// If the host gives no timer.
    pub(crate) fn new(parts: EngineParts) -> io::Result<Self> {
        let translation = Translation {
            smmu: parts.smmu,
            stream: parts.stream,
            driven: parts.driven,
            asid: parts.asid,
            shadow: parts.shadow,
        };
        Ok(Self {
            registers: parts.registers,
            frame: parts.frame,
            carrier: Carrier {
                ram: parts.ram,
                translation,
                oracle: parts.oracle,
                counts: Arc::default(),
            },
            waiting: BTreeMap::new(),
            scanner: parts.scanner,
            rung: BTreeMap::new(),
            timer: TimerFd::new()?,
            recorder: None,
        })
    }

    /// Who hears of its transfers.
    pub(crate) fn set_recorder(&mut self, recorder: Arc<Recorder>) {
        self.recorder = Some(recorder);
    }

    /// What it did so far, also after it is gone.
    pub(crate) fn counts(&self) -> Arc<Mutex<DmaCounts>> {
        Arc::clone(&self.carrier.counts)
    }

    /// Lets go of whatever waits for the guest, unmade: there is no guest any more.
    pub(crate) fn release(&mut self) {
        self.waiting.clear();
    }

    /// A channel's doorbell rang. One whose descriptor still waits has no room for another.
    fn ring(&mut self, channel: usize) {
        if self.waiting.contains_key(&channel) {
            log::debug!("DMA channel {channel} was rung while its transfer waits for the guest");
            return;
        }
        match &self.scanner {
            Some(scanner) => {
                self.rung.insert(channel, scanner.ask());
            }
            None => self.start(channel),
        }
    }

    /// Those that were rung before the last scan that is done.
    fn scanner_rang(&mut self) {
        let Some(scanner) = self.scanner.clone() else {
            return;
        };
        if let Err(error) = scanner.bell().read() {
            log::debug!("the scanner's bell rang for nothing: {error}");
        }
        let done = |_: &usize, ticket: &mut Ticket| scanner.is_done(*ticket);
        let ready: Vec<_> = self.rung.extract_if(.., done).collect();
        for (channel, _) in ready {
            self.start(channel);
        }
    }

    /// Begins what was rung just before the end of the run. If a transfer is held open, a scan may
    /// be waiting for it, and nothing more begins.
    pub(crate) fn finish(&mut self) {
        let scan = self.scanner.as_ref().filter(|_| self.waiting.is_empty());
        let scanned = scan.is_some_and(|scanner| scanner.scan().now().is_ok());
        for (channel, _) in std::mem::take(&mut self.rung) {
            if scanned {
                self.start(channel);
            }
        }
    }

    /// Begins the transfer that a channel's descriptor asks for.
    fn start(&mut self, channel: usize) {
        self.recorded(channel, |engine| {
            let address = engine.registers.descriptor(channel);
            let begun = engine.begin(address);
            engine.go_on(channel, address, begun);
        });
    }

    /// Has the recorder hear of what `turn` does for this channel, if there is one.
    fn recorded(&mut self, channel: usize, turn: impl FnOnce(&mut Self)) {
        let recorder = self.recorder.clone();
        let start = recorder.as_ref().map(|recorder| recorder.now());
        turn(self);
        if let Some((recorder, start)) = recorder.zip(start) {
            recorder.add(Activity::Transfer(channel), start);
        }
    }

    fn begin(&self, address: Gpa) -> Result<Job, Refusal> {
        let descriptor = self.carrier.fetch(address)?;
        match Request::new(&descriptor) {
            Ok(request) => {
                self.carrier.rely_on_configuration(&request);
                Ok(Job::new(address, descriptor, request))
            }
            Err(refusal) => {
                self.carrier
                    .write_back(address, descriptor, dma::STATUS_REFUSED)?;
                Err(refusal)
            }
        }
    }

    /// Carries a job on; keeps it if it has to wait.
    fn go_on(&mut self, channel: usize, address: Gpa, job: Result<Job, Refusal>) {
        let went = job.and_then(|mut job| Ok((job.advance(&self.carrier)?, job)));
        let status = match went {
            Ok((Progress::Waits, job)) => {
                self.waiting.insert(channel, job);
                return;
            }
            Ok((Progress::Ended(status), _)) => status,
            Err(refusal) => {
                self.carrier.refuse(address, refusal);
                dma::STATUS_REFUSED
            }
        };
        self.registers.set_status(channel, status);
    }

    fn look_again(&mut self) {
        for (channel, job) in std::mem::take(&mut self.waiting) {
            self.recorded(channel, |engine| {
                engine.go_on(channel, job.address(), Ok(job));
            });
        }
    }

    /// Lets the SMMU go on after whatever happened; sets the timer if something has to wait.
    fn settle(&mut self) {
        let syncing = self.frame.go_on();
        if syncing || !self.waiting.is_empty() {
            self.tick();
        }
    }

    /// Rings once, soon.
    fn tick(&mut self) {
        if let Err(error) = self.timer.reset(INTERVAL, None) {
            log::error!("what waits for the guest or the device is not looked at again: {error}");
        }
    }
}

impl Engine {
    fn timer_rang(&mut self) {
        // It has rung, so this does not wait.
        if let Err(error) = self.timer.wait() {
            log::debug!("the DMA engine's timer rang for nothing: {error}");
        }
        self.look_again();
    }

    fn frame_rang(&self) {
        if let Err(error) = self.frame.bell().read() {
            log::debug!("the SMMU's bell rang for nothing: {error}");
        }
    }

    /// However often it rang: the channel has one descriptor.
    fn doorbell_rang(&mut self, channel: u32) {
        let Ok(channel) = usize::try_from(channel) else {
            return;
        };
        let bells = self.registers.doorbells();
        let rang = bells.get(channel).map(|bell| bell.read());
        if matches!(rang, Some(Ok(_))) {
            self.ring(channel);
        }
    }
}

impl MutEventSubscriber for Engine {
    fn init(&mut self, ops: &mut EventOps) {
        let bells = (0..).zip(self.registers.doorbells());
        let bells = bells.map(|(channel, bell)| Events::with_data(bell, channel, EventSet::IN));
        let timer = Events::with_data(&self.timer, TIMER, EventSet::IN);
        let frame = Events::with_data(self.frame.bell(), FRAME, EventSet::IN);
        let scanner = self.scanner.as_ref();
        let scanner =
            scanner.map(|scanner| Events::with_data(scanner.bell(), SCANNER, EventSet::IN));
        for events in bells.chain([timer, frame]).chain(scanner) {
            if let Err(error) = ops.add(events) {
                log::error!("the DMA engine has not all of its events: {error}");
            }
        }
    }

    fn process(&mut self, events: Events, _: &mut EventOps) {
        match events.data() {
            TIMER => self.timer_rang(),
            FRAME => self.frame_rang(),
            SCANNER => self.scanner_rang(),
            channel => self.doorbell_rang(channel),
        }
        self.settle();
    }
}
