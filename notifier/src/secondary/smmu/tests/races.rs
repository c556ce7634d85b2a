//! What happens between two steps of something else; each was once a mistake.

use super::programming::{cd, ste};

use super::*;
use crate::contract::Step;
use crate::paging::{NoMemory, SystemMemory};
use crate::secondary::{CacheId, Cached, Denial, Observer};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const LINEAR: StreamTable = StreamTable {
    base: Gpa::new(STREAM_TABLE),
    bits: 4,
    split: None,
};

type Hook = Box<dyn Fn() + Send + Sync>;
/// Memory in which reading one word, once, makes something else happen.
struct Hooked {
    memory: Arc<FlatMemory>,
    at: AtomicU64,
    hook: OnceLock<Hook>,
}
impl TableMemory for Hooked {
    fn read_entry(&self, at: Gpa) -> Result<u64, NoMemory> {
        let word = self.memory.read_entry(at);
        if self
            .at
            .compare_exchange(at.raw(), u64::MAX, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            self.hook.get().unwrap()();
        }
        word
    }
}
impl TableMemoryMut for Hooked {
    fn write_entry(&self, at: Gpa, entry: u64) -> Result<(), NoMemory> {
        self.memory.write_entry(at, entry)
    }
}
impl SystemMemory for Hooked {
    fn compare_exchange(&self, at: Gpa, old: u64, new: u64) -> Result<u64, NoMemory> {
        self.memory.compare_exchange(at, old, new)
    }
    fn write_u32(&self, at: Gpa, v: u32) -> Result<(), NoMemory> {
        self.memory.write_u32(at, v)
    }
}

fn looked(smmu: &Smmu) {
    smmu.program(Some(Programming {
        streams: Traffic::Looked(LINEAR),
        ..Programming::RESET
    }));
}

/// The structure is written anew, and invalidated, between the read of it and its place in the cache.
#[test]
fn a_configuration_that_was_read_before_its_invalidation_is_not_kept() {
    let bench = Bench::new(RO, RW);
    bench.set_ste(&ste(Config::Stage1));
    bench.set_cd(0, &cd(&bench));
    let last = STREAM_TABLE + 64 * u64::from(STREAM.0) + 56;
    let memory = Arc::new(Hooked {
        memory: bench.memory.clone(),
        at: AtomicU64::new(last),
        hook: OnceLock::new(),
    });
    let smmu = Arc::new(Smmu::new(64, memory.clone(), Arc::new(())));
    looked(&smmu);
    let (flat, weak) = (bench.memory.clone(), Arc::downgrade(&smmu));
    let _ = memory.hook.set(Box::new(move || {
        for (o, w) in (0..).step_by(8).zip(ste(Config::Abort).encode()) {
            flat.write_entry(Gpa::new(STREAM_TABLE + 64 * u64::from(STREAM.0) + o), w)
                .unwrap();
        }
        let smmu = weak.upgrade().unwrap();
        smmu.submit(Command::CfgiAll);
        smmu.carry_out(0).unwrap();
    }));
    let _ = smmu.access(STREAM, Iova::new(PAGE), Access::Read, |at| at);
    smmu.sync().unwrap();
    let after = smmu.access(STREAM, Iova::new(PAGE), Access::Read, |at| at);
    assert!(after.is_err(), "stale STE after CFGI_ALL + SYNC: {after:?}");
}

/// Makes something else happen when the first entry of both stages goes.
struct OnDrop(OnceLock<Hook>, AtomicU64);
impl Observer for OnDrop {
    fn watches(&self) -> bool {
        true
    }
    fn walk_began(&self) -> Step {
        Step(0)
    }
    fn filled(&self, _: CacheId, _: AddrRange<Iova>, _: &Leaf, s: Step) -> Step {
        s
    }
    fn dropped(&self, cache: CacheId, _: &Cached) {
        if matches!(cache, CacheId::SmmuNested(..)) && self.1.fetch_add(1, Ordering::SeqCst) == 0 {
            self.0.get().unwrap()();
        }
    }
    fn invalidated(&self, _: CacheId, _: AddrRange<Iova>) {}
    fn used(&self, _: CacheId, _: Iova, _: Access, _: &Cached) {}
    fn denied(&self, _: CacheId, _: Iova, _: Access, _: &Denial) {}
}

