//! What is consumed, when, and what stops it.

use proptest::prelude::*;

use super::super::super::spec::SyncMsi;
use super::*;

const SYNC: [u64; 2] = [0x46, 0];

fn sync_msi(address: u64) -> [u64; 2] {
    let msi = SyncMsi {
        address: (address != 0).then_some(Gpa::new(address)),
        data: 0x1234_5678,
        attributes: 0,
        shareability: 0,
    };
    Command::Sync(Signal::Irq(msi)).encode()
}

#[test]
fn commands_are_consumed_in_order_and_over_the_wrap() {
    let driver = Driver::new();
    for round in 0..3 {
        let three = [0, 1, 2].map(|n| tlbi(3 * round + n));
        let effects = driver.submit(&three.map(|command| command.encode()));
        assert_eq!(effects, [Effect::Commands]);
        assert_eq!(driver.smmu.run(), Progress::Idle);
        assert_eq!(
            driver.get(Register::CmdqCons),
            driver.get(Register::CmdqProd)
        );
    }
    assert_eq!(driver.told(), (0..9).map(tlbi).collect::<Vec<_>>());
    assert_eq!(
        driver.get(Register::CmdqCons),
        1,
        "9 over a ring of 4 and its wrap bit"
    );
}

#[test]
fn a_full_queue_is_consumed_in_one_run() {
    let driver = Driver::new();
    driver.submit(&[0, 1, 2, 3].map(|n| tlbi(n).encode()));
    assert_eq!(driver.smmu.run(), Progress::Idle);
    assert_eq!(driver.told().len(), 4);
    assert_eq!(*lock(&driver.line.woken), 1, "there is room again");
}

/// A producer that claims more than there is room for gets no more than a queue at a time.
#[test]
fn a_run_is_no_longer_than_the_queue() {
    let driver = Driver::new();
    (0..4).for_each(|index| driver.put(index, tlbi(0).encode()));
    driver.set(Register::CmdqProd, 7);
    assert_eq!(driver.smmu.run(), Progress::More);
    assert_eq!(driver.told().len(), 4);
    assert_eq!(driver.smmu.run(), Progress::Idle);
    assert_eq!(driver.told().len(), 7);
}

#[test]
fn nothing_is_consumed_while_the_queue_is_off() {
    let driver = Driver::new();
    driver.set(Register::Cr0, Cr0::SMMUEN.bits());
    driver.submit(&[tlbi(1).encode()]);
    assert_eq!(driver.smmu.run(), Progress::Idle);
    assert_eq!(driver.told(), []);
    let on = driver.set(Register::Cr0, Cr0::CMDQEN.bits());
    assert!(on.contains(&Effect::Commands));
    driver.smmu.run();
    assert_eq!(driver.told(), [tlbi(1)]);
}

#[test]
fn an_illegal_command_stops_the_queue_until_it_is_acknowledged() {
    let driver = Driver::new();
    driver.submit(&[tlbi(1).encode(), [0xff, 0], tlbi(2).encode()]);
    let stopped = Progress::Stopped(CommandFailure::Illegal);
    assert_eq!(driver.smmu.run(), stopped);
    assert_eq!(
        driver.get(Register::CmdqCons),
        1 << 24 | 1,
        "at the command"
    );
    assert_eq!(driver.active(), 1);
    assert_eq!(driver.raised(), [Interrupt::GlobalError]);
    driver.put(1, tlbi(9).encode());
    driver.set(Register::CmdqProd, 3);
    assert_eq!(
        driver.smmu.run(),
        Progress::Idle,
        "not before the acknowledgement"
    );
    assert_eq!(driver.told(), [tlbi(1)]);
    assert!(driver.acknowledge().contains(&Effect::Commands));
    assert_eq!(driver.smmu.run(), Progress::Idle);
    assert_eq!(driver.told(), [tlbi(1), tlbi(9), tlbi(2)]);
}

#[test]
fn what_the_core_refuses_stops_the_queue() {
    for (error, failure) in [
        (CommandError::Illegal, CommandFailure::Illegal),
        (CommandError::Abort, CommandFailure::Abort),
    ] {
        let driver = Driver::new();
        *lock(&driver.smmu.core().refuse) = Some(error);
        driver.submit(&[tlbi(1).encode()]);
        assert_eq!(driver.smmu.run(), Progress::Stopped(failure));
        assert_eq!(driver.get(Register::CmdqCons), failure.code() << 24);
    }
}

#[test]
fn what_is_not_advertised_is_illegal() {
    let driver = Driver::off(Abilities { ats: false, ..ALL });
    driver.enable();
    let atc_inv = [0x40, 0];
    driver.submit(&[atc_inv]);
    let stopped = Progress::Stopped(CommandFailure::Illegal);
    assert_eq!(driver.smmu.run(), stopped);
}

