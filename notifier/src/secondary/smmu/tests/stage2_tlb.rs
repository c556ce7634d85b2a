//! Notifications of a host address space, as they reach what is cached of a stage 2.

use super::*;
use crate::contract::AddressSpace;

const OTHER: Vmid = Vmid(9);

fn pages(number: u64) -> AddrRange<Gva> {
    AddrRange::from_length(Gva::new(MIDDLE), number << 12).unwrap()
}

/// The page may be read at first, and that is cached; then the host lets it be written and tells
/// the machine `vmid` of `range`. Whether the device gets through, and in how many commands.
fn told(features: Features, vmid: Vmid, range: AddrRange<Gva>) -> (bool, u64) {
    let mut bench = Bench::new(RO, RO);
    bench.smmu = Smmu::new(64, bench.memory.clone(), Arc::new(())).with_features(features);
    bench.smmu.attach(STREAM, Binding::Stage2(bench.second()));
    bench.at(MIDDLE, Access::Read).unwrap();
    bench.set_second(&under(FRAME, RW));
    let Bench { memory, smmu, .. } = bench;
    let smmu = Arc::new(smmu);
    let space = AddressSpace::new(());
    let tlb = Arc::new(Stage2Tlb::new(Arc::clone(&smmu), vmid));
    let subscription = space.register_secondary_tlb(tlb).unwrap();
    space.lock_page_table().invalidate_secondary_tlbs(range);
    let commands = smmu.counts().invalidations;
    let written = smmu.access(STREAM, Iova::new(MIDDLE), Access::Write, |_| ());
    drop((subscription, memory));
    (written.is_ok(), commands)
}

#[test]
fn an_upgrade_that_is_told_lets_the_device_through() {
    let features = Features::default();
    assert_eq!(told(features, VMID, pages(1)), (true, 1));
    assert_eq!(told(features, VMID, pages(3)), (true, 3));
}

#[test]
fn a_range_without_the_page_or_another_machine_leaves_it_refused() {
    let features = Features::default();
    let beside = AddrRange::page(Gva::new(MIDDLE + 0x1000), PageSize::K4);
    assert_eq!(told(features, VMID, beside), (false, 1));
    assert_eq!(told(features, OTHER, pages(1)), (false, 1));
}

#[test]
fn a_range_of_as_many_pages_as_a_table_has_is_one_command() {
    let features = Features::default();
    assert_eq!(told(features, VMID, pages(511)), (true, 511));
    assert_eq!(told(features, VMID, pages(512)), (true, 1));
    assert_eq!(told(features, VMID, AddrRange::all()), (true, 1));
}

#[test]
fn an_smmu_that_needs_it_is_told_twice() {
    let features = Features {
        tlbi_twice: true,
        ..Features::default()
    };
    assert_eq!(told(features, VMID, pages(3)), (true, 6));
}

#[test]
fn the_end_of_the_address_space_takes_everything() {
    let bench = Bench::new(RO, RO);
    bench.smmu.attach(STREAM, Binding::Stage2(bench.second()));
    bench.at(MIDDLE, Access::Read).unwrap();
    bench.set_second(&under(FRAME, RW));
    let Bench { memory, smmu, .. } = bench;
    let smmu = Arc::new(smmu);
    let space = AddressSpace::new(());
    let tlb = Arc::new(Stage2Tlb::new(Arc::clone(&smmu), VMID));
    let subscription = space.register_secondary_tlb(tlb).unwrap();
    space.exit();
    let written = smmu.access(STREAM, Iova::new(MIDDLE), Access::Write, |_| ());
    assert_eq!(written, Ok(()));
    drop((subscription, memory));
}
