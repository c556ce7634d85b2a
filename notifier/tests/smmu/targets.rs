//! Whatever guest memory and registers may hold, from plain bytes: what a fuzzer calls, and what the
//! corpus beside this and random bytes go through in every run of the tests.
//!
//! Each target panics if the SMMU does, if it touches memory more often than it may, or if what it
//! says is not what the architecture has for it. Bytes that are missing are zero.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use notifier::addr::{Access, Asid, Gpa, Iova, StreamId, SubstreamId, Vmid};
use notifier::paging::vmsa::Granule;
use notifier::paging::{FlatMemory, NoMemory, SystemMemory, TableMemory, TableMemoryMut};
use notifier::secondary::FaultKind;
use notifier::secondary::smmu::interface::{Interrupt, Interrupts};
use notifier::secondary::smmu::spec::{Cr0, Event, Register, StreamTable, Width};
use notifier::secondary::smmu::{
    Binding, Caching, Context, Front, Httu, Knobs, Programming, Requester, SecondStage, Smmu,
    Traffic,
};

use crate::naive::{Naive, Stages, Tables};
use crate::world::{Kind, stage2};

/// Bytes of guest memory.
pub(crate) const MEMORY: usize = 0x1_0000;

/// How often one access may touch memory: four levels of stage 1, each entry behind four of stage 2,
/// four of stage 2 for what comes out, and a mark of each of the six pages that these are in.
const WALK: u64 = 4 * (1 + 4) + 4 + 6;
/// The same for what stage 1 makes of the address, which the record of a stage-2 fault asks for.
const RECORD: u64 = 4 * (1 + 4) + 6;
/// A level-1 descriptor and an entry of the stream table; the same of the context descriptors, each
/// behind four levels of stage 2 with a mark.
const STRUCTURES: u64 = (1 + 8) + (1 + 8) + 2 * (4 + 1);
/// All of it.
pub(crate) const MOST_TOUCHES: u64 = STRUCTURES + WALK + RECORD;

/// Bytes from the front, zeroes behind them.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    fn word(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let (front, rest) = self.0.split_at(N.min(self.0.len()));
        taken[..front.len()].copy_from_slice(front);
        self.0 = rest;
        taken
    }

    /// What is left is memory's, from address 0 on.
    fn memory(&mut self) -> Arc<Counting> {
        let memory = FlatMemory::new(MEMORY);
        for at in (0..MEMORY as u64).step_by(8).take(self.0.len().div_ceil(8)) {
            memory.write_entry(Gpa::new(at), self.word()).unwrap();
        }
        let touches = AtomicU64::new(0);
        Arc::new(Counting { memory, touches })
    }
}

/// Memory that counts how often it is touched.
struct Counting {
    memory: FlatMemory,
    touches: AtomicU64,
}

impl Counting {
    fn touch(&self) -> &FlatMemory {
        self.touches.fetch_add(1, Ordering::Relaxed);
        &self.memory
    }

    /// How often since the last time this was asked.
    fn touches(&self) -> u64 {
        self.touches.swap(0, Ordering::Relaxed)
    }
}

impl TableMemory for Counting {
    fn read_entry(&self, address: Gpa) -> Result<u64, NoMemory> {
        self.touch().read_entry(address)
    }
}

impl TableMemoryMut for Counting {
    fn write_entry(&self, address: Gpa, entry: u64) -> Result<(), NoMemory> {
        self.touch().write_entry(address, entry)
    }
}

impl SystemMemory for Counting {
    fn compare_exchange(&self, address: Gpa, old: u64, new: u64) -> Result<u64, NoMemory> {
        self.touch().compare_exchange(address, old, new)
    }

    fn write_u32(&self, address: Gpa, value: u32) -> Result<(), NoMemory> {
        self.touch().write_u32(address, value)
    }
}

