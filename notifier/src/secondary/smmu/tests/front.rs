//! A driver that knows nothing but registers and memory.

use std::sync::atomic::{AtomicU32, Ordering};

use super::programming::{cd, ste};
use super::*;
use crate::secondary::smmu::interface::{Interrupt, Interrupts, Progress};
use crate::secondary::smmu::spec::{
    Event, EventKind, PageRequest, PageResponse, PriResp, QueueBase, Register, SyncMsi,
};

const COMMANDS: Gpa = Gpa::new(0x6000);
const EVENTS: Gpa = Gpa::new(0x7000);
const PAGE_REQUESTS: Gpa = Gpa::new(0x8000);
const MESSAGE: Gpa = Gpa::new(0x9000);
/// 2^4 entries in each queue.
const ENTRIES: u8 = 4;

/// Counts the wires that rise.
#[derive(Default)]
struct Wires(AtomicU32);

impl Interrupts for Wires {
    fn raise(&self, _: Interrupt) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn wake(&self) {}
}

struct Driver {
    bench: Bench,
    front: Front,
    smmu: Arc<Smmu>,
    submitted: u32,
}

/// A device that never answers.
struct Silent;

impl DeviceTlb for Silent {
    fn invalidate(&self, _: AtcScope, _: AddrRange<Iova>) -> Result<(), NoAnswer> {
        Err(NoAnswer(STREAM))
    }
}

impl Driver {
    /// With queues, a stream table, everything on.
    fn new(config: Config, knobs: &str) -> Self {
        let bench = Bench::of(&leaf(MIDDLE, RO), &under(FRAME, RW), knobs.parse().unwrap());
        let memory = bench.memory.clone();
        let smmu = Smmu::new(64, memory.clone(), Arc::new(())).with_knobs(knobs.parse().unwrap());
        let smmu = Arc::new(smmu);
        let front = Front::new(smmu.clone(), memory, Arc::new(Wires::default()));
        bench.set_ste(&ste(config));
        bench.set_cd(0, &cd(&bench));
        let driver = Self {
            bench,
            front,
            smmu,
            submitted: 0,
        };
        driver.start();
        driver
    }

    fn start(&self) {
        for (register, at) in [
            (Register::CmdqBase, COMMANDS),
            (Register::EventqBase, EVENTS),
            (Register::PriqBase, PAGE_REQUESTS),
        ] {
            self.set(register, QueueBase::encode(at, ENTRIES));
        }
        let table = StreamTable {
            base: Gpa::new(STREAM_TABLE),
            bits: 4,
            split: None,
        };
        let (base, config) = table.encode();
        self.set(Register::StrtabBase, base);
        self.set(Register::StrtabBaseCfg, u64::from(config));
        self.set(Register::Cr2, 1 << 1);
        self.set(Register::Cr0, 0b1111);
        assert_eq!(self.get(Register::Cr0Ack), 0b1111);
    }

    fn set(&self, register: Register, value: u64) {
        self.front.write(register.offset(), register.width(), value);
    }

    fn get(&self, register: Register) -> u64 {
        self.front.read(register.offset(), register.width())
    }

    /// Puts commands into the queue and tells the SMMU of all of them at once.
    fn submit(&mut self, commands: &[Command]) {
        for command in commands {
            let index = u64::from(self.submitted) % (1 << ENTRIES);
            self.bench
                .write(COMMANDS.raw() + 16 * index, &command.encode());
            self.submitted += 1;
        }
        self.set(
            Register::CmdqProd,
            u64::from(self.submitted % (2 << ENTRIES)),
        );
    }

    fn consumed(&self) -> u64 {
        self.get(Register::CmdqCons) & 0xf_ffff
    }

    fn access(&self, access: Access) -> Result<Gpa, FaultKind> {
        let made = self.smmu.access(STREAM, Iova::new(PAGE), access, |at| at);
        made.map_err(|fault| fault.kind)
    }

