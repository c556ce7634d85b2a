//! What may be written when, and what follows.

use proptest::prelude::*;

use super::super::super::spec::{GlobalErrors, MsiConfig};
use super::*;
use crate::secondary::smmu::spec::tests::LEAST;

fn registers() -> Registers {
    Registers::new(ALL)
}

fn set(registers: &mut Registers, register: Register, value: u64) -> Vec<Effect> {
    let effects = registers.write(register.offset(), register.width(), value);
    registers.settle();
    effects
}

fn get(registers: &Registers, register: Register) -> u64 {
    registers.read(register.offset(), register.width())
}

#[test]
fn an_acknowledgement_follows_what_was_written() {
    let mut registers = registers();
    let offset = Register::Cr0.offset();
    let effects = registers.write(offset, Width::Word, 0xffff_ffff);
    assert_eq!(
        get(&registers, Register::Cr0),
        0x1f,
        "reserved bits are not kept"
    );
    assert_eq!(get(&registers, Register::Cr0Ack), 0);
    let on = [
        Effect::Configure,
        Effect::Commands,
        Effect::Events,
        Effect::PageRequests,
    ];
    assert_eq!(effects, on);
    registers.settle();
    assert_eq!(get(&registers, Register::Cr0Ack), 0x1f);
    assert_eq!(
        set(&mut registers, Register::Cr0, 0x1f),
        [],
        "nothing changed"
    );
    set(&mut registers, Register::IrqCtrl, 0xff);
    assert_eq!(get(&registers, Register::IrqCtrlAck), 7);
}

#[test]
fn guarded_registers_are_written_while_what_guards_them_is_off() {
    for (register, bit) in [
        (Register::StrtabBase, 0),
        (Register::StrtabBaseCfg, 0),
        (Register::Cr2, 0),
        (Register::PriqBase, 1),
        (Register::PriqProd, 1),
        (Register::EventqBase, 2),
        (Register::EventqProd, 2),
        (Register::CmdqBase, 3),
        (Register::CmdqCons, 3),
    ] {
        let mut registers = registers();
        set(&mut registers, Register::Cr0, 1 << bit);
        let before = get(&registers, register);
        assert_eq!(set(&mut registers, register, 0x42), [], "{register:?}");
        assert_eq!(get(&registers, register), before, "{register:?}");
        set(&mut registers, Register::Cr0, 0);
        set(&mut registers, register, 0x42);
        assert_ne!(get(&registers, register), before, "{register:?}");
    }
}

/// Cleared and not acknowledged is still guarded.
#[test]
fn a_guard_holds_until_it_is_acknowledged_to_be_off() {
    let mut registers = registers();
    set(&mut registers, Register::Cr0, 8);
    registers.write(Register::Cr0.offset(), Width::Word, 0);
    let base = Register::CmdqBase.offset();
    registers.write(base, Width::Double, 0x1000);
    assert_eq!(registers.read(base, Width::Double), 0);
    registers.settle();
    registers.write(base, Width::Double, 0x1000);
    assert_eq!(registers.read(base, Width::Double), 0x1000);
}

#[test]
fn interrupts_are_configured_while_they_are_masked() {
    for (register, bit) in [
        (Register::GerrorIrqCfg(0), 0),
        (Register::PriqIrqCfg(1), 1),
        (Register::EventqIrqCfg(2), 2),
    ] {
        let mut registers = registers();
        set(&mut registers, Register::IrqCtrl, 1 << bit);
        set(&mut registers, register, 0x14);
        assert_eq!(get(&registers, register), 0, "{register:?}");
        set(&mut registers, Register::IrqCtrl, 7 & !(1 << bit));
        set(&mut registers, register, 0x14);
        assert_eq!(get(&registers, register), 0x14, "{register:?}");
    }
}

#[test]
fn how_queues_and_tables_are_accessed_has_two_guards() {
    let mut registers = registers();
    set(&mut registers, Register::Cr0, 1);
    set(&mut registers, Register::Cr1, 0xfff);
    assert_eq!(get(&registers, Register::Cr1), 0x3f);
    set(&mut registers, Register::Cr0, 8);
    set(&mut registers, Register::Cr1, 0xfc0);
    assert_eq!(get(&registers, Register::Cr1), 0xfff);
}

#[test]
fn bypass_is_updated_only_as_a_whole() {
    let mut registers = registers();
    assert_eq!(
        set(&mut registers, Register::Gbpa, 1 << 20),
        [],
        "without Update"
    );
    assert!(!registers.global().bypass.aborts());
    let offset = Register::Gbpa.offset();
    let effects = registers.write(offset, Width::Word, 1 << 31 | 1 << 20);
    assert_eq!(effects, [Effect::Configure]);
    assert_eq!(get(&registers, Register::Gbpa), 1 << 31 | 1 << 20);
    assert_eq!(
        registers.write(offset, Width::Word, 1 << 31),
        [],
        "one at a time"
    );
    registers.settle();
    assert_eq!(get(&registers, Register::Gbpa), 1 << 20);
    assert!(registers.global().bypass.aborts());
}

