use std::time::Instant;

use notifier::addr::{AddrRange, Gpa, Gva, PageSize, Permissions};
use notifier::contract::{Blocking, Event, Observer as _, RangeEvent};
use notifier::oracle::Oracle;
use notifier::paging::{Change, ChangeKind, Leaf};
use notifier::secondary::{Cached, Denial, Observer as _};

use super::*;
use crate::recorder::{ExitKind, Recorder};

const CACHE: CacheId = CacheId::Shadow;

fn page() -> AddrRange<Gva> {
    AddrRange::page(Gva::new(0x1000), PageSize::K4)
}

fn leaf(permissions: Permissions) -> Leaf {
    crate::page_tables::page(Gpa::new(0x5000), PageSize::K4, permissions)
}

fn upgrade() -> Change {
    Change {
        range: page(),
        kind: ChangeKind::Upgrade,
        old: Some(leaf(Permissions::READ_ONLY)),
        new: Some(leaf(Permissions::READ_WRITE)),
    }
}

/// A read-only page is cached, upgraded by an exit of vCPU 2, which `tells` somebody, and written by
/// a device, which `meets` something.
fn recorded(
    tells: impl FnOnce(&Oracle),
    meets: impl FnOnce(&Oracle, &Cached),
) -> (Timeline, Oracle) {
    let (oracle, since) = (Oracle::new(), Instant::now());
    oracle.begin([(page(), leaf(Permissions::READ_ONLY))]);
    oracle.keep_time(since);
    let recorder = Recorder::new(since);
    let iova = page().map(Iova::shared);
    let began = oracle.walk_began();
    let filled = oracle.filled(CACHE, iova, &leaf(Permissions::READ_ONLY), began);
    let entry = Cached {
        page: iova,
        leaf: leaf(Permissions::READ_ONLY),
        filled,
    };
    let start = recorder.now();
    let changes = [upgrade()];
    let made = oracle.made(oracle.changing(&changes), &changes);
    tells(&oracle);
    oracle.settled(made);
    recorder.add(Activity::Exit(2, ExitKind::MmioWrite(0x40_0000)), start);
    let start = recorder.now();
    meets(&oracle, &entry);
    recorder.add(Activity::Transfer(0), start);
    let recorded = recorder.recorded(oracle.timed_history());
    (timeline(&recorded, &oracle.findings()), oracle)
}

fn refused(oracle: &Oracle, entry: &Cached) {
    oracle.denied(
        CACHE,
        entry.page.start(),
        Access::Write,
        &Denial::Entry(*entry),
    );
}

/// Each arrow as its word and the tracks at its ends.
fn arrows(timeline: &Timeline) -> Vec<(Because, Track, Track)> {
    let track = |id| timeline.get(id).unwrap().track;
    let flows = timeline.flows().iter();
    let mut arrows: Vec<_> = flows
        .map(|flow| (flow.because, track(flow.from), track(flow.to)))
        .collect();
    arrows.sort_unstable();
    arrows
}

#[test]
fn a_change_that_nobody_hears_of_is_missed_by_the_access_that_it_concerns() {
    let (timeline, _) = recorded(|_| {}, refused);
    let expected = [
        (Because::Made, Track::Vcpu(2), Track::Tracker),
        (Because::Served, Track::Shadow, Track::Device),
        (Because::Missed, Track::Tracker, Track::Device),
    ];
    assert_eq!(arrows(&timeline), expected);
    let slices = timeline.slices();
    let wrong: Vec<_> = slices
        .filter(|(_, slice)| slice.tone == Tone::Wrong)
        .collect();
    let [(_, wrong)] = wrong[..] else {
        panic!("one is wrong: {timeline:#?}");
    };
    assert!(wrong.name.contains("refused"), "{}", wrong.name);
}

#[test]
fn a_change_is_followed_to_the_access_that_goes_through() {
    let event = RangeEvent {
        event: Event::ProtectionUpgrade,
        range: page(),
        blocking: Blocking::Allowed,
    };
    let iova = page().map(Iova::shared);
    let (timeline, oracle) = recorded(
        |oracle| {
            oracle.notified(Notice::RangeStart(event));
            oracle.invalidated(CACHE, iova);
        },
        |oracle, _| {
            let began = oracle.walk_began();
            let leaf = leaf(Permissions::READ_WRITE);
            let filled = oracle.filled(CACHE, iova, &leaf, began);
            let entry = Cached {
                page: iova,
                leaf,
                filled,
            };
            for _ in 0..2 {
                oracle.used(CACHE, iova.start(), Access::Write, &entry);
            }
        },
    );
    assert!(oracle.findings().violations.is_empty());
    let expected = [
        (Because::Made, Track::Vcpu(2), Track::Tracker),
        (Because::Notified, Track::Tracker, Track::Notifier),
        (Because::Invalidated, Track::Notifier, Track::Shadow),
        (Because::Affected, Track::Shadow, Track::Device),
        (Because::Served, Track::Shadow, Track::Device),
        (Because::Served, Track::Shadow, Track::Device),
    ];
    assert_eq!(
        arrows(&timeline),
        expected,
        "the second access is not the first after it"
    );
}

/// So that what is drawn as one inside the other is.
#[test]
fn slices_of_a_thread_nest() {
    let (timeline, _) = recorded(|_| {}, refused);
    let of = |track: Track| {
        let mut slices = timeline.slices().map(|(_, slice)| slice);
        slices.find(|slice| slice.track == track).unwrap()
    };
    let (exit, change) = (of(Track::Vcpu(2)), of(Track::Tracker));
    assert!(
        exit.start <= change.start && change.end() <= exit.end(),
        "{timeline:#?}"
    );
    let device: Vec<_> = timeline
        .slices()
        .map(|(_, slice)| slice)
        .filter(|slice| slice.track == Track::Device)
        .collect();
    let [turn, access] = device[..] else {
        panic!("a turn and an access: {device:#?}");
    };
    assert!(
        turn.start <= access.start && access.end() <= turn.end(),
        "{device:#?}"
    );
}

#[test]
fn what_was_forgotten_is_counted() {
    let (oracle, since) = (Oracle::new(), Instant::now());
    oracle.keep_time(since);
    for value in 0..20_000 {
        oracle.mark(value);
    }
    let recorded = Recorder::new(since).recorded(oracle.timed_history());
    let timeline = timeline(&recorded, &oracle.findings());
    assert_eq!(timeline.points().len() as u64 + timeline.left_out(), 20_000);
    assert!(timeline.left_out() > 0);
}