    fn event(&self, index: u64) -> Event {
        let word = |offset| {
            let at = EVENTS.raw() + Event::BYTES * index + offset;
            self.bench.memory.read_entry(Gpa::new(at)).unwrap()
        };
        Event::decode([word(0), word(8), word(16), word(24)]).unwrap()
    }
}

fn page() -> Command {
    Command::TlbiVa(TlbiVa {
        vmid: VMID,
        asid: ASID,
        span: TlbiSpan::page(Iova::new(PAGE), Levels::Leaf),
    })
}

/// The project's own scenario, by the driver's hand: read-only, upgraded, denied, told, allowed.
#[test]
fn an_upgrade_is_seen_when_the_driver_says_so() {
    let mut driver = Driver::new(Config::Stage1, "");
    assert_eq!(driver.access(Access::Read), Ok(Gpa::new(MIDDLE)));
    driver.bench.set_first(&leaf(MIDDLE, RW));
    assert_eq!(driver.access(Access::Write), Err(FaultKind::Permission));
    driver.submit(&[page()]);
    assert_eq!(
        driver.access(Access::Write),
        Err(FaultKind::Permission),
        "no SYNC yet"
    );
    let msi = SyncMsi {
        address: Some(MESSAGE),
        data: 0x5ad,
        attributes: 0,
        shareability: 0,
    };
    driver.submit(&[Command::Sync(Signal::Irq(msi))]);
    assert_eq!(driver.bench.memory.read_entry(MESSAGE), Ok(0x5ad));
    assert_eq!(driver.consumed(), 2);
    assert_eq!(driver.access(Access::Write), Ok(Gpa::new(MIDDLE)));
}

#[test]
fn faults_are_in_the_event_queue_before_a_sync_is_consumed() {
    let mut driver = Driver::new(Config::Stage1, "");
    driver.access(Access::Write).unwrap_err();
    driver.submit(&[Command::SYNC]);
    assert_eq!(driver.get(Register::EventqProd), 1);
    let event = driver.event(0);
    assert_eq!(event.stream, STREAM);
    assert!(matches!(event.kind, EventKind::Permission(_)), "{event:?}");
}

#[test]
fn a_sync_stays_in_the_queue_until_the_access_has_ended() {
    let mut driver = Driver::new(Config::Stage1, "");
    let read = driver
        .smmu
        .begin(STREAM, Iova::new(PAGE), Access::Read)
        .unwrap();
    driver.submit(&[page(), Command::SYNC, Command::CfgiAll]);
    assert_eq!(
        driver.consumed(),
        1,
        "the SYNC waits, and what is behind it"
    );
    assert_eq!(driver.front.poke(), Progress::Syncing);
    read.end();
    assert_eq!(driver.front.poke(), Progress::Idle);
    assert_eq!(driver.consumed(), 3);
}

#[test]
fn a_device_that_does_not_answer_stops_the_queue_at_the_sync() {
    let mut driver = Driver::new(Config::Stage1, "");
    let silent: Arc<dyn DeviceTlb> = Arc::new(Silent);
    driver.smmu.connect(STREAM, Arc::downgrade(&silent));
    let all = crate::secondary::AlignedSpan::covering(AddrRange::all());
    let invalidate = Command::AtcInv(STREAM, AtcScope::Untagged, all);
    driver.submit(&[invalidate, Command::SYNC]);
    assert_eq!(driver.consumed(), 1);
    assert_eq!(
        driver.get(Register::CmdqCons) >> 24 & 0x7f,
        3,
        "CERROR_ATC_INV_SYNC"
    );
    assert_eq!(driver.get(Register::Gerror) & 1, 1);
    // Acknowledged, the SYNC is taken again; it has nothing more to wait for.
    driver.set(Register::Gerrorn, driver.get(Register::Gerror));
    driver.front.poke();
    assert_eq!(driver.consumed(), 2);
}

#[test]
fn an_illegal_command_stops_the_queue() {
    let mut driver = Driver::new(Config::Stage1, "");
    driver.submit(&[Command::TlbiEl2All]);
    assert_eq!(driver.get(Register::CmdqCons) >> 24 & 0x7f, 1, "CERROR_ILL");
}

