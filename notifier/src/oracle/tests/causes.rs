//! What became of an invalidation that was owed, each beside the command that would have been right.

use super::bench::{Bench, TLB, asid, change, iova, one_page};
use crate::addr::{Access, Asid, Iova, PageSize, Permissions, StreamId, Vmid};
use crate::contract::{Notice, Step};
use crate::oracle::{Invalidation, Oracle, ViolationKind};
use crate::secondary::{CacheId, Cached, Observer, Scope, Tag};
use crate::test_space::{ASID, leaf, range};

const RO: Permissions = Permissions::READ_ONLY;
const RW: Permissions = Permissions::READ_WRITE;
const STREAM: StreamId = StreamId(7);
const ATC: CacheId = CacheId::Atc(STREAM);

/// A page loses its write permission, somebody does `telling`, and a device writes by what is left.
fn downgraded(telling: impl FnOnce(&mut Bench)) -> Option<Invalidation> {
    let mut bench = Bench::new(Oracle::new(), leaf(0, RW));
    bench.change(change(Some(leaf(0, RW)), Some(leaf(0, RO))), telling);
    bench.access(Access::Write);
    bench.chain().map(|chain| chain.invalidation)
}

#[test]
fn no_command_is_a_missing_one() {
    assert_eq!(downgraded(|_| {}), Some(Invalidation::Missing));
}

#[test]
fn another_asid_is_the_wrong_tag() {
    let wrong = downgraded(|bench| bench.command(asid(Asid(2))));
    assert_eq!(wrong, Some(Invalidation::WrongTag(Step(3))));
    assert_eq!(downgraded(|bench| bench.command(asid(ASID))), None);
}

#[test]
fn another_vmid_is_the_wrong_tag() {
    let scope = |vmid| Scope::all(Tag::Address(vmid, ASID));
    let wrong = downgraded(|bench| bench.command(scope(Vmid(1))));
    assert_eq!(wrong, Some(Invalidation::WrongTag(Step(3))));
    assert_eq!(downgraded(|bench| bench.command(scope(Vmid(0)))), None);
}

/// What comes once the change is settled may be for another address space.
#[test]
fn a_later_command_of_another_asid_is_not_blamed() {
    let mut bench = Bench::new(Oracle::new(), leaf(0, RW));
    bench.change(change(Some(leaf(0, RW)), Some(leaf(0, RO))), |_| {});
    bench.command(asid(Asid(2)));
    bench.access(Access::Write);
    assert_eq!(bench.chain().unwrap().invalidation, Invalidation::Missing);
}

#[test]
fn a_hint_for_another_size_is_the_wrong_level() {
    let wrong = downgraded(|bench| bench.command(one_page(PageSize::M2)));
    assert_eq!(wrong, Some(Invalidation::WrongLevel(Step(3))));
    let right = downgraded(|bench| bench.command(one_page(PageSize::K4)));
    assert_eq!(right, None);
}

/// Pages 0 and 1 change together, and the command is for the second.
#[test]
fn a_part_of_what_changed_is_short() {
    let both = range(0).hull(range(1)).map(Iova::shared);
    for (told, expected) in [
        (
            range(1).map(Iova::shared),
            Some(Invalidation::Short(Step(4))),
        ),
        (both, None),
    ] {
        let mut bench = Bench::new(Oracle::new(), leaf(0, RW));
        let first = change(Some(leaf(0, RW)), Some(leaf(0, RO)));
        let second = crate::paging::Change {
            range: range(1),
            ..first
        };
        let made = bench.make(&[first, second]);
        bench.command(Scope::all(Tag::Address(Vmid(0), ASID)).within(told));
        bench.oracle.settled(made);
        bench.access(Access::Write);
        assert_eq!(bench.chain().map(|chain| chain.invalidation), expected);
    }
}

#[test]
fn a_part_of_what_was_notified_is_short() {
    use crate::contract::Observer as _;

    let next = Scope::all(Tag::Address(Vmid(0), ASID)).within(range(1).map(Iova::shared));
    let found = downgraded(|bench| {
        let whole = range(0).hull(range(1));
        bench.oracle.notified(Notice::SecondaryTlb(whole));
        bench.command(next);
    });
    assert_eq!(found, Some(Invalidation::Short(Step(4))));
    let elsewhere = downgraded(|bench| bench.command(next));
    assert_eq!(elsewhere, Some(Invalidation::Missing), "nobody said page 1");
}

