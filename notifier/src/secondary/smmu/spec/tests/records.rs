//! What an SMMU writes into queues, and the queues' places.

use proptest::prelude::*;

use super::*;
use crate::addr::{Access as Rw, Gpa, Iova, Ipa, StreamId, SubstreamId};

fn fault() -> TranslationEvent {
    TranslationEvent {
        transaction: EventTransaction {
            input: Iova::new(0xffff_8000_1234_5678),
            access: Rw::Read,
            privilege: Privilege::Privileged,
            instruction: true,
        },
        class: Class::Input,
        stage2: Some(Ipa::new(0x9_8765_4000)),
        table_access: Rw::Read,
        stall: Some(Stag(0xbeef)),
    }
}

fn event(kind: EventKind) -> Event {
    Event {
        stream: StreamId(0x89ab_cdef),
        substream: Some(SubstreamId(0xf_1234)),
        kind,
    }
}

fn every_kind() -> [EventKind; 18] {
    let at = Gpa::new(0x7_0008);
    let stage1 = TranslationEvent {
        class: Class::Table,
        stage2: None,
        table_access: Rw::Write,
        stall: None,
        ..fault()
    };
    [
        EventKind::UnsupportedTransaction(fault().transaction),
        EventKind::BadStreamId,
        EventKind::SteFetch(at),
        EventKind::BadSte,
        EventKind::BadAtsRequest(Iova::new(0x5000)),
        EventKind::StreamDisabled,
        EventKind::TranslationForbidden(Iova::new(0x5001), Rw::Read),
        EventKind::BadSubstreamId,
        EventKind::CdFetch(at),
        EventKind::BadCd,
        EventKind::WalkAbort(stage1, at),
        EventKind::Translation(fault()),
        EventKind::AddressSize(stage1),
        EventKind::AccessFlag(fault()),
        EventKind::Permission(stage1),
        EventKind::TlbConflict(stage1),
        EventKind::ConfigConflict,
        EventKind::PageRequest(PageHint {
            address: Iova::new(0x6000),
            pages: 9,
            accesses: 0b10_0001,
        }),
    ]
}

#[test]
fn every_event_comes_back() {
    for kind in every_kind() {
        let mut event = event(kind);
        if kind == EventKind::StreamDisabled {
            event.substream = None;
        }
        assert_eq!(Event::decode(event.encode()), Ok(event), "{}", kind.name());
    }
    let numbers = every_kind().map(|kind| kind.number());
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
}

/// By the masks of Linux's `arm-smmu-v3.h`.
#[test]
fn an_event_is_where_the_specification_has_it() {
    let words = event(EventKind::Permission(fault())).encode();
    assert_eq!(words[0], 0x89ab_cdef << 32 | 0xf123_4000 | 1 << 11 | 0x13);
    let flags = 1 << 31 | 1 << 33 | 1 << 34 | 1 << 35 | 1 << 39 | 2 << 40 | 1 << 44;
    assert_eq!(words[1], flags | 0xbeef);
    assert_eq!(words[2..], [0xffff_8000_1234_5678, 0x9_8765_4000]);
    let disabled = event(EventKind::StreamDisabled).encode();
    assert_eq!(disabled, [0x89ab_cdef << 32 | 0x06, 0, 0, 0]);
    let substream = event(EventKind::BadSubstreamId).encode();
    assert_eq!(substream[0], 0x89ab_cdef << 32 | 0xf123_4008);
}

#[test]
fn what_is_no_event_is_said_to_be_none() {
    assert_eq!(Event::decode([0x99, 0, 0, 0]), Err(NoEvent(0x99)));
    let class = Event::decode([0x10, 3 << 40, 0, 0]);
    assert_eq!(class, Err(NoEvent(0x10)));
}

/// By the masks of Linux's `arm-smmu-v3.h`.
#[test]
fn a_page_request_is_where_the_specification_has_it() {
    let request = PageRequest {
        stream: StreamId(0x89ab_cdef),
        substream: Some(SubstreamId(0xf_1234)),
        address: Iova::new(0x5000),
        group: 0x1ff,
        read: true,
        write: false,
        execute: false,
        privileged: true,
        last: true,
    };
    let flags = 1 << 63 | 1 << 62 | 1 << 60 | 1 << 58;
    assert_eq!(
        request.encode(),
        [flags | 0xf_1234 << 32 | 0x89ab_cdef, 0x51ff]
    );
    assert!(!request.is_stop_marker());
    let read = false;
    assert!(PageRequest { read, ..request }.is_stop_marker());
}

proptest! {
    #[test]
    fn any_words_of_a_record_come_back(words in any::<[u64; 4]>(), number in 0..0x26u64) {
        let [first, second, ..] = words;
        let request = PageRequest::decode([first, second]);
        prop_assert_eq!(PageRequest::decode(request.encode()), request);
        let words = [first & !0xff | number, words[1], words[2], words[3]];
        if let Ok(event) = Event::decode(words) {
            let mut kept = event;
            if event.kind == EventKind::StreamDisabled {
                kept.substream = None;
            }
            prop_assert_eq!(Event::decode(event.encode()), Ok(kept));
        }
    }

    /// Beside a plain count of what was produced and consumed.
    #[test]
    fn a_ring_counts_over_its_wrap(bits in 0..6u8, steps in proptest::collection::vec(any::<bool>(), 0..300)) {
        let ring = Ring::new(bits);
        let (mut prod, mut cons) = (Prod::default(), Cons::default());
        let (mut produced, mut consumed) = (0u32, 0u32);
        for produce in steps {
            if produce && !ring.is_full(prod, cons) {
                prod = ring.produced(prod);
                produced += 1;
            } else if !produce && !ring.is_empty(prod, cons) {
                cons = ring.consumed(cons);
                consumed += 1;
            }
            prop_assert_eq!(ring.used(prod, cons), produced - consumed);
            prop_assert_eq!(ring.write_index(prod), produced % ring.entries());
            prop_assert_eq!(ring.read_index(cons), consumed % ring.entries());
            prop_assert!(prod.register() < 2 * ring.entries());
        }
    }
}

#[test]
fn a_full_ring_is_not_an_empty_one() {
    let ring = Ring::new(0);
    let (empty, full) = (Prod::of(0), Prod::of(1));
    assert!(ring.is_empty(empty, Cons::of(0)) && !ring.is_full(empty, Cons::of(0)));
    assert!(ring.is_full(full, Cons::of(0)) && !ring.is_empty(full, Cons::of(0)));
    assert_eq!(ring.produced(full), empty);
    assert_eq!(Ring::new(31).entries(), 1 << 19);
}

#[test]
fn an_overflow_is_flagged_once_until_it_is_acknowledged() {
    let cons = OutputCons::of(0);
    let lost = OutputProd::of(5).overflowed(cons);
    assert_eq!(lost.register(), 1 << 31 | 5);
    assert_eq!(lost.overflowed(cons), lost);
    let acknowledged = OutputCons::of(1 << 31 | 5);
    assert!(lost.has_overflowed(cons) && !lost.has_overflowed(acknowledged));
    assert_eq!(lost.overflowed(acknowledged).register(), 5, "toggled back");
    assert_eq!(acknowledged.register(), 1 << 31 | 5);
}
