//! The guest's numbers held against the specification's, and the frame as a bus sees it.

use guest::abi::{layout, smmu};
use notifier::addr::{Asid, Gpa, Iova, StreamId, SubstreamId, Vmid};
use notifier::paging::TableMemory;
use notifier::secondary::smmu::spec::{
    Cd, Command, Config, Cr0, GlobalErrors, QueueBase, Register, Ste, StreamTable, SyncMsi,
};
use notifier::secondary::smmu::{Levels, Resume, Signal, Stag, TlbiSpan, TlbiVa};

use super::*;
use crate::machine::{ASID, DRIVEN_STREAM};
use crate::memory::{Layout, MemoryConfig};

#[test]
fn registers_are_where_the_specification_has_them() {
    for (register, offset) in [
        (Register::Cr0, smmu::CR0),
        (Register::Cr0Ack, smmu::CR0ACK),
        (Register::Cr2, smmu::CR2),
        (Register::Gerror, smmu::GERROR),
        (Register::Gerrorn, smmu::GERRORN),
        (Register::StrtabBase, smmu::STRTAB_BASE),
        (Register::StrtabBaseCfg, smmu::STRTAB_BASE_CFG),
        (Register::CmdqBase, smmu::CMDQ_BASE),
        (Register::CmdqProd, smmu::CMDQ_PROD),
        (Register::CmdqCons, smmu::CMDQ_CONS),
        (Register::EventqBase, smmu::EVENTQ_BASE),
        (Register::EventqProd, smmu::EVENTQ_PROD),
        (Register::EventqCons, smmu::EVENTQ_CONS),
    ] {
        assert_eq!(register.offset(), offset, "{register:?}");
    }
    let all = Register::ALL.map(|register| register.offset() + register.width().bytes());
    assert!(all.iter().all(|end| *end <= smmu::FRAME_SIZE));
}

#[test]
fn bits_of_registers_are_those_of_the_specification() {
    let bits = [
        (Cr0::SMMUEN, smmu::CR0_SMMUEN),
        (Cr0::EVENTQEN, smmu::CR0_EVENTQEN),
        (Cr0::CMDQEN, smmu::CR0_CMDQEN),
    ];
    assert!(
        bits.iter()
            .all(|(bit, ours)| u64::from(bit.bits()) == *ours)
    );
    assert_eq!(u64::from(GlobalErrors::CMDQ_ERR.bits()), smmu::GERROR_CMDQ);
    let base = smmu::COMMANDS | smmu::QUEUE_BITS;
    assert_eq!(QueueBase::encode(Gpa::new(smmu::COMMANDS), 5), base);
    let table = StreamTable::decode(smmu::STREAMS, 2, 16);
    assert_eq!((table.base, table.bits), (Gpa::new(smmu::STREAMS), 2));
    assert_eq!(smmu::STREAM_BITS, 2);
}

#[test]
fn structures_say_what_the_driver_means() {
    let entry = [smmu::STREAM_ENTRY_FIRST, smmu::STREAM_ENTRY_SECOND];
    let ste = Ste::decode([entry[0], entry[1], 0, 0, 0, 0, 0, 0]);
    assert!(ste.valid);
    assert_eq!(ste.config, Config::Stage1);
    assert_eq!(ste.contexts.base.raw(), smmu::CONTEXT);
    assert_eq!((ste.contexts.bits, ste.shareability), (0, 1));
    let flags = smmu::CD_RECORD | smmu::CD_STALL | smmu::CD_ACCESS | smmu::CD_DIRTY;
    let cd = |flags| Cd::decode([smmu::context(7, flags), 0x40_0000, 0, 0, 0, 0, 0, 0]);
    let plain = cd(0);
    assert!(plain.valid && plain.aarch64 && plain.upper.walks_disabled);
    assert_eq!((plain.asid, plain.lower.size), (Asid(7), 16));
    assert_eq!(plain.lower.root.raw(), 0x40_0000);
    assert!(!plain.record && !plain.stall && !plain.hardware_access && !plain.hardware_dirty);
    let all = cd(flags);
    assert!(all.record && all.stall && all.hardware_access && all.hardware_dirty);
    let abilities = Smmu::new(64, Arc::new(ram()), Arc::new(())).abilities();
    assert_eq!(ste.check(&abilities), Ok(()));
    let world = ste.world(&abilities, false);
    assert_eq!(plain.check(&abilities, &ste, world), Ok(()));
}