/// The queue is used eight times over, in batches that fill it.
#[test]
fn the_queue_goes_round_and_round() {
    let mut driver = Driver::new(Config::Stage1, "");
    let batch = [[page()].repeat(15), vec![Command::SYNC]].concat();
    for _ in 0..8 {
        driver.submit(&batch);
    }
    assert_eq!(driver.smmu.counts().invalidations, 8 * 15);
    assert_eq!(
        driver.consumed(),
        u64::from(driver.submitted % (2 << ENTRIES))
    );
}

#[test]
fn a_configuration_that_changed_is_used_until_it_is_invalidated() {
    let mut driver = Driver::new(Config::Stage1, "");
    driver.access(Access::Read).unwrap();
    driver.bench.set_ste(&ste(Config::Nested));
    assert_eq!(driver.access(Access::Read), Ok(Gpa::new(MIDDLE)), "stale");
    driver.submit(&[Command::CfgiSte(STREAM, Levels::Leaf), Command::SYNC]);
    driver.submit(&[Command::TlbiVmall(VMID), Command::SYNC]);
    assert_eq!(driver.access(Access::Read), Ok(Gpa::new(FRAME)));
}

#[test]
fn a_stalled_access_is_resumed_by_command() {
    let mut driver = Driver::new(Config::Stage1, "");
    let stalling = Cd {
        stall: true,
        ..cd(&driver.bench)
    };
    driver.bench.set_cd(0, &stalling);
    let Err(FaultKind::Stalled(stag)) = driver.access(Access::Write) else {
        panic!("it did not stall");
    };
    driver.front.poke();
    assert_eq!(driver.event(0).kind.stall(), Some(stag));
    driver.submit(&[Command::Resume(STREAM, stag, Resume::Abort)]);
    let answer = Stalled::Answered(Resume::Abort);
    assert_eq!(driver.smmu.stalled(STREAM, stag), answer);
}

#[test]
fn a_page_request_is_queued_and_answered() {
    let mut driver = Driver::new(Config::Stage1, "");
    let request = PageRequest {
        stream: STREAM,
        substream: None,
        address: Iova::new(PAGE),
        group: 5,
        read: true,
        write: true,
        execute: false,
        privileged: false,
        last: true,
    };
    driver.smmu.request_page(request);
    driver.front.poke();
    let word = |offset| {
        driver
            .bench
            .memory
            .read_entry(Gpa::new(PAGE_REQUESTS.raw() + offset))
    };
    let queued = PageRequest::decode([word(0).unwrap(), word(8).unwrap()]);
    assert_eq!(queued, request);
    assert_eq!(driver.smmu.page_response(STREAM, 5), None);
    driver.submit(&[Command::PriResp(PriResp {
        stream: STREAM,
        substream: None,
        group: 5,
        response: PageResponse::Success,
    })]);
    let answer = driver.smmu.page_response(STREAM, 5);
    assert_eq!(answer, Some(PageResponse::Success));
}

/// What a driver that probes reads: stages, formats, queues, and nothing that is not there.
#[test]
fn the_identification_says_what_a_driver_needs() {
    let driver = Driver::new(Config::Stage1, "httu=ad,btm=on");
    let idr0 = driver.get(Register::Idr(0));
    assert_eq!(idr0 & 0b11, 0b11, "S2P, S1P");
    assert_eq!(idr0 >> 2 & 0b11, 0b10, "AArch64 tables");
    assert_eq!(idr0 >> 5 & 1, 1, "BTM");
    assert_eq!(idr0 >> 6 & 0b11, 0b10, "HTTU: access flag and dirty state");
    assert_eq!(
        driver.get(Register::Idr(5)) >> 4 & 0b111,
        0b111,
        "all granules"
    );
    let without = Driver::new(Config::Stage1, "");
    assert_eq!(without.get(Register::Idr(0)) >> 5 & 0b111, 0);
}
