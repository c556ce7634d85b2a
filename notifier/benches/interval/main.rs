//! The interval tree beside a list and other interval trees: the intervals that overlap a page,
//! and one interval taken out and put back.

mod contenders;
mod workload;

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};

use contenders::{Contender, Dynamic, Iset, List, Ours, StaticLapper};
use workload::Workload;

/// Intervals held.
const SIZES: [u64; 3] = [10, 1_000, 100_000];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    lookups(&mut criterion);
    updates(&mut criterion);
    criterion.final_summary();
}

fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("overlapping");
    for size in SIZES {
        let workload = Workload::new(size);
        lookup::<Ours>(&mut group, "IntervalTree", &workload);
        lookup::<Iset>(&mut group, "iset", &workload);
        lookup::<StaticLapper>(&mut group, "rust-lapper", &workload);
        lookup::<List>(&mut group, "list", &workload);
    }
    group.finish();
}

fn updates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("remove and insert");
    for size in SIZES {
        let workload = Workload::new(size);
        update::<Ours>(&mut group, "IntervalTree", &workload);
        update::<Iset>(&mut group, "iset", &workload);
    }
    group.finish();
}

fn lookup<C: Contender>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, workload: &Workload) {
    let contender = C::full(workload);
    agrees_with_a_list(&contender, workload);
    let mut page = workload.queries();
    let id = BenchmarkId::new(name, workload.intervals.len());
    group.bench_function(id, |bencher| {
        bencher.iter(|| contender.sum(black_box(page())));
    });
}

fn update<C: Dynamic>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, workload: &Workload) {
    let mut contender = C::full(workload);
    let mut choice = workload.choices();
    let id = BenchmarkId::new(name, workload.intervals.len());
    group.bench_function(id, |bencher| {
        bencher.iter(|| contender.replace(black_box(choice())));
    });
    agrees_with_a_list(&contender, workload);
}

/// A fast wrong answer is no contender.
fn agrees_with_a_list(contender: &impl Contender, workload: &Workload) {
    let list = List::full(workload);
    let mut page = workload.queries();
    for _ in 0..200 {
        let page = page();
        assert_eq!(contender.sum(page), list.sum(page), "{page}");
    }
}