/// Another access walks both stages between the invalidations of the address space and of stage 2.
#[test]
fn no_walk_between_two_spaces_leaves_an_entry_behind() {
    let bench = Bench::new(RO, RW);
    let observer = Arc::new(OnDrop(OnceLock::new(), AtomicU64::new(0)));
    let smmu = Arc::new(Smmu::new(64, bench.memory.clone(), observer.clone()));
    smmu.attach(STREAM, Binding::Nested(bench.context(), bench.second()));
    let read = |s: &Smmu| s.access(STREAM, Iova::new(PAGE), Access::Read, |at| at);
    assert!(read(&smmu).is_ok());
    let weak = Arc::downgrade(&smmu);
    let _ = observer.0.set(Box::new(move || {
        // another device's access, between the two spaces
        let s = weak.upgrade().unwrap();
        std::thread::spawn(move || {
            let _ = s.access(STREAM, Iova::new(PAGE), Access::Read, |at| at);
        })
        .join()
        .unwrap();
    }));
    bench.memory.write_entry(bench.slots[1], 0).unwrap();
    smmu.submit(Command::TlbiVmall(VMID));
    smmu.sync().unwrap();
    let after = read(&smmu);
    assert!(
        after.is_err(),
        "stale combined entry after S12_VMALL + SYNC: {after:?}"
    );
}

fn plain() -> Bench {
    let bench = Bench::of(&leaf(MIDDLE, RW), &under(FRAME, RW), Knobs::default());
    bench.smmu.attach(STREAM, bench.context());
    bench
}

#[test]
fn a_sync_is_not_complete_before_an_earlier_one() {
    let bench = plain();
    let write = bench
        .smmu
        .begin(STREAM, Iova::new(PAGE), Access::Write)
        .unwrap();
    bench.smmu.submit(Command::TlbiAsid(Vmid(0), ASID));
    let first = bench.smmu.begin_sync().unwrap();
    assert!(!bench.smmu.poll_sync(&first));
    let second = bench.smmu.begin_sync().unwrap();
    let done = bench.smmu.poll_sync(&second);
    write.end();
    assert!(
        !done,
        "a later CMD_SYNC is complete while an earlier one waits"
    );
}

/// A device that never answers.
struct Silent;
impl DeviceTlb for Silent {
    fn invalidate(&self, _: AtcScope, _: AddrRange<Iova>) -> Result<(), NoAnswer> {
        Err(NoAnswer(STREAM))
    }
}
#[test]
fn a_sync_that_stops_at_a_device_owes_what_it_owed() {
    let bench = plain();
    let silent: Arc<dyn DeviceTlb> = Arc::new(Silent);
    bench.smmu.connect(STREAM, Arc::downgrade(&silent));
    let write = bench
        .smmu
        .begin(STREAM, Iova::new(PAGE), Access::Write)
        .unwrap();
    bench.smmu.submit(Command::TlbiAsid(Vmid(0), ASID));
    let all = crate::secondary::AlignedSpan::covering(AddrRange::all());
    bench
        .smmu
        .submit(Command::AtcInv(STREAM, AtcScope::Untagged, all));
    bench.smmu.begin_sync().unwrap_err();
    let again = bench.smmu.begin_sync().unwrap();
    let done = bench.smmu.poll_sync(&again);
    write.end();
    assert!(
        !done,
        "SYNC tried again is complete with a covered access open"
    );
}

#[test]
fn an_access_by_a_global_entry_is_waited_for_by_whoever_takes_it() {
    let first = Leaf {
        global: true,
        ..leaf(MIDDLE, RW)
    };
    let bench = Bench::of(&first, &under(FRAME, RW), Knobs::default());
    bench.smmu.attach(STREAM, bench.context());
    let write = bench
        .smmu
        .begin(STREAM, Iova::new(PAGE), Access::Write)
        .unwrap();
    bench.smmu.submit(Command::TlbiVa(TlbiVa {
        vmid: Vmid(0),
        asid: Asid(99),
        span: TlbiSpan::page(Iova::new(PAGE), Levels::Leaf),
    }));
    let sync = bench.smmu.begin_sync().unwrap();
    let gone = bench.smmu.counts().invalidated_entries;
    let done = bench.smmu.poll_sync(&sync);
    write.end();
    assert_eq!(gone, 1);
    assert!(
        !done,
        "took the global entry out, did not wait for who uses it"
    );
}

