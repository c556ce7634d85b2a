//! Offsets, widths, and what the identification registers say.

use super::*;
use crate::addr::{Asid, Gpa, Vmid};

#[test]
fn no_two_registers_share_a_byte() {
    let bytes = |register: Register| {
        let start = register.offset();
        start..start + register.width().bytes()
    };
    let all = Register::ALL.map(bytes);
    for (position, one) in all.iter().enumerate() {
        for next in &all[position + 1..] {
            assert!(
                one.end <= next.start || next.end <= one.start,
                "{one:?} {next:?}"
            );
        }
        assert_eq!(one.start % (one.end - one.start), 0, "aligned");
    }
}

#[test]
fn a_register_is_found_by_offset() {
    for register in Register::ALL {
        assert_eq!(Register::at(register.offset()), Some((register, Part::Low)));
    }
    assert_eq!(Register::at(0x84), Some((Register::StrtabBase, Part::High)));
    assert_eq!(Register::at(0xa8), Some((Register::EventqProd, Part::Low)));
    assert_eq!(
        Register::at(0x1_00ac),
        Some((Register::EventqCons, Part::Low))
    );
    assert_eq!(Register::at(0x1_0020), None, "page 1 has nothing else");
    assert_eq!(Register::at(0x8c), None);
}

/// Bit by bit, as Linux reads them at its probe.
#[test]
fn identification_says_what_there_is() {
    let idr = |index| ALL.idr(index);
    let features = 1 << 27 | 1 << 19 | 1 << 18 | 1 << 16 | 1 << 14 | 1 << 13 | 1 << 12;
    let stages = 1 << 10 | 1 << 9 | 2 << 6 | 1 << 4 | 2 << 2 | 1 << 1 | 1;
    assert_eq!(idr(0), features | stages | 2 << 21);
    assert_eq!(idr(1), 8 << 21 | 7 << 16 | 7 << 11 | 20 << 6 | 16);
    assert_eq!(idr(3), 2 << 11 | 1 << 10 | 1 << 2);
    assert_eq!(idr(5), 256 << 16 | 7 << 4 | 5);
    assert_eq!([2, 4, 6].map(idr), [0; 3]);
    assert_eq!(LEAST.idr(0), 1 << 24 | 2 << 21 | 1 << 4 | 2 << 2 | 1 << 1);
    assert_eq!(LEAST.idr(5), 1 << 4 | 2);
    let ats = false;
    let unfit = Abilities { ats, ..ALL };
    assert_eq!(unfit.idr(0) & 1 << 16, 0, "no page requests without ATS");
    assert_eq!(unfit.idr(1) & 0xf800, 0);
}

#[test]
fn commands_of_what_is_not_there_are_illegal() {
    let illegal = |command: Command| LEAST.accept(command).is_err();
    let vmid = Vmid(0);
    let stream = crate::addr::StreamId(0);
    let span = |words| match Command::decode(words) {
        Ok(command) => command,
        Err(why) => panic!("{why}"),
    };
    for opcode in [0x20, 0x21, 0x22, 0x23, 0x28, 0x2a, 0x40, 0x41, 0x44, 0x45] {
        let command = span([opcode, 0]);
        assert!(illegal(command), "{command}");
        assert_eq!(ALL.accept(command), Ok(command));
    }
    for legal in [
        Command::CfgiAll,
        Command::CfgiCdAll(stream),
        Command::TlbiAll(vmid),
        Command::TlbiAsid(vmid, Asid(1)),
        Command::TlbiNsnhAll,
        Command::SYNC,
    ] {
        assert_eq!(LEAST.accept(legal), Ok(legal));
    }
    let second = Abilities {
        stages: Stages::Two,
        ..ALL
    };
    assert!(second.accept(Command::TlbiAll(vmid)).is_err());
    assert!(second.accept(Command::CfgiCdAll(stream)).is_err());
}

#[test]
fn a_range_is_a_page_where_there_are_no_ranges() {
    let range = Command::decode([0x12 | 4 << 12, 1 << 10 | 0x5000]).unwrap();
    let Ok(Command::TlbiVa(tlbi)) = LEAST.accept(range) else {
        panic!("it is accepted");
    };
    assert_eq!(tlbi.span.pages, None);
    assert_eq!(ALL.accept(range), Ok(range));
}

#[test]
fn a_queue_is_cut_to_its_most_and_aligned() {
    let base = QueueBase::decode(1 << 62 | 0x1_2340 | 31, 8, 16);
    assert_eq!(
        (base.ring.entries(), base.address),
        (256, Gpa::new(0x1_2000))
    );
    let one = QueueBase::decode(0x1_2360, 8, 16);
    assert_eq!((one.ring.entries(), one.address), (1, Gpa::new(0x1_2360)));
    let written = QueueBase::encode(Gpa::new(0x1_2000), 8);
    assert_eq!(QueueBase::decode(written, 8, 16), base);
}

#[test]
fn bypass_and_interrupts_have_their_fields() {
    let bypass = GlobalBypass::of(u32::MAX);
    assert_eq!(bypass.0, 0x001f_3f1f);
    assert!(bypass.aborts() && !GlobalBypass::RESET.aborts());
    let msi = MsiConfig {
        address: 0x8_0003,
        ..MsiConfig::default()
    };
    assert_eq!(msi.target(), Some(Gpa::new(0x8_0000)));
    assert_eq!(MsiConfig::default().target(), None);
}
