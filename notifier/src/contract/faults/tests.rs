//! That nothing goes wrong unless it is planned, and that what is planned makes tests fail.

use std::num::NonZeroU32;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::addr::{Access, AddrRange, Gva, PageSize, Permissions};
use crate::contract::{
    Blocking, Event, OwnPageTables, RangeEvent, RangeSubscriber, SecondaryTlbSubscriber, Subscriber,
};
use crate::oracle::{Verdict, ViolationKind};
use crate::secondary::CacheId;
use crate::secondary::recorder::{RangeRecorder, TlbRecorder, Told};
use crate::secondary::shadow::Shadow;
use crate::secondary::smmu::Sva;
use crate::test_space::{ASID, Telling, TestSpace, frame, leaf, page, range};

const RO: Permissions = Permissions::READ_ONLY;
const RW: Permissions = Permissions::READ_WRITE;

/// A plan of one rule.
fn plan(kind: Kind, when: When, fault: Fault) -> Plan {
    Plan::new(7).inject(kind, when, fault)
}

fn tlb_plan(fault: Fault) -> Plan {
    plan(Kind::SecondaryTlb, When::Always, fault)
}

fn pages(first: u64, count: u64) -> AddrRange<Gva> {
    AddrRange::from_length(page(first).to_gva(), count << 12).unwrap()
}

/// What a recorder behind `plan` gets of these ranges, and what went wrong.
fn received(plan: Plan, ranges: &[AddrRange<Gva>]) -> (Vec<AddrRange<Gva>>, Vec<Injected>) {
    let recorder = Arc::new(TlbRecorder::default());
    let faulty = Faulty::new(recorder.clone(), plan);
    for range in ranges {
        faulty.invalidate_secondary_tlb(*range);
    }
    let told = recorder.log().told();
    let ranges = told.iter().map(|told| match told {
        Told::SecondaryTlb(range) => *range,
        other => panic!("{other}"),
    });
    (ranges.collect(), faulty.injected())
}

fn received_with(fault: Fault, ranges: &[AddrRange<Gva>]) -> Vec<AddrRange<Gva>> {
    received(tlb_plan(fault), ranges).0
}

#[test]
fn a_notification_can_be_lost_or_doubled() {
    assert_eq!(received_with(Fault::Drop, &[range(0)]), []);
    assert_eq!(received_with(Fault::Duplicate, &[range(0)]), [range(0); 2]);
}

#[test]
fn a_delay_keeps_the_order_and_a_reordering_does_not() {
    let first = |fault| plan(Kind::SecondaryTlb, When::Nth(1), fault);
    let (delayed, _) = received(first(Fault::Delay(Until::Next)), &[range(0), range(1)]);
    assert_eq!(delayed, [range(0), range(1)]);
    let (reordered, _) = received(first(Fault::Reorder), &[range(0), range(1), range(2)]);
    assert_eq!(reordered, [range(1), range(0), range(2)]);
    let (only, _) = received(first(Fault::Delay(Until::Next)), &[range(0)]);
    assert_eq!(only, [], "nothing comes after it");
}

#[test]
fn what_is_kept_back_comes_with_the_flush() {
    let recorder = Arc::new(TlbRecorder::default());
    let faulty = Faulty::new(recorder.clone(), tlb_plan(Fault::Delay(Until::Flush)));
    faulty.invalidate_secondary_tlb(range(0));
    faulty.invalidate_secondary_tlb(range(1));
    assert_eq!(recorder.log().told(), []);
    faulty.flush();
    let both = [range(0), range(1)].map(Told::SecondaryTlb);
    assert_eq!(recorder.log().told(), both);
    faulty.flush();
    assert_eq!(recorder.log().told(), both);
}

#[test]
fn a_range_changes_its_length_by_pages() {
    assert_eq!(
        received_with(Fault::Shorten(1), &[pages(1, 3)]),
        [pages(1, 2)]
    );
    assert_eq!(
        received_with(Fault::Widen(1), &[pages(1, 1)]),
        [pages(0, 3)]
    );
    assert_eq!(
        received_with(Fault::MisTag(MisTag::Pages(-1)), &[pages(1, 2)]),
        [pages(0, 2)]
    );
}

