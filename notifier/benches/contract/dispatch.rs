//! Dispatch to none, one and eight subscribers.

use std::hint::black_box;
use std::sync::{Arc, RwLock};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use notifier::addr::{AddrRange, Gva, PageSize};
use notifier::contract::{
    AddressSpace, Event, OwnPageTables, RangeEvent, RangeSubscriber, SecondaryTlbSubscriber,
    SharedPageTables, Subscriber, Subscription,
};

/// Does next to nothing when it is told something.
pub(super) struct Idle;

impl Subscriber for Idle {
    type Family = OwnPageTables;
}

impl RangeSubscriber for Idle {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        black_box(event);
    }

    fn invalidate_range_end(&self, event: &RangeEvent) {
        black_box(event);
    }
}

struct IdleTlb;

impl Subscriber for IdleTlb {
    type Family = SharedPageTables;
}

impl SecondaryTlbSubscriber for IdleTlb {
    fn invalidate_secondary_tlb(&self, range: AddrRange<Gva>) {
        black_box(range);
    }
}

pub(super) fn page() -> AddrRange<Gva> {
    AddrRange::page(Gva::new(0x1000), PageSize::K4)
}

fn times(count: usize, mut register: impl FnMut() -> Subscription) -> Vec<Subscription> {
    (0..count).map(|_| register()).collect()
}

/// A secondary-TLB invalidation under the page-table lock, which the caller has anyway.
fn secondary_tlb(group: &mut BenchmarkGroup<'_, WallTime>, count: usize) {
    let space = AddressSpace::new(());
    let _subscriptions = times(count, || {
        space
            .register_secondary_tlb(Arc::new(IdleTlb))
            .expect("the space goes on")
    });
    let table = space.lock_page_table();
    group.bench_function(format!("secondary-tlb/{count}"), |bencher| {
        bencher.iter(|| table.invalidate_secondary_tlbs(black_box(page())));
    });
}

/// A start and its end: two dispatches, in a mutation which the caller has anyway.
fn window(group: &mut BenchmarkGroup<'_, WallTime>, count: usize) {
    let space = Arc::new(AddressSpace::new(()));
    let _subscriptions = times(count, || {
        space
            .register_ranges(Arc::new(Idle))
            .expect("the space goes on")
    });
    let mut mutation = space.mutate();
    group.bench_function(format!("start-and-end/{count}"), |bencher| {
        bencher.iter(|| {
            let _window = mutation.start(Event::Clear, black_box(page()));
        });
    });
}

/// The peer.
fn locked_list(group: &mut BenchmarkGroup<'_, WallTime>, count: usize) {
    let subscriber = || Arc::new(IdleTlb) as Arc<dyn SecondaryTlbSubscriber>;
    let list: RwLock<Vec<_>> = RwLock::new((0..count).map(|_| subscriber()).collect());
    group.bench_function(format!("peer-rwlock-list/{count}"), |bencher| {
        bencher.iter(|| {
            for subscriber in list.read().expect("no panic").iter() {
                subscriber.invalidate_secondary_tlb(black_box(page()));
            }
        });
    });
}

/// The floor.
fn bare_call(group: &mut BenchmarkGroup<'_, WallTime>) {
    let subscriber: Box<dyn SecondaryTlbSubscriber> = black_box(Box::new(IdleTlb));
    group.bench_function("floor-call", |bencher| {
        bencher.iter(|| subscriber.invalidate_secondary_tlb(black_box(page())));
    });
}

pub(super) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dispatch");
    for count in [0, 1, 2, 8] {
        secondary_tlb(&mut group, count);
        window(&mut group, count);
        locked_list(&mut group, count);
    }
    bare_call(&mut group);
    let space = Arc::new(AddressSpace::new(()));
    group.bench_function("mutation", |bencher| bencher.iter(|| drop(space.mutate())));
    group.bench_function("page-table-lock", |bencher| {
        bencher.iter(|| drop(space.lock_page_table()));
    });
    group.finish();
}
