//! To whom the windows of this thread were delivered: callbacks run on the thread that announces.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use notifier::contract::RangeEvent;

use crate::check;
use crate::record::{Moment, Record};

thread_local! {
    static OPEN: RefCell<Vec<Delivery>> = const { RefCell::new(Vec::new()) };
    /// When the mutation of this thread had begun.
    static BEGUN: Cell<Moment> = const { Cell::new(Moment::FIRST) };
}

struct Delivery {
    event: RangeEvent,
    started: Vec<Arc<Record>>,
    ended: Vec<Arc<Record>>,
}

/// This thread has begun a mutation.
pub(crate) fn mutation_has_begun() {
    BEGUN.set(Moment::now());
}

/// This thread is about to announce `event`.
pub(crate) fn begin(event: RangeEvent) {
    let (started, ended) = (Vec::new(), Vec::new());
    OPEN.with_borrow_mut(|open| {
        open.push(Delivery {
            event,
            started,
            ended,
        });
    });
}

/// `to` is told a start: only if it did not come after the mutation had begun.
pub(crate) fn check_early(to: &Record) {
    let late = BEGUN.get() < to.made;
    check!(
        !late,
        "{} is told of a mutation that began before it came",
        to.name
    );
}

/// `to`, who is owed an end, is told the start.
pub(crate) fn start(to: &Arc<Record>, event: &RangeEvent) {
    check_early(to);
    newest(event, |delivery| {
        check!(
            !has(&delivery.started, to),
            "{} is told the same start again",
            to.name
        );
        delivery.started.push(Arc::clone(to));
    });
}

/// `to` is told the end.
pub(crate) fn end(to: &Arc<Record>, event: &RangeEvent) {
    newest(event, |delivery| {
        check!(
            has(&delivery.started, to),
            "{} is told an end without a start",
            to.name
        );
        check!(
            !has(&delivery.ended, to),
            "{} is told the same end again",
            to.name
        );
        delivery.ended.push(Arc::clone(to));
    });
}

/// The window has ended, or was refused: nobody is owed anything more.
pub(crate) fn finish() {
    let delivery = OPEN.with_borrow_mut(Vec::pop).expect("begun");
    for to in &delivery.started {
        let complete = has(&delivery.ended, to) || to.may_miss_an_end();
        check!(
            complete,
            "{} was not told the end of {}",
            to.name,
            delivery.event
        );
    }
}

fn newest(event: &RangeEvent, note: impl FnOnce(&mut Delivery)) {
    OPEN.with_borrow_mut(|open| match open.last_mut() {
        Some(delivery) if delivery.event == *event => note(delivery),
        _ => check!(
            false,
            "{event} is delivered, but it is not what was announced"
        ),
    });
}

fn has(records: &[Arc<Record>], record: &Arc<Record>) -> bool {
    records.iter().any(|other| Arc::ptr_eq(other, record))
}