#[test]
fn commands_are_those_of_the_specification() {
    let stream = StreamId(smmu::STREAM);
    let page = TlbiVa {
        vmid: Vmid(0),
        asid: Asid(7),
        span: TlbiSpan::page(Iova::new(layout::WINDOW), Levels::All),
    };
    let message = SyncMsi {
        address: Some(Gpa::new(smmu::MESSAGE)),
        data: 0x5ad,
        attributes: 0,
        shareability: 0,
    };
    let resume = |answer| Command::Resume(stream, Stag(9), answer);
    for (command, ours) in [
        (Command::TlbiVa(page), smmu::tlbi_va(layout::WINDOW, 7)),
        (Command::TlbiAsid(Vmid(0), Asid(7)), smmu::tlbi_asid(7)),
        (Command::TlbiNsnhAll, smmu::TLBI_ALL),
        (Command::CfgiAll, smmu::CFGI_ALL),
        (
            Command::CfgiCd(stream, SubstreamId(0), Levels::Leaf),
            smmu::CFGI_CD,
        ),
        (Command::SYNC, smmu::SYNC),
        (
            Command::Sync(Signal::Irq(message)),
            smmu::sync_message(smmu::MESSAGE, 0x5ad),
        ),
        (
            resume(Resume::Terminate),
            smmu::resume(9, smmu::Answer::Terminate),
        ),
        (resume(Resume::Retry), smmu::resume(9, smmu::Answer::Retry)),
        (resume(Resume::Abort), smmu::resume(9, smmu::Answer::Abort)),
        (Command::StallTerm(stream), smmu::STALL_TERM),
    ] {
        assert_eq!(Command::decode(ours), Ok(command));
        assert_eq!(command.encode(), ours, "{command:?}");
    }
}

#[test]
fn the_machine_and_the_guest_mean_the_same_stream_and_address_space() {
    assert_eq!(DRIVEN_STREAM, StreamId(smmu::STREAM));
    assert_eq!(u64::from(ASID.0), smmu::ASID);
}

fn ram() -> Ram {
    Ram::new(Layout::new(&MemoryConfig::default()).unwrap()).unwrap()
}

fn frame() -> (Frame, Ram) {
    let ram = ram();
    let smmu = Arc::new(Smmu::new(64, Arc::new(ram.clone()), Arc::new(())));
    (Frame::new(smmu, ram.clone()).unwrap(), ram)
}

fn read(frame: &Frame, offset: u64, length: usize) -> u64 {
    let mut bytes = [0xff; 8];
    assert!(frame.read(offset, &mut bytes[..length]).is_continue());
    bytes[length..].fill(0);
    u64::from_le_bytes(bytes)
}

fn write(frame: &Frame, offset: u64, value: u64, length: usize) {
    let bytes = value.to_le_bytes();
    let flow = frame.write(VcpuIndex(0), offset, &bytes[..length]);
    assert!(flow.is_continue());
}

#[test]
fn registers_take_words_and_double_words_and_nothing_else() {
    let (frame, _) = frame();
    let base = smmu::COMMANDS | smmu::QUEUE_BITS;
    for length in [1, 2] {
        write(&frame, smmu::CMDQ_BASE, base, length);
        assert_eq!(read(&frame, smmu::CMDQ_BASE, 8), 0);
    }
    assert!(frame.bell().read().is_err(), "nothing was written");
    write(&frame, smmu::CMDQ_BASE, base, 8);
    assert_eq!(read(&frame, smmu::CMDQ_BASE, 8), base);
    assert_eq!(read(&frame, smmu::CMDQ_BASE, 4), base);
    assert_eq!(read(&frame, smmu::CMDQ_BASE, 2), 0);
    assert!(frame.bell().read().is_ok());
}

/// A command queue in the pool can be read; an MSI there is an abort, and changes nothing.
#[test]
fn what_the_smmu_writes_does_not_reach_page_tables() {
    let (frame, ram) = frame();
    let pool = ram.layout().page_tables().start();
    for (place, word) in (smmu::COMMANDS..)
        .step_by(8)
        .zip(smmu::sync_message(pool.raw(), 7))
    {
        ram.write(Gpa::new(place), &word.to_le_bytes()).unwrap();
    }
    write(
        &frame,
        smmu::CMDQ_BASE,
        smmu::COMMANDS | smmu::QUEUE_BITS,
        8,
    );
    write(&frame, smmu::CR0, smmu::CR0_CMDQEN, 4);
    write(&frame, smmu::CMDQ_PROD, 1, 4);
    assert_eq!(read(&frame, smmu::CMDQ_CONS, 4), 1, "it is complete");
    assert_eq!(ram.read_entry(pool), Ok(0));
    let aborted = u64::from(GlobalErrors::MSI_CMDQ_ABT_ERR.bits());
    assert_eq!(read(&frame, smmu::GERROR, 4), aborted);
}

/// A large queue, full: a register write consumes some, and who is rung the rest.
#[test]
fn a_full_queue_holds_nobody_up() {
    let (frame, ram) = frame();
    let (queue, bits) = (0x80_0000_u64, 18_u64);
    let command = smmu::CFGI_ALL.map(u64::to_le_bytes).concat();
    ram.write(Gpa::new(queue), &command.repeat(1 << bits))
        .unwrap();
    write(&frame, smmu::CMDQ_BASE, queue | bits, 8);
    write(&frame, smmu::CR0, smmu::CR0_CMDQEN, 4);
    write(&frame, smmu::CMDQ_PROD, 1 << bits, 4);
    let consumed = read(&frame, smmu::CMDQ_CONS, 4);
    assert!((1..=4096).contains(&consumed), "{consumed}");
    let mut rounds = 0;
    while frame.go_on() {
        rounds += 1;
    }
    assert_eq!(read(&frame, smmu::CMDQ_CONS, 4), 1 << bits);
    assert!(
        (1 << bits >> 13..=1 << bits >> 10).contains(&rounds),
        "{rounds}"
    );
}