/// What can't happen is not on record as if it had.
#[test]
fn a_fault_that_can_not_be_is_not_injected() {
    let impossible = [
        (Fault::Shorten(1), pages(0, 1)),
        (Fault::Widen(1), AddrRange::all()),
        (Fault::MisTag(MisTag::Pages(1)), AddrRange::all()),
        (Fault::MisTag(MisTag::Event(Event::Unmap)), pages(0, 1)),
        (Fault::MisTag(MisTag::AddressSpace), pages(0, 1)),
        (Fault::Shorten(0), pages(0, 2)),
    ];
    for (fault, range) in impossible {
        let (received, injected) = received(tlb_plan(fault), &[range]);
        assert_eq!((received, injected), (vec![range], vec![]), "{fault:?}");
    }
}

#[test]
fn a_wrong_address_space_is_the_others_subscriber() {
    let [right, wrong] = [0, 1].map(|_| Arc::new(TlbRecorder::default()));
    let plan = tlb_plan(Fault::MisTag(MisTag::AddressSpace));
    let faulty = Faulty::new(right.clone(), plan).beside(wrong.clone());
    faulty.invalidate_secondary_tlb(range(0));
    assert_eq!(right.log().told(), []);
    assert_eq!(wrong.log().told(), [Told::SecondaryTlb(range(0))]);
}

#[test]
fn what_happened_is_on_record() {
    let plan = plan(Kind::SecondaryTlb, When::Nth(2), Fault::Drop);
    let (_, injected) = received(plan, &[range(0), range(1), range(2)]);
    let dropped = Injected {
        fault: Fault::Drop,
        occurrence: 2,
        notification: Notification::SecondaryTlb(range(1)),
    };
    assert_eq!(injected, [dropped]);
}

#[test]
fn kinds_are_counted_apart() {
    let recorder = Arc::new(RangeRecorder::default());
    let faulty = Faulty::new(
        recorder.clone(),
        plan(Kind::RangeEnd, When::Nth(1), Fault::Drop),
    );
    faulty.invalidate_range_start(&clear(range(0)));
    faulty.invalidate_range_end(&clear(range(0)));
    let start = Told::RangeStart(clear(range(0)));
    assert_eq!(recorder.log().told(), [start]);
}

fn clear(range: AddrRange<Gva>) -> RangeEvent {
    RangeEvent {
        event: Event::Clear,
        range,
        blocking: Blocking::Allowed,
    }
}

// What each fault does to coherence. The first of each pair of assertions is that it happened.

/// A space whose SMMU is told through `plan`, with what stands between.
fn behind(pages: &[Permissions], plan: Plan) -> (TestSpace, Arc<Faulty<Sva>>) {
    let mut space = TestSpace::bare(pages);
    let sva = Arc::new(Sva::new(space.smmu.clone(), ASID));
    let faulty = Arc::new(Faulty::new(sva, plan));
    space.follow(faulty.clone());
    (space, faulty)
}

/// Two writable pages lose their permission one after the other, with one notification each, and
/// the device tries to write each of them whenever it can.
fn two_downgrades(plan: Plan) -> (TestSpace, usize) {
    let (space, faulty) = behind(&[RW, RW], plan);
    let write_both = || {
        for n in 0..2 {
            let _ = space.dma(n, Access::Write);
        }
    };
    write_both();
    for n in 0..2 {
        space.set(n, Some(leaf(n, RO)), Telling::SecondaryTlb);
        write_both();
    }
    let injected = faulty.injected().len();
    (space, injected)
}

fn verdict(space: &TestSpace) -> Verdict {
    space.oracle.findings().verdict()
}

#[test]
fn without_a_fault_downgrades_are_coherent_and_nothing_is_wasted() {
    let (space, injected) = two_downgrades(Plan::new(1));
    assert_eq!((injected, verdict(&space)), (0, Verdict::Coherent));
    assert_eq!(space.smmu.counts().redundant_invalidations, 0);
}

#[test]
fn a_notification_lost_late_or_for_the_wrong_pages_is_found() {
    let faults = [
        Fault::Drop,
        Fault::Delay(Until::Next),
        Fault::Delay(Until::Flush),
        Fault::Reorder,
        Fault::MisTag(MisTag::Pages(2)),
    ];
    for fault in faults {
        let (space, injected) = two_downgrades(plan(Kind::SecondaryTlb, When::Nth(1), fault));
        assert_eq!(
            (injected, verdict(&space)),
            (1, Verdict::Violation),
            "{fault:?}"
        );
        let kind = space.oracle.findings().violations[0].kind;
        assert_eq!(kind, ViolationKind::StaleWritable);
    }
}