#[test]
fn an_smmu_that_is_off_looks_at_no_cached_configuration() {
    let bench = Bench::new(RO, RW);
    bench.set_ste(&ste(Config::Stage1));
    bench.set_cd(0, &cd(&bench));
    looked(&bench.smmu);
    bench.access(Access::Read).unwrap();
    bench.smmu.program(Some(Programming {
        streams: Traffic::Aborted,
        ..Programming::RESET
    }));
    let after = bench.access(Access::Read);
    assert_eq!(after, Err(FaultKind::Aborted), "SMMUEN=0, GBPA.ABORT=1");
}

/// Stage 1 marks nothing: warm or cold, the write gets through.
#[test]
fn a_page_that_stage_2_has_to_mark_is_looked_up_again() {
    let second = Leaf {
        hints: LeafHints::DIRTY_MANAGED,
        ..under(FRAME, RO)
    };
    let run = |warm: bool| {
        let bench = Bench::of(&leaf(MIDDLE, RW), &second, "httu=ad".parse().unwrap());
        let mut s = ste(Config::Nested);
        s.stage2.hardware_access = true;
        s.stage2.hardware_dirty = true;
        bench.set_ste(&s);
        bench.set_cd(0, &cd(&bench));
        looked(&bench.smmu);
        if warm {
            bench.access(Access::Read).unwrap();
        }
        bench.access(Access::Write)
    };
    assert_eq!(run(true), run(false), "a cached clean entry is believed");
}

#[test]
fn records_of_stalls_that_are_over_are_not_kept() {
    let bench = Bench::new(RO, RW);
    bench.set_ste(&ste(Config::Stage1));
    bench.set_cd(
        0,
        &Cd {
            stall: true,
            ..cd(&bench)
        },
    );
    looked(&bench.smmu);
    for _ in 0..20_000 {
        let Err(FaultKind::Stalled(stag)) = bench.access(Access::Write) else {
            panic!()
        };
        bench.smmu.submit(Command::StallTerm(STREAM));
        bench.smmu.stalled(STREAM, stag);
    }
    let mut n = 0;
    while bench.smmu.take_event().is_some() {
        n += 1;
    }
    assert!(n <= 1024 + 256, "{n} records wait");
}

/// PRI_RESP for groups that nobody asked for leave room for those that somebody did.
#[test]
fn answers_to_nobody_use_up_no_room() {
    let bench = plain();
    let response = |stream, group| {
        Command::PriResp(spec::PriResp {
            stream,
            substream: None,
            group,
            response: spec::PageResponse::Success,
        })
    };
    bench.smmu.request_page(spec::PageRequest {
        stream: STREAM,
        substream: None,
        address: Iova::new(PAGE),
        group: 1,
        read: true,
        write: false,
        execute: false,
        privileged: false,
        last: true,
    });
    for stream in 100..103 {
        for group in 0..512 {
            bench.smmu.submit(response(StreamId(stream), group));
        }
    }
    bench.smmu.submit(response(STREAM, 1));
    assert!(
        bench.smmu.page_response(STREAM, 1).is_some(),
        "a real answer is lost"
    );
}

