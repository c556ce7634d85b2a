//! Events and page requests: written, lost, answered.

use super::super::super::spec::{
    Class, Event, EventKind, EventTransaction, PageRequest, PageResponse, Privilege, Stag, Ste,
    TranslationEvent,
};
use super::*;
use crate::addr::{Access, Iova, SubstreamId};

fn event(stream: u32) -> Event {
    Event {
        stream: StreamId(stream),
        substream: None,
        kind: EventKind::BadSte,
    }
}

fn stalled() -> Event {
    let fault = TranslationEvent {
        transaction: EventTransaction {
            input: Iova::new(0x5000),
            access: Access::Write,
            privilege: Privilege::Unprivileged,
            instruction: false,
        },
        class: Class::Input,
        stage2: None,
        table_access: Access::Write,
        stall: Some(Stag(3)),
    };
    let kind = EventKind::Translation(fault);
    Event { kind, ..event(1) }
}

fn request(group: u16) -> PageRequest {
    PageRequest {
        stream: StreamId(7),
        substream: Some(SubstreamId(3)),
        address: Iova::new(0x5000),
        group,
        read: true,
        write: false,
        execute: false,
        privileged: false,
        last: true,
    }
}

fn no_entry() -> Option<Ste> {
    None
}

impl Driver {
    fn request(&self, request: PageRequest) -> Option<AutoResponse> {
        self.smmu.page_request(request, no_entry)
    }

    fn event_at(&self, index: u64) -> Event {
        let word = |n: u64| self.word(EVENTS + 32 * index + 8 * n);
        Event::decode([word(0), word(1), word(2), word(3)]).unwrap()
    }
}

#[test]
fn an_event_is_written_and_the_first_interrupts() {
    let driver = Driver::new();
    assert_eq!(driver.smmu.record(event(1)), Recorded::Written);
    assert_eq!(driver.smmu.record(stalled()), Recorded::Written);
    assert_eq!(driver.get(Register::EventqProd), 2);
    assert_eq!(
        (driver.event_at(0), driver.event_at(1)),
        (event(1), stalled())
    );
    assert_eq!(
        driver.raised(),
        [Interrupt::Events],
        "empty to not empty alone"
    );
    assert_eq!(driver.set(Register::EventqCons, 2), [Effect::Events]);
    driver.smmu.record(event(2));
    assert_eq!(driver.raised(), [Interrupt::Events]);
}

#[test]
fn events_go_over_the_wrap_into_the_same_places() {
    let driver = Driver::new();
    for stream in 0..9 {
        assert_eq!(driver.smmu.record(event(stream)), Recorded::Written);
        driver.set(Register::EventqCons, driver.get(Register::EventqProd));
    }
    assert_eq!(driver.get(Register::EventqProd), 1);
    assert_eq!(driver.event_at(0), event(8));
}

#[test]
fn a_full_queue_loses_events_and_says_so_once() {
    let driver = Driver::new();
    (0..4).for_each(|stream| assert_eq!(driver.smmu.record(event(stream)), Recorded::Written));
    assert_eq!(driver.smmu.record(stalled()), Recorded::Later);
    assert_eq!(driver.get(Register::EventqProd), 4, "a stall is not lost");
    assert_eq!(driver.smmu.record(event(9)), Recorded::Lost);
    assert_eq!(driver.smmu.record(event(9)), Recorded::Lost);
    assert_eq!(driver.get(Register::EventqProd), 1 << 31 | 4);
    driver.set(Register::EventqCons, 1);
    let unacknowledged = driver.smmu.record(event(5));
    assert_eq!(unacknowledged, Recorded::Written, "unlike page requests");
    assert_eq!(driver.event_at(0), event(5));
    driver.set(Register::EventqCons, 1 << 31 | 1);
    driver.smmu.record(event(6));
    assert_eq!(driver.get(Register::EventqProd), 5, "OVFLG toggled back");
    assert_eq!(driver.active(), 0, "no error");
}

#[test]
fn events_are_lost_while_their_queue_is_off() {
    let driver = Driver::off(ALL);
    assert_eq!(driver.smmu.record(event(1)), Recorded::Lost);
    assert_eq!(driver.smmu.record(stalled()), Recorded::Later);
    assert_eq!(driver.get(Register::EventqProd), 0);
    driver.enable();
    assert_eq!(driver.smmu.record(stalled()), Recorded::Written);
}

#[test]
fn an_event_queue_outside_of_memory_is_an_error_until_acknowledged() {
    let driver = Driver::off(ALL);
    let outside = QueueBase::encode(Gpa::new(SIZE), 7);
    driver
        .smmu
        .write(Register::EventqBase.offset(), Width::Double, outside);
    driver.set(Register::IrqCtrl, 7);
    driver.set(Register::Cr0, Cr0::EVENTQEN.bits());
    assert_eq!(driver.smmu.record(event(1)), Recorded::Lost);
    assert_eq!(driver.active(), 1 << 2);
    assert_eq!(driver.raised(), [Interrupt::GlobalError]);
    assert_eq!(driver.smmu.record(event(1)), Recorded::Lost);
    assert_eq!(driver.raised(), [], "it is active already");
    assert_eq!(driver.get(Register::EventqProd), 0, "nothing was written");
    assert!(driver.acknowledge().contains(&Effect::Events));
    driver.smmu.record(event(1));
    assert_eq!(
        (driver.active(), driver.raised()),
        (1 << 2, vec![Interrupt::GlobalError])
    );
}