#[test]
fn a_command_without_a_sync_is_not_complete() {
    let queued = downgraded(|bench| bench.oracle.submitted(&asid(ASID)));
    assert_eq!(queued, Some(Invalidation::NotSynced(Step(3))));
    let synced_before = downgraded(|bench| {
        bench.oracle.synced();
        bench.oracle.submitted(&asid(ASID));
    });
    assert_eq!(synced_before, Some(Invalidation::NotSynced(Step(4))));
}

#[test]
fn a_command_after_the_access_is_late() {
    let mut bench = Bench::new(Oracle::new(), leaf(0, RW));
    bench.change(change(Some(leaf(0, RW)), Some(leaf(0, RO))), |_| {});
    bench.access(Access::Write);
    bench.command(asid(ASID));
    assert_eq!(
        bench.chain().unwrap().invalidation,
        Invalidation::Late(Step(7))
    );
}

/// Hardware that does not do what it was told.
#[test]
fn a_complete_command_that_left_the_entry_is_ineffective() {
    let found = downgraded(|bench| {
        bench.oracle.carried_out(&asid(ASID), 0);
        bench.oracle.synced();
    });
    assert_eq!(found, Some(Invalidation::Ineffective(Step(4))));
}

/// Until it is complete an access may still be on its way.
#[test]
fn a_command_ends_the_right_to_the_old_entry_when_it_is_complete() {
    let mut bench = Bench::new(Oracle::new(), leaf(0, RW));
    let made = bench.make(&[change(Some(leaf(0, RW)), Some(leaf(0, RO)))]);
    let on_its_way = bench.entry;
    bench.carry_out(asid(ASID));
    bench.entry = on_its_way;
    bench.access(Access::Write);
    assert_eq!(bench.kinds(), []);
    bench.oracle.synced();
    bench.access(Access::Write);
    assert_eq!(bench.kinds(), [ViolationKind::StaleWritable]);
    bench.oracle.settled(made);
}

/// A device TLB is told before or after the SMMU's, and reads in between.
fn order(first: Tag, second: Tag) -> Option<Invalidation> {
    let mut smmu = Bench::new(Oracle::new(), leaf(0, RW));
    let copy = |smmu: &Bench, old: Option<Cached>| {
        let entry = old.or(smmu.entry).unwrap();
        let filled = smmu.oracle.filled(ATC, iova(), &entry.leaf, entry.filled);
        Cached { filled, ..entry }
    };
    let mut held = Some(copy(&smmu, None));
    let made = smmu.make(&[change(Some(leaf(0, RW)), Some(leaf(0, RO)))]);
    for tag in [first, second] {
        smmu.command(Scope::all(tag));
        if tag == Tag::Device(STREAM) {
            held = smmu.entry.map(|entry| copy(&smmu, Some(entry)));
        }
    }
    smmu.oracle.settled(made);
    if let Some(entry) = held {
        smmu.oracle.used(ATC, iova().start(), Access::Write, &entry);
    }
    smmu.chain().map(|chain| {
        assert!(chain.change.is_some(), "the change is before the refill");
        chain.invalidation
    })
}

#[test]
fn a_device_told_before_the_smmu_fills_again_from_it() {
    let (device, tlb) = (Tag::Device(STREAM), Tag::Asid(Vmid(0), ASID));
    assert_eq!(order(device, tlb), Some(Invalidation::WrongOrder(Step(5))));
    assert_eq!(order(tlb, device), None);
}

#[test]
fn without_a_command_for_the_smmu_there_is_no_order() {
    let device = Tag::Device(STREAM);
    let other = Tag::Asid(Vmid(0), Asid(2));
    let found = order(device, other);
    assert!(
        !matches!(found, Some(Invalidation::WrongOrder(_)) | None),
        "{found:?}"
    );
}

#[test]
fn each_cause_has_its_words() {
    let words = |cause: fn(Step) -> Invalidation| cause(Step(1)).to_string();
    let all = [
        words(Invalidation::WrongOrder),
        words(Invalidation::WrongTag),
        words(Invalidation::WrongLevel),
        words(Invalidation::NotSynced),
        words(Invalidation::Short),
    ];
    let names = [
        "wrong-order",
        "wrong-tag",
        "wrong-level",
        "not-synced",
        "short",
    ];
    assert_eq!(all, names);
}

#[test]
fn commands_stand_in_the_history() {
    let mut bench = Bench::new(Oracle::new(), leaf(0, RW));
    bench.command(asid(ASID));
    let lines: Vec<_> = bench
        .oracle
        .history()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(lines[1].ends_with("command: invalidate ASID 1 of VMID 0"));
    assert!(lines[2].ends_with("took 1 entries: ASID 1 of VMID 0"));
    assert!(lines[3].ends_with("CMD_SYNC is complete"));
    assert_eq!(bench.cache, TLB);
}