use super::spec::{QueueBase, Register};
use crate::secondary::smmu::interface::{Interrupt, Interrupts};
struct NoWires;
impl Interrupts for NoWires {
    fn raise(&self, _: Interrupt) {}
    fn wake(&self) {}
}
fn front(bench: &Bench, hook_at: u64) -> (Arc<Hooked>, Arc<Smmu>, Front) {
    let memory = Arc::new(Hooked {
        memory: bench.memory.clone(),
        at: AtomicU64::new(hook_at),
        hook: OnceLock::new(),
    });
    let smmu = Arc::new(Smmu::new(64, memory.clone(), Arc::new(())));
    let front = Front::new(smmu.clone(), memory.clone(), Arc::new(NoWires));
    bench.set_ste(&ste(Config::Stage1));
    bench.set_cd(0, &cd(bench));
    let set = |r: Register, v| front.write(r.offset(), r.width(), v);
    set(Register::CmdqBase, QueueBase::encode(Gpa::new(0x6000), 4));
    set(Register::EventqBase, QueueBase::encode(Gpa::new(0x7000), 4));
    let (b, c) = LINEAR.encode();
    set(Register::StrtabBase, b);
    set(Register::StrtabBaseCfg, u64::from(c));
    set(Register::Cr0, 0b1101);
    (memory, smmu, front)
}

#[test]
fn a_fault_under_way_is_recorded_before_the_sync_is_consumed() {
    let bench = Bench::new(RO, RW);
    let (memory, smmu, front) = front(&bench, 0x6000);
    smmu.access(STREAM, Iova::new(PAGE), Access::Read, |_| ())
        .unwrap();
    let s = Arc::downgrade(&smmu);
    let _ = memory.hook.set(Box::new(move || {
        let _ = s
            .upgrade()
            .unwrap()
            .access(STREAM, Iova::new(PAGE), Access::Write, |_| ());
    }));
    bench.write(0x6000, &Command::SYNC.encode());
    front.write(Register::CmdqProd.offset(), Register::CmdqProd.width(), 1);
    let get = |r: Register| front.read(r.offset(), r.width());
    assert_eq!((get(Register::CmdqCons), get(Register::EventqProd)), (1, 1));
}

#[test]
fn a_sync_that_is_abandoned_owes_what_it_owed() {
    let bench = Bench::new(RO, RW);
    let (_m, smmu, front) = front(&bench, u64::MAX - 8);
    let set = |r: Register, v| front.write(r.offset(), r.width(), v);
    let get = |r: Register| front.read(r.offset(), r.width());
    let read = smmu.begin(STREAM, Iova::new(PAGE), Access::Read).unwrap();
    bench.write(0x6000, &Command::TlbiAsid(VMID, ASID).encode());
    bench.write(0x6010, &Command::SYNC.encode());
    set(Register::CmdqProd, 2);
    assert_eq!(get(Register::CmdqCons), 1);
    set(Register::Cr0, 0b0101);
    set(Register::Cr0, 0b1101);
    let cons = get(Register::CmdqCons);
    read.end();
    assert_eq!(cons, 1, "the SYNC is consumed with the access open");
}

#[test]
fn a_device_is_not_granted_writes_that_nobody_marks() {
    use crate::paging::x86_64::X86_64;
    use crate::secondary::atc::Atc;
    let memory = Arc::new(FlatMemory::new(MEMORY));
    let format = X86_64::four_level(48);
    let pool = AddrRange::new(Gpa::new(STAGE1), Gpa::new(STAGE1 + 0x4_0000)).unwrap();
    let mut one = Builder::new(&format, &*memory, pool).unwrap();
    let clean = Leaf {
        dirty: false,
        ..leaf(MIDDLE, RW)
    };
    one.map(Gva::new(PAGE), &clean).unwrap();
    let slot = one.slot(Gva::new(PAGE), PageSize::K4).unwrap();
    let knobs: Knobs = "httu=ad".parse().unwrap();
    let smmu = Arc::new(Smmu::new(64, memory.clone(), Arc::new(())).with_knobs(knobs));
    smmu.attach(
        STREAM,
        Context {
            asid: ASID,
            root: one.root(),
            format: Arc::new(format),
        },
    );
    let atc = Atc::connect(smmu, STREAM, 8, Arc::new(()));
    atc.access(Iova::new(PAGE), Access::Read, |_| ()).unwrap();
    assert_eq!(memory.read_entry(slot).unwrap() & 64, 0);
    atc.access(Iova::new(PAGE), Access::Write, |_| ()).unwrap();
    assert_eq!(
        memory.read_entry(slot).unwrap() & 64,
        64,
        "written, and clean in memory"
    );
}