#[test]
fn an_interrupt_is_a_message_where_there_is_an_address() {
    let driver = Driver::off(ALL);
    let offset = Register::EventqIrqCfg(0).offset();
    driver.smmu.write(offset, Width::Double, MSI);
    driver.set(Register::EventqIrqCfg(1), 0x99);
    driver.enable();
    driver.smmu.record(event(1));
    assert_eq!((driver.word(MSI), driver.raised()), (0x99, vec![]));
}

#[test]
fn a_message_that_goes_nowhere_is_an_error() {
    let driver = Driver::off(ALL);
    for part in [Register::EventqIrqCfg(0), Register::GerrorIrqCfg(0)] {
        driver.smmu.write(part.offset(), Width::Double, SIZE);
    }
    driver.enable();
    driver.smmu.record(event(1));
    assert_eq!(
        driver.active(),
        1 << 5 | 1 << 7,
        "the error's own too, and no third"
    );
}

#[test]
fn a_masked_interrupt_is_not_raised() {
    let driver = Driver::new();
    driver.set(Register::IrqCtrl, 0);
    driver.smmu.record(event(1));
    assert_eq!(driver.raised(), []);
}

#[test]
fn page_requests_are_queued() {
    let driver = Driver::new();
    assert_eq!(driver.request(request(5)), None);
    let words = [driver.word(PAGES), driver.word(PAGES + 8)];
    assert_eq!(PageRequest::decode(words), request(5));
    assert_eq!(driver.get(Register::PriqProd), 1);
    assert_eq!(driver.raised(), [Interrupt::PageRequests]);
}

/// PRIQ_IRQ_CFG2.LO.
#[test]
fn the_last_of_a_group_interrupts_if_asked_for() {
    let driver = Driver::off(ALL);
    driver.set(Register::PriqIrqCfg(2), 1 << 31);
    driver.enable();
    driver.request(PageRequest {
        last: false,
        ..request(1)
    });
    assert_eq!(driver.raised(), []);
    driver.request(request(1));
    assert_eq!(driver.raised(), [Interrupt::PageRequests]);
}

#[test]
fn an_overflow_is_answered_for_the_last_of_a_group() {
    let driver = Driver::new();
    (0..4).for_each(|group| assert_eq!(driver.request(request(group)), None));
    let first = PageRequest {
        last: false,
        ..request(5)
    };
    assert_eq!(driver.request(first), None, "silently dropped");
    assert_eq!(driver.get(Register::PriqProd), 1 << 31 | 4);
    let stop = PageRequest {
        read: false,
        ..request(5)
    };
    assert_eq!(driver.request(stop), None, "a Stop Marker expects nothing");
    let answer = |response, substream| {
        Some(AutoResponse {
            stream: StreamId(7),
            substream,
            group: 5,
            response,
        })
    };
    let failure = answer(PageResponse::Failure, None);
    assert_eq!(driver.request(request(5)), failure, "no entry to ask");
    for response_with_pasid in [false, true] {
        let ste = Ste {
            response_with_pasid,
            ..Ste::default()
        };
        let substream = response_with_pasid.then_some(SubstreamId(3));
        let answered = driver.smmu.page_request(request(5), || Some(ste));
        assert_eq!(answered, answer(PageResponse::Success, substream));
    }
    let substream = None;
    let untagged = driver.request(PageRequest {
        substream,
        ..request(5)
    });
    assert_eq!(untagged, answer(PageResponse::Success, None));
    driver.set(Register::PriqCons, 4);
    assert!(driver.request(request(5)).is_some(), "not acknowledged");
    driver.set(Register::PriqCons, 1 << 31 | 4);
    assert_eq!(driver.request(request(5)), None);
}

#[test]
fn page_requests_fail_while_their_queue_is_off_or_in_error() {
    let driver = Driver::new();
    driver.set(Register::Cr0, (Cr0::all() - Cr0::SMMUEN).bits());
    let answer = driver.request(request(1)).unwrap();
    assert_eq!(
        (answer.response, answer.substream),
        (PageResponse::Failure, None)
    );
    driver.set(Register::Cr0, 0);
    let outside = QueueBase::encode(Gpa::new(SIZE), 2);
    driver
        .smmu
        .write(Register::PriqBase.offset(), Width::Double, outside);
    driver.set(Register::Cr0, Cr0::all().bits());
    let answer = driver.request(request(1)).unwrap();
    assert_eq!(answer.response, PageResponse::Failure);
    assert_eq!(driver.active(), 1 << 3);
    assert!(driver.request(request(1)).is_some());
    assert!(driver.acknowledge().contains(&Effect::PageRequests));
}

/// Software claims to have read more than was written.
#[test]
fn a_consumer_ahead_of_the_producer_breaks_nothing() {
    let driver = Driver::new();
    driver.set(Register::EventqCons, 3);
    let recorded: Vec<_> = (0..9)
        .map(|stream| driver.smmu.record(event(stream)))
        .collect();
    assert_eq!(recorded, [Recorded::Lost; 9], "taken as full");
    assert!(driver.get(Register::EventqProd) & 0x7fff_ffff < 8);
}
