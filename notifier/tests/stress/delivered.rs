//! To whom the windows of this thread were delivered: callbacks run on the thread that announces.

use std::cell::RefCell;
use std::sync::Arc;

use notifier::contract::RangeEvent;

use crate::check;
use crate::record::Record;

thread_local! {
    static OPEN: RefCell<Vec<Delivery>> = const { RefCell::new(Vec::new()) };
}

struct Delivery {
    event: RangeEvent,
    started: Vec<Arc<Record>>,
    ended: Vec<Arc<Record>>,
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

/// `to`, who is owed an end, is told the start.
pub(crate) fn start(to: &Arc<Record>, event: &RangeEvent) {
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