/// The base is outside of memory, or its end is; the size is over what there is.
#[test]
fn a_queue_outside_of_memory_is_aborted() {
    for base in [
        QueueBase::encode(Gpa::new(SIZE), 2),
        QueueBase::encode(Gpa::new(u64::MAX), 31),
        u64::MAX,
    ] {
        let driver = Driver::off(ALL);
        let offset = Register::CmdqBase.offset();
        driver.smmu.write(offset, Width::Double, base);
        driver.set(Register::Cr0, Cr0::CMDQEN.bits());
        driver.set(Register::CmdqProd, 1);
        let stopped = Progress::Stopped(CommandFailure::Abort);
        assert_eq!(driver.smmu.run(), stopped, "{base:#x}");
        assert_eq!(driver.get(Register::CmdqCons), 2 << 24);
        driver.acknowledge();
        assert_eq!(driver.smmu.run(), stopped, "again at the same");
    }
}

#[test]
fn a_pending_sync_is_neither_passed_nor_fetched_again() {
    let driver = Driver::new();
    let pending = SyncState::Pending;
    *lock(&driver.smmu.core().syncs) = [pending, pending].into();
    driver.submit(&[tlbi(1).encode(), SYNC, tlbi(2).encode()]);
    assert_eq!(driver.smmu.run(), Progress::Syncing);
    driver.put(1, [0xff, 0]);
    assert_eq!(driver.smmu.run(), Progress::Syncing);
    assert_eq!(driver.get(Register::CmdqCons), 1, "at the CMD_SYNC");
    assert_eq!(driver.told(), [tlbi(1)]);
    assert_eq!(driver.smmu.run(), Progress::Idle);
    assert_eq!(driver.told(), [tlbi(1), tlbi(2)]);
    assert_eq!(*lock(&driver.smmu.core().begun), 1);
    assert_eq!(driver.raised(), [], "no signal");
}

#[test]
fn a_queue_that_was_turned_off_forgets_its_pending_sync() {
    let driver = Driver::new();
    *lock(&driver.smmu.core().syncs) = [SyncState::Pending].into();
    driver.submit(&[SYNC]);
    assert_eq!(driver.smmu.run(), Progress::Syncing);
    let off = driver.set(Register::Cr0, 0);
    assert!(off.contains(&Effect::CommandsDisabled));
    driver.put(0, tlbi(7).encode());
    driver.set(Register::Cr0, Cr0::CMDQEN.bits());
    assert_eq!(driver.smmu.run(), Progress::Idle);
    assert_eq!(driver.told(), [tlbi(7)], "fetched anew");
}

#[test]
fn a_device_that_does_not_answer_stops_the_queue_at_the_sync() {
    let driver = Driver::new();
    *lock(&driver.smmu.core().syncs) = [SyncState::AtcTimeout].into();
    driver.submit(&[SYNC]);
    let stopped = Progress::Stopped(CommandFailure::AtcInvSync);
    assert_eq!(driver.smmu.run(), stopped);
    assert_eq!(driver.get(Register::CmdqCons), 3 << 24, "not consumed");
    driver.acknowledge();
    assert_eq!(driver.smmu.run(), Progress::Idle);
    assert_eq!(*lock(&driver.smmu.core().begun), 2, "begun again");
}

#[test]
fn a_sync_is_signalled_as_it_says() {
    let driver = Driver::new();
    let sev = Command::Sync(Signal::Sev).encode();
    driver.submit(&[sync_msi(MSI + 4), sev, sync_msi(0)]);
    assert_eq!(driver.smmu.run(), Progress::Idle);
    assert_eq!(driver.word(MSI), 0x1234_5678 << 32);
    assert_eq!(*lock(&driver.line.woken), 1);
    assert_eq!(driver.raised(), [Interrupt::Sync; 2]);
    driver.submit(&[sync_msi(0x800_0000)]);
    driver.smmu.run();
    let messages = lock(&driver.line.messages).clone();
    assert_eq!(messages, [(Gpa::new(0x800_0000), 0x1234_5678)]);
    assert_eq!(driver.active(), 0);
}

#[test]
fn a_sync_whose_message_goes_nowhere_is_consumed_all_the_same() {
    let driver = Driver::new();
    driver.submit(&[sync_msi(0x700_0000), tlbi(1).encode()]);
    assert_eq!(driver.smmu.run(), Progress::Idle);
    assert_eq!(driver.active(), 1 << 4);
    assert_eq!(driver.raised(), [Interrupt::GlobalError, Interrupt::Sync]);
    assert_eq!(driver.told(), [tlbi(1)]);
}