#[test]
fn an_error_is_active_until_it_is_toggled() {
    let mut registers = registers();
    let error = GlobalErrors::EVENTQ_ABT_ERR;
    assert!(registers.raise(error));
    assert!(!registers.raise(error), "active already");
    let inactive = set(&mut registers, Register::Gerrorn, 1);
    assert_eq!(inactive, [], "only what is active can be acknowledged");
    assert_eq!(get(&registers, Register::Gerrorn), 0);
    let acknowledged = set(&mut registers, Register::Gerrorn, 4);
    assert_eq!(acknowledged, [Effect::Acknowledged(error), Effect::Events]);
    assert!(registers.active_errors().is_empty());
    assert!(registers.raise(error));
    assert_eq!(get(&registers, Register::Gerror), 0, "toggled back");
}

#[test]
fn a_register_of_64_bits_has_two_halves() {
    let mut registers = registers();
    let base = Register::StrtabBase.offset();
    registers.write(base, Width::Word, 0x1234_5678);
    registers.write(base + 4, Width::Word, 0x4000_00ff);
    let whole = 0x4000_00ff_1234_5640;
    assert_eq!(registers.read(base, Width::Double), whole);
    assert_eq!(registers.read(base + 4, Width::Word), whole >> 32);
    assert_eq!(registers.global().streams.base, Gpa::new(0xff_1234_5640));
    let places = Register::CmdqProd.offset();
    registers.write(places, Width::Double, 3 << 32 | 5);
    assert_eq!(registers.read(places, Width::Double), 3 << 32 | 5);
}

#[test]
fn output_queues_are_found_on_both_pages() {
    let mut registers = registers();
    registers.write(0xac, Width::Word, 3);
    assert_eq!(registers.read(0x1_00ac, Width::Word), 3);
    registers.write(0x1_00cc, Width::Word, 1 << 31 | 5);
    assert_eq!(registers.read(0xcc, Width::Word), 1 << 31 | 5);
}

#[test]
fn what_is_not_there_reads_as_zero_and_ignores_writes() {
    let mut registers = Registers::new(LEAST);
    for register in [
        Register::PriqBase,
        Register::PriqCons,
        Register::GerrorIrqCfg(0),
        Register::PriqIrqCfg(2),
    ] {
        assert_eq!(set(&mut registers, register, u64::MAX), []);
        assert_eq!(get(&registers, register), 0, "{register:?}");
    }
    set(&mut registers, Register::Cr0, u64::MAX);
    assert_eq!(get(&registers, Register::Cr0), 0xd, "no PRI, no ATS");
    set(&mut registers, Register::IrqCtrl, u64::MAX);
    assert_eq!(get(&registers, Register::IrqCtrl), 5);
    assert_eq!(registers.read(2, Width::Word), 0, "not aligned");
    assert_eq!(registers.read(4, Width::Double), 0, "not aligned");
    let without_message = MsiConfig::default();
    assert_eq!(without_message.target(), None);
}

#[test]
fn the_core_is_configured_by_what_is_written() {
    let driver = Driver::off(ALL);
    driver.set(Register::StrtabBaseCfg, 5);
    driver
        .smmu
        .write(Register::StrtabBase.offset(), Width::Double, 0x2000);
    driver.set(Register::Cr2, 0b111);
    driver.set(Register::Cr0, Cr0::SMMUEN.bits());
    let global = lock(&driver.smmu.core().global).unwrap();
    assert_eq!(global.enabled, Cr0::SMMUEN);
    assert_eq!(
        (global.streams.base, global.streams.bits),
        (Gpa::new(0x2000), 5)
    );
    let flags = (global.record_bad_streams, global.e2h, global.private_tlb);
    assert_eq!(flags, (true, true, false), "no BTM");
    assert_eq!(driver.get(Register::Cr0Ack), 1);
}

proptest! {
    /// Any accesses: nothing panics, identification never changes, and no reserved bit sticks.
    #[test]
    fn any_accesses_are_taken(accesses in proptest::collection::vec((0..0x1_0100u64, any::<bool>(), any::<u64>()), 0..40)) {
        let mut registers = registers();
        let identity: Vec<_> = (0..8).map(|n| registers.read(4 * n, Width::Word)).collect();
        for (offset, double, value) in accesses {
            let width = if double { Width::Double } else { Width::Word };
            let offset = if offset & 0x1000 == 0 { offset & 0xff } else { offset & 0x1_00ff };
            registers.write(offset, width, value);
            registers.settle();
            let _ = (registers.read(offset, width), registers.global());
        }
        let after: Vec<_> = (0..8).map(|n| registers.read(4 * n, Width::Word)).collect();
        prop_assert_eq!(identity, after);
        prop_assert_eq!(get(&registers, Register::Cr0) & !0x1f, 0);
    }
}
