//! Nor can a range subscriber be told of it.
use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks() -> RangeEvent {
    RangeEvent {
        event: IntervalEvent::Release, //~ E0308
        //= event: Event::Unmap,
        range: AddrRange::all(),
        blocking: Blocking::Allowed,
    }
}

fn main() {}