#[test]
fn without_the_ability_there_is_no_message_and_no_wake() {
    let none = Abilities {
        msi: false,
        sev: false,
        ..ALL
    };
    let driver = Driver::off(none);
    driver.enable();
    driver.submit(&[sync_msi(MSI), Command::Sync(Signal::Sev).encode()]);
    assert_eq!(driver.smmu.run(), Progress::Idle);
    assert_eq!((driver.word(MSI), *lock(&driver.line.woken)), (0, 0));
    assert_eq!(driver.raised(), [Interrupt::Sync]);
}

/// What is signalled is signalled before CONS moves: whoever sees the signal may rely on nothing
/// but that, yet the queue must never be seen past a CMD_SYNC that did not signal.
struct Watching(Mutex<Option<Arc<Interface<Told>>>>, Mutex<Vec<u64>>);

impl Interrupts for Watching {
    fn raise(&self, _: Interrupt) {
        let Some(smmu) = lock(&self.0).clone() else {
            return;
        };
        let cons = smmu.read(Register::CmdqCons.offset(), Width::Word);
        lock(&self.1).push(cons);
    }

    fn wake(&self) {}
}

#[test]
fn the_consumer_moves_after_the_signal() {
    let memory = Arc::new(FlatMemory::new(0x4000));
    let watching = Arc::new(Watching(Mutex::default(), Mutex::default()));
    let line = Arc::clone(&watching);
    let smmu = Arc::new(Interface::new(Told::default(), ALL, memory.clone(), line));
    *lock(&watching.0) = Some(Arc::clone(&smmu));
    let words = sync_msi(0);
    memory.write_entry(Gpa::new(COMMANDS), words[0]).unwrap();
    memory
        .write_entry(Gpa::new(COMMANDS + 8), words[1])
        .unwrap();
    let base = QueueBase::encode(Gpa::new(COMMANDS), 2);
    smmu.write(Register::CmdqBase.offset(), Width::Double, base);
    smmu.write(Register::Cr0.offset(), Width::Word, 8);
    smmu.write(Register::CmdqProd.offset(), Width::Word, 1);
    assert_eq!(smmu.run(), Progress::Idle);
    assert_eq!(*lock(&watching.1), [0]);
    *lock(&watching.0) = None;
}

proptest! {
    /// Any bytes: a run ends, and either all was consumed or the queue says why not.
    #[test]
    fn any_bytes_are_consumed_or_stop_the_queue(words in any::<[[u64; 2]; 4]>(), opcodes in any::<[u8; 4]>(), prod in 0..8u32) {
        let driver = Driver::new();
        for (index, (words, opcode)) in (0..).zip(words.into_iter().zip(opcodes)) {
            driver.put(index, [words[0] & !0x1ff | u64::from(opcode), words[1]]);
        }
        driver.set(Register::CmdqProd, prod);
        let cons = |driver: &Driver| driver.get(Register::CmdqCons);
        match driver.smmu.run() {
            Progress::Idle => prop_assert_eq!(cons(&driver), prod),
            Progress::Stopped(why) => prop_assert_eq!(cons(&driver) >> 24, why.code()),
            Progress::More => prop_assert_eq!(cons(&driver), 4),
            Progress::Syncing => prop_assert!(false, "no CMD_SYNC waits here"),
        }
        prop_assert!(Cons::of(cons(&driver)).register() < 8);
    }
}

#[test]
fn a_stream_of_another_world_is_refused() {
    let driver = Driver::new();
    let secure = Command::CfgiCdAll(StreamId(1)).encode()[0] | 1 << 10;
    driver.submit(&[[secure, 0]]);
    let stopped = Progress::Stopped(CommandFailure::Illegal);
    assert_eq!(driver.smmu.run(), stopped);
}

/// Each is taken once and in order, however many run the queue.
#[test]
fn whoever_runs_the_queue_takes_no_command_twice() {
    let driver = Driver::new();
    *lock(&driver.smmu.core().slow) = true;
    let enough = std::sync::atomic::AtomicBool::new(false);
    let is_over = || enough.load(std::sync::atomic::Ordering::Acquire);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over() {
                    driver.smmu.run();
                    std::thread::yield_now();
                }
            });
        }
        for n in 0..200 {
            driver.submit(&[tlbi(n).encode(), SYNC]);
            while driver.get(Register::CmdqCons) != driver.get(Register::CmdqProd) {
                driver.smmu.run();
            }
        }
        enough.store(true, std::sync::atomic::Ordering::Release);
    });
    assert_eq!(driver.told(), (0..200).map(tlbi).collect::<Vec<_>>());
    assert_eq!(*lock(&driver.smmu.core().begun), 200);
}