/// Any bytes as tables. Of the first eight bytes one each is for stage 1's format, for which stages
/// there are, for stage 2's granule, and for what hardware marks; then come the address and the
/// roots of stage 1 and of stage 2; the rest is memory. The answer is that of a walker without a
/// cache.
pub(crate) fn walker(data: &[u8]) {
    let mut bytes = Bytes(data);
    let granule = |byte: u8| Granule::ALL[usize::from(byte) % 3];
    let kind = match bytes.byte() % 4 {
        0 => Kind::X86,
        other => Kind::Arm(granule(other - 1)),
    };
    let (which, second) = (bytes.byte() % 3, granule(bytes.byte()));
    let httu = Httu::ALL[usize::from(bytes.byte()) % 3];
    let _: [u8; 4] = bytes.take();
    let address = bytes.word();
    let [first, second] = [kind.format(), stage2(second)].map(|format| Tables {
        root: Gpa::new(bytes.word() & !(8 * format.entries(format.root()) as u64 - 1)),
        format,
    });
    let memory = bytes.memory();
    let stages = Stages {
        first: (which != 1).then_some(first),
        second: (which != 0).then_some(second),
    };
    let knobs = Knobs {
        httu,
        ..Knobs::default()
    };
    let smmu = Smmu::new(16, memory.clone(), Arc::new(())).with_knobs(knobs);
    smmu.attach(StreamId(0), binding(&stages));
    for access in [Access::Read, Access::Write, Access::Read] {
        let walker = Naive {
            memory: &memory.memory,
            httu,
            instead: None,
        };
        let expected = walker.access(&stages, address, access);
        let got = answer(&smmu, &memory, StreamId(0).into(), address, access);
        if !marks_itself(&smmu) {
            assert_eq!(got, expected, "{access} of {address:#x}");
        }
    }
}

/// Whether marks were set: tables may then be their own pages, and say something else than before.
fn marks_itself(smmu: &Smmu) -> bool {
    smmu.counts().marks > 0
}

fn binding(stages: &Stages) -> Binding {
    let (asid, vmid) = (Asid(1), Vmid(1));
    let first = stages.first.clone();
    let first = first.map(|Tables { format, root }| Context { asid, root, format });
    let second = stages.second.clone();
    let second = second.map(|Tables { format, root }| SecondStage { vmid, root, format });
    match (first, second) {
        (Some(first), Some(second)) => Binding::Nested(first, second),
        (Some(first), None) => Binding::Stage1(first),
        (None, Some(second)) => Binding::Stage2(second),
        (None, None) => unreachable!("one stage there is"),
    }
}

/// Any bytes as stream table, context descriptors and tables: STRTAB_BASE, STRTAB_BASE_CFG, the
/// address; the rest is memory. The first four streams try it, with and without a SubstreamID.
pub(crate) fn structures(data: &[u8]) {
    let mut bytes = Bytes(data);
    let (base, config, address) = (bytes.word(), bytes.word(), bytes.word());
    let config = u32::try_from(config & u64::from(u32::MAX)).unwrap();
    let memory = bytes.memory();
    for configuration_cache in [Caching::On, Caching::Off] {
        let knobs = Knobs {
            configuration_cache,
            httu: Httu::AccessDirty,
            ..Knobs::default()
        };
        let smmu = Smmu::new(16, memory.clone(), Arc::new(())).with_knobs(knobs);
        let table = StreamTable::decode(base, config, 16);
        smmu.program(Some(Programming {
            streams: Traffic::Looked(table),
            ..Programming::RESET
        }));
        for stream in (0..4).map(StreamId) {
            for substream in [None, Some(SubstreamId(0)), Some(SubstreamId(1))] {
                let from = Requester { stream, substream };
                for access in [Access::Read, Access::Write] {
                    let _ = answer(&smmu, &memory, from, address, access);
                }
            }
        }
    }
}

/// What an access gets, and the checks that hold for all.
fn answer(
    smmu: &Smmu,
    memory: &Counting,
    from: Requester,
    address: u64,
    access: Access,
) -> Result<Gpa, FaultKind> {
    memory.touches();
    let got = smmu.access(from, Iova::new(address), access, |at| at);
    let touches = memory.touches();
    assert!(touches <= MOST_TOUCHES, "{touches} touches of memory");
    let event = smmu.take_event();
    assert!(smmu.take_event().is_none(), "one access, one record");
    let got = got.map_err(|fault| fault.kind);
    let name = event.map(|event| {
        assert_eq!(
            Event::decode(event.encode()).unwrap().encode(),
            event.encode()
        );
        event.kind.name()
    });
    assert!(fits(got.err(), name), "{got:?} with {name:?}");
    got
}