/// Too much is legal, so the verdict stays; the waste is counted.
#[test]
fn a_notification_too_much_or_too_wide_is_counted() {
    let (space, injected) = two_downgrades(tlb_plan(Fault::Duplicate));
    assert_eq!((injected, verdict(&space)), (2, Verdict::Coherent));
    assert_eq!(space.smmu.counts().redundant_invalidations, 2);

    let (space, injected) = two_downgrades(tlb_plan(Fault::Widen(1)));
    assert_eq!((injected, verdict(&space)), (2, Verdict::Coherent));
    let needless = space.oracle.findings();
    assert_eq!(needless.needless_drops_of(CacheId::SmmuTlb(ASID)), 2);
}

/// Case 16, the sum in place of a product: the last page of a longer leaf is missed.
#[test]
fn a_notification_that_is_too_short_is_found() {
    let (space, faulty) = behind(&[RW, RW], tlb_plan(Fault::Shorten(1)));
    for n in 0..2 {
        space.dma(n, Access::Write).unwrap();
    }
    let changes: Vec<_> = (0..2)
        .flat_map(|n| space.preview(n, Some(leaf(n, RO))))
        .collect();
    let changing = space.oracle.changing(&changes);
    for n in 0..2 {
        space.store(n, Some(leaf(n, RO)));
    }
    let made = space.oracle.made(changing, &changes);
    space
        .space
        .lock_page_table()
        .invalidate_secondary_tlbs(pages(0, 2));
    space.oracle.settled(made);
    space.dma(0, Access::Write).unwrap_err();
    assert_eq!(space.dma(1, Access::Write), Ok(frame(1)));
    assert_eq!(faulty.injected().len(), 1);
    assert_eq!(verdict(&space), Verdict::Violation);
}

/// Case 32: the ASID of whoever happens to run.
#[test]
fn a_notification_for_the_wrong_asid_is_found() {
    let mut space = TestSpace::bare(&[RW]);
    let [right, wrong] = [ASID.0, ASID.0 + 1]
        .map(|asid| Arc::new(Sva::new(space.smmu.clone(), crate::addr::Asid(asid))));
    let plan = tlb_plan(Fault::MisTag(MisTag::AddressSpace));
    let faulty = Arc::new(Faulty::new(right, plan).beside(wrong));
    space.follow(faulty.clone());
    space.dma(0, Access::Write).unwrap();
    space.set(0, None, Telling::SecondaryTlb);
    space.dma(0, Access::Write).unwrap();
    assert_eq!(faulty.injected().len(), 1);
    let kind = space.oracle.findings().violations[0].kind;
    assert_eq!(kind, ViolationKind::UseAfterUnmap);
}

/// A subscriber that acts on one reason alone and goes by what it is told (as hfi1 does on unmaps).
struct ActsOnClear(Arc<Shadow>);

impl Subscriber for ActsOnClear {
    type Family = OwnPageTables;
}

impl RangeSubscriber for ActsOnClear {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        if event.event == Event::Clear {
            self.0.invalidate_range_start(event);
        }
    }

    fn invalidate_range_end(&self, event: &RangeEvent) {
        if event.event == Event::Clear {
            self.0.invalidate_range_end(event);
        }
    }
}

/// A space whose shadow MMU is told through `plan`: a page is read, unmapped, and read again.
fn unmapped_under_a_shadow(plan: Plan) -> (TestSpace, usize) {
    let mut space = TestSpace::bare(&[RW, RW]);
    let filtered = Arc::new(ActsOnClear(space.shadow.clone()));
    let faulty = Arc::new(Faulty::new(filtered, plan));
    space.follow_ranges(faulty.clone());
    space.shadow_dma(0, Access::Read).unwrap();
    space.set(0, None, Telling::StartAndEnd);
    let _ = space.shadow_dma(0, Access::Read);
    let injected = faulty.injected().len();
    (space, injected)
}

#[test]
fn without_a_fault_an_unmap_under_a_shadow_is_coherent() {
    let (space, injected) = unmapped_under_a_shadow(Plan::new(1));
    assert_eq!((injected, verdict(&space)), (0, Verdict::Coherent));
    space.shadow_dma(1, Access::Read).unwrap();
}

#[test]
fn a_start_that_goes_wrong_under_a_shadow_is_found() {
    let faults = [
        Fault::Drop,
        Fault::Delay(Until::Flush),
        Fault::MisTag(MisTag::Event(Event::ProtectionVma)),
        Fault::MisTag(MisTag::Pages(1)),
    ];
    for fault in faults {
        let (space, injected) =
            unmapped_under_a_shadow(plan(Kind::RangeStart, When::Nth(1), fault));
        assert_eq!(
            (injected, verdict(&space)),
            (1, Verdict::Violation),
            "{fault:?}"
        );
    }
}

