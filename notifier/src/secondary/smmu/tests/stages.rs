//! One stage, the other, and both.

use super::*;

#[test]
fn stage_1_alone_leads_where_it_says() {
    let bench = Bench::new(RO, RW);
    bench.smmu.attach(STREAM, bench.context());
    assert_eq!(bench.access(Access::Read), Ok(Gpa::new(MIDDLE + 8)));
    assert_eq!(bench.access(Access::Write), Err(FaultKind::Permission));
}

#[test]
fn stage_2_alone_translates_what_comes_in() {
    let bench = Bench::new(RO, RW);
    bench.smmu.attach(STREAM, Binding::Stage2(bench.second()));
    assert_eq!(bench.at(MIDDLE + 8, Access::Write), Ok(Gpa::new(FRAME + 8)));
    assert_eq!(bench.at(PAGE, Access::Read), Err(FaultKind::Translation));
}

#[test]
fn both_stages_have_to_allow_it() {
    for (first, second, allowed) in [(RW, RW, true), (RO, RW, false), (RW, RO, false)] {
        let bench = Bench::new(first, second);
        bench.bind_nested();
        assert_eq!(bench.access(Access::Read), Ok(Gpa::new(FRAME + 8)));
        let written = bench.access(Access::Write);
        assert_eq!(written.is_ok(), allowed, "{first} over {second}");
    }
}

/// An entry for both stages outlives an invalidation of the second alone (`IHI0070` 4.4.3): a
/// hypervisor that withdraws a page has to take stage 1's entries too.
#[test]
fn an_entry_of_both_stages_survives_an_invalidation_of_the_second() {
    let bench = Bench::new(RW, RW);
    bench.bind_nested();
    bench.access(Access::Write).unwrap();
    bench.set_second(&under(FRAME, RO));
    let ipa = TlbiSpan::page(Ipa::new(MIDDLE), Levels::Leaf);
    bench.now(Command::TlbiIpa(VMID, ipa));
    assert_eq!(
        bench.access(Access::Write),
        Ok(Gpa::new(FRAME + 8)),
        "lawful"
    );
    bench.now(Command::TlbiAll(VMID));
    assert_eq!(bench.access(Access::Write), Err(FaultKind::Permission));
}

#[test]
fn one_command_takes_both_stages_of_a_machine_and_of_no_other() {
    let bench = Bench::new(RO, RW);
    bench.bind_nested();
    bench.access(Access::Read).unwrap();
    bench.set_first(&leaf(MIDDLE, RW));
    bench.now(Command::TlbiVmall(Vmid(9)));
    assert_eq!(bench.access(Access::Write), Err(FaultKind::Permission));
    bench.now(Command::TlbiVmall(VMID));
    assert_eq!(bench.access(Access::Write), Ok(Gpa::new(FRAME + 8)));
}

/// Tags are of the address space, never of the stream (`IHI0070` 3.17).
#[test]
fn one_invalidation_by_asid_is_for_every_stream() {
    let bench = Bench::new(RO, RW);
    let other = StreamId(4);
    for stream in [STREAM, other] {
        bench.smmu.attach(stream, bench.context());
    }
    let write = |stream| {
        bench
            .smmu
            .access(stream, Iova::new(PAGE), Access::Write, |_| ())
    };
    bench.access(Access::Read).unwrap();
    bench.set_first(&leaf(MIDDLE, RW));
    write(other).unwrap_err();
    bench.now(Command::TlbiAsid(Vmid(0), ASID));
    write(other).unwrap();
    write(STREAM).unwrap();
}

/// nG = 0: any address space uses it, and an invalidation by ASID leaves it.
#[test]
fn a_global_entry_serves_all_address_spaces_and_goes_by_address() {
    let global = Leaf {
        global: true,
        ..leaf(MIDDLE, RO)
    };
    let bench = Bench::of(&global, &under(FRAME, RW), Knobs::default());
    bench.smmu.attach(STREAM, bench.context());
    bench.access(Access::Read).unwrap();
    let elsewhere = Context {
        asid: Asid(8),
        root: Gpa::new(0),
        ..bench.context()
    };
    bench.smmu.attach(STREAM, elsewhere);
    assert_eq!(bench.access(Access::Read), Ok(Gpa::new(MIDDLE + 8)));
    bench.now(Command::TlbiAsid(Vmid(0), Asid(8)));
    assert_eq!(bench.access(Access::Read), Ok(Gpa::new(MIDDLE + 8)));
    bench.tlbi_page();
    assert_eq!(bench.access(Access::Read), Err(FaultKind::Translation));
}

/// The entry of the table itself is behind stage 2 too.
#[test]
fn a_table_that_stage_2_hides_is_a_fault_of_stage_2() {
    let bench = Bench::new(RW, RW);
    bench.bind_nested();
    let format = stage2();
    let root = Gva::new(bench.roots[0].raw());
    let mut table = bench.roots[1];
    for level in (0..4).rev() {
        let index = crate::paging::index(&format, crate::paging::Level(level), root);
        let slot = crate::paging::slot(table, index);
        let entry = bench.memory.read_entry(slot).unwrap();
        if level == 0 {
            bench.memory.write_entry(slot, 0).unwrap();
        }
        table = Gpa::new(entry & 0xffff_ffff_f000);
    }
    assert_eq!(bench.access(Access::Read), Err(FaultKind::Translation));
    let event = bench.smmu.take_event().unwrap();
    let spec::EventKind::Translation(fault) = event.kind else {
        panic!("{event:?}");
    };
    assert_eq!(fault.class, spec::Class::Table);
    assert_eq!(fault.stage2, Some(Ipa::new(bench.roots[0].raw())));
}