/// Whether a record is that of a fault. A fault of translation may have none (CD.R, STE.S2R).
fn fits(fault: Option<FaultKind>, event: Option<&str>) -> bool {
    let translation = |names: &[&str]| event.is_none_or(|event| names.contains(&event));
    match fault {
        None | Some(FaultKind::Aborted) => event.is_none(),
        Some(FaultKind::Stream) => event.is_none_or(|event| event == "C_BAD_STREAMID"),
        Some(FaultKind::Configuration) => event.is_some_and(|event| {
            event.starts_with("C_") || event.ends_with("_FETCH") || event == "F_STREAM_DISABLED"
        }),
        Some(FaultKind::Translation) => translation(&["F_TRANSLATION"]),
        Some(FaultKind::Permission) => translation(&["F_PERMISSION"]),
        Some(FaultKind::AccessFlag) => translation(&["F_ACCESS"]),
        Some(FaultKind::Address) => translation(&["F_ADDR_SIZE", "F_WALK_EABT"]),
        Some(FaultKind::Stalled(_)) => event.is_some(),
        Some(FaultKind::Invalidating) => false,
    }
}

/// Nobody is interrupted.
struct Deaf;

impl Interrupts for Deaf {
    fn raise(&self, _: Interrupt) {}

    fn wake(&self) {}
}

/// How often one command may touch memory: its two words, and its MSI.
const COMMAND: u64 = 3;
/// Writes of one record, and its MSI.
const EVENT: u64 = 5;
/// How many there are at most.
const EVENTS: u64 = 4;

/// Any bytes as registers and queues. The bases of the three queues, of the stream table and its
/// configuration, CMDQ_PROD and EVENTQ_CONS come first; then the number of register writes, each of
/// an offset, a width and a value; the rest is memory.
pub(crate) fn command_queue(data: &[u8]) {
    let mut bytes = Bytes(data);
    let first = [
        Register::CmdqBase,
        Register::EventqBase,
        Register::PriqBase,
        Register::StrtabBase,
        Register::StrtabBaseCfg,
        Register::CmdqProd,
        Register::EventqCons,
    ];
    let first = first.map(|register| (register, bytes.word()));
    let count = bytes.byte() % 16;
    let writes: Vec<_> = (0..count)
        .map(|_| (bytes.take::<2>(), bytes.byte(), bytes.word()))
        .collect();
    let memory = bytes.memory();
    let smmu = Arc::new(Smmu::new(16, memory.clone(), Arc::new(())));
    let front = Front::new(smmu.clone(), memory.clone(), Arc::new(Deaf));
    let bounded = |offset: u64, width: Width, value: u64| {
        memory.touches();
        front.write(offset, width, value);
        let queue = front.read(Register::CmdqBase.offset(), Width::Double);
        let most = 2 * (1 << (queue & 0x1f).min(19)) * COMMAND + EVENTS * EVENT;
        let touches = memory.touches();
        assert!(touches <= most, "{touches} touches of memory");
    };
    let set = |register: Register, value| bounded(register.offset(), register.width(), value);
    for (register, value) in first {
        set(register, value);
    }
    set(Register::Cr0, u64::from(Cr0::all().bits()));
    for (offset, width, value) in writes {
        let offset = u64::from(u16::from_le_bytes(offset));
        let width = if width & 1 == 0 {
            Width::Word
        } else {
            Width::Double
        };
        bounded(offset, width, value);
        front.read(offset, width);
    }
    for stream in (0..EVENTS).map(|number| StreamId(u32::try_from(number).unwrap_or(0))) {
        let _ = smmu.access(stream, Iova::new(0x1000), Access::Write, |_| ());
    }
    set(Register::CmdqProd, first[5].1);
}