/// Start and end change places: the shadow is closed for good.
#[test]
fn a_pair_out_of_balance_loses_progress() {
    let wrong = [
        (Kind::RangeStart, Fault::Duplicate),
        (Kind::RangeStart, Fault::Reorder),
        (Kind::RangeEnd, Fault::Drop),
    ];
    for (kind, fault) in wrong {
        let (space, injected) = unmapped_under_a_shadow(plan(kind, When::Nth(1), fault));
        assert_eq!(injected, 1);
        let refused = space.shadow_dma(0, Access::Read).unwrap_err();
        assert_eq!(
            refused.kind,
            crate::secondary::FaultKind::Invalidating,
            "{fault:?}"
        );
    }
}

/// Random changes of four pages, each told, and accesses in between.
fn random_run(steps: &[(u64, u8)], plan: Plan) -> (Verdict, Vec<Injected>) {
    let (space, faulty) = behind(&[RO; 4], plan);
    for (n, what) in steps {
        match what {
            0 => drop(space.dma(*n, Access::Read)),
            1 => drop(space.dma(*n, Access::Write)),
            2 => space.set(*n, Some(leaf(*n, RO)), Telling::SecondaryTlb),
            3 => space.set(*n, Some(leaf(*n, RW)), Telling::SecondaryTlb),
            _ => space.set(*n, None, Telling::SecondaryTlb),
        }
    }
    (verdict(&space), faulty.injected())
}

fn steps() -> impl Strategy<Value = Vec<(u64, u8)>> {
    prop::collection::vec((0..4u64, 0..5u8), 0..60)
}

fn any_range() -> impl Strategy<Value = AddrRange<Gva>> {
    (0..100u64, 1..10u64).prop_map(|(first, count)| pages(first, count))
}

proptest! {
    #[test]
    fn an_empty_plan_changes_nothing(
        ranges in prop::collection::vec(any_range(), 0..20),
        seed in any::<u64>(),
    ) {
        let (received, injected) = received(Plan::new(seed), &ranges);
        prop_assert_eq!(received, ranges);
        prop_assert_eq!(injected, []);
    }

    /// The oracle raises no alarm unless something went wrong.
    #[test]
    fn a_violation_needs_a_fault(steps in steps(), seed in any::<u64>()) {
        let (verdict, _) = random_run(&steps, Plan::new(seed));
        prop_assert_eq!(verdict, Verdict::Coherent);
        let half = When::OneIn(NonZeroU32::new(2).unwrap());
        let plan = Plan::new(seed).inject(Kind::SecondaryTlb, half, Fault::Drop);
        let (verdict, injected) = random_run(&steps, plan);
        prop_assert!(verdict == Verdict::Coherent || !injected.is_empty());
    }

    #[test]
    fn the_seed_decides(steps in steps(), seed in any::<u64>()) {
        let third = When::OneIn(NonZeroU32::new(3).unwrap());
        let plan = Plan::new(seed).inject(Kind::SecondaryTlb, third, Fault::Reorder);
        prop_assert_eq!(random_run(&steps, plan.clone()), random_run(&steps, plan));
    }

    /// Every page of what was meant is in what arrives, or the fault is one that takes some away.
    #[test]
    fn widening_covers_and_shortening_is_covered(range in any_range(), by in 1..9u64) {
        let (wide, _) = received(tlb_plan(Fault::Widen(by)), &[range]);
        prop_assert!(wide[0].covers(range));
        let (short, injected) = received(tlb_plan(Fault::Shorten(by)), &[range]);
        prop_assert!(range.covers(short[0]));
        let pages = |range: AddrRange<Gva>| range.pages(PageSize::K4);
        let lost = if injected.is_empty() { 0 } else { by };
        prop_assert_eq!(pages(short[0]), pages(range) - lost);
    }
}

/// Which of a thousand notifications are hit.
fn hit(seed: u64) -> Vec<u64> {
    let tenth = When::OneIn(NonZeroU32::new(10).unwrap());
    let plan = Plan::new(seed).inject(Kind::SecondaryTlb, tenth, Fault::Drop);
    let (_, injected) = received(plan, &[range(0); 1000]);
    injected.iter().map(|it| it.occurrence).collect()
}

#[test]
fn about_one_in_so_many_is_hit_and_another_seed_hits_others() {
    assert!((50..200).contains(&hit(3).len()), "{:?}", hit(3));
    assert_ne!(hit(3), hit(4));
}
