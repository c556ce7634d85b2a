//! The SMMU's TLB beside other translation caches: a hit, a miss, invalidations of all extents, a
//! working set that is too large, and several threads.
//!
//! Every contender holds the same pages and is asked for the same random addresses. The pages are
//! fragmented, as memory is after some use: no page's target follows its neighbour's, or a cache
//! that merges ranges would hold one range where hardware holds thousands of entries.

mod alone;
mod device;
mod pages;
mod peers;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};

use device::Device;
use pages::Pages;
use peers::{Cache, Iotlb, OtherSmmu, OurTlb, Ranges, SetAssociative};

/// Pages held; a whole cache each time.
const SIZES: [u64; 3] = [64, 1_024, 16_384];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    hits(&mut criterion);
    invalidations(&mut criterion);
    pages(&mut criterion);
    ranges(&mut criterion);
    misses(&mut criterion);
    criterion.final_summary();
    alone::run();
}

/// A translation that is there: page, permission, target.
fn hits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hit");
    for size in SIZES {
        let pages = Pages::new(size);
        hit(&mut group, "Tlb::lookup", &OurTlb::full(&pages), &pages);
        access(
            &mut group,
            "Smmu::access",
            &Device::warm(size, &pages),
            &pages,
        );
        hit(&mut group, "vm-memory Iotlb", &Iotlb::full(&pages), &pages);
        hit(&mut group, "crate smmu", &OtherSmmu::full(&pages), &pages);
        hit(
            &mut group,
            "BTreeMap of ranges",
            &Ranges::full(&pages),
            &pages,
        );
        hit(
            &mut group,
            "bare 4-way array",
            &SetAssociative::full(&pages),
            &pages,
        );
    }
    group.finish();
}

/// One page is invalidated and put in again.
fn invalidations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("invalidate and refill");
    for size in SIZES {
        let pages = Pages::new(size);
        replace(&mut group, "Tlb", OurTlb::full(&pages), &pages);
        replace(&mut group, "vm-memory Iotlb", Iotlb::full(&pages), &pages);
        replace(&mut group, "crate smmu", OtherSmmu::full(&pages), &pages);
        replace(
            &mut group,
            "BTreeMap of ranges",
            Ranges::full(&pages),
            &pages,
        );
    }
    group.finish();
}

/// One page is invalidated, and only that is measured.
fn pages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("invalidate a page");
    for size in SIZES {
        let pages = Pages::new(size);
        remove(&mut group, "Tlb", OurTlb::full(&pages), &pages);
        remove(&mut group, "vm-memory Iotlb", Iotlb::full(&pages), &pages);
        remove(&mut group, "crate smmu", OtherSmmu::full(&pages), &pages);
        remove(
            &mut group,
            "BTreeMap of ranges",
            Ranges::full(&pages),
            &pages,
        );
        remove(
            &mut group,
            "bare 4-way array",
            SetAssociative::full(&pages),
            &pages,
        );
    }
    group.finish();
}

/// As many pages in one invalidation, of 16,384 that are there.
fn ranges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("invalidate a range");
    let pages = Pages::new(16_384);
    let ours = OurTlb::full(&pages);
    let first = pages.iovas().next().unwrap_or(0);
    for count in [1, 16, 256, 4_096, 16_384] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("Tlb", count), |bencher| {
            bencher.iter_custom(|rounds| {
                let round = || {
                    let start = Instant::now();
                    assert_eq!(ours.take(black_box(first), count), count);
                    let taken = start.elapsed();
                    let filled = pages.iovas().take(usize::try_from(count).unwrap_or(0));
                    filled.for_each(|iova| ours.put(iova, pages.target(iova)));
                    taken
                };
                (0..rounds).map(|_| round()).sum()
            });
        });
    }
    group.finish();
}

/// A translation that is not there: the walk alone, and the SMMU with a TLB far too small (every
/// access walks and refills) and half as large as the pages in use.
fn misses(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("miss");
    for size in SIZES {
        let pages = Pages::new(size);
        let device = Device::warm(size, &pages);
        let mut random = pages.random();
        group.bench_function(BenchmarkId::new("walk alone", size), |bencher| {
            bencher.iter(|| device.walk(black_box(random.iova())));
        });
        access(
            &mut group,
            "Smmu::access, always",
            &Device::warm(4, &pages),
            &pages,
        );
        let rooted = Device::with(4, &pages, device::without_walk_cache());
        access(
            &mut group,
            "Smmu::access, always, no walk cache",
            &rooted,
            &pages,
        );
        let half = Device::warm(size / 2, &pages);
        access(&mut group, "Smmu::access, every other time", &half, &pages);
    }
    group.finish();
}

fn hit(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, cache: &impl Cache, pages: &Pages) {
    let mut random = pages.random();
    group.bench_function(BenchmarkId::new(name, pages.count()), |bencher| {
        bencher.iter(|| cache.translate(black_box(random.iova())));
    });
}

fn access(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, device: &Device, pages: &Pages) {
    let mut random = pages.random();
    group.bench_function(BenchmarkId::new(name, pages.count()), |bencher| {
        bencher.iter(|| device.access(black_box(random.iova())));
    });
}

fn replace(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut cache: impl Cache,
    pages: &Pages,
) {
    let mut random = pages.random();
    group.bench_function(BenchmarkId::new(name, pages.count()), |bencher| {
        bencher.iter(|| {
            let iova = black_box(random.iova());
            cache.invalidate(iova);
            cache.insert(iova, pages.target(iova));
        });
    });
}

/// Goes through all pages in a scattered order, and puts them back where nobody looks at the clock.
fn remove(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut cache: impl Cache,
    pages: &Pages,
) {
    let first = pages.iovas().next().unwrap_or(0);
    let order: Vec<u64> = pages
        .iovas()
        .map(|iova| first + pages.target(iova))
        .collect();
    group.bench_function(BenchmarkId::new(name, pages.count()), |bencher| {
        bencher.iter_custom(|mut left| {
            let mut taken = Duration::ZERO;
            while left > 0 {
                let some = &order[..usize::try_from(left)
                    .unwrap_or(order.len())
                    .min(order.len())];
                let start = Instant::now();
                some.iter()
                    .for_each(|iova| cache.invalidate(black_box(*iova)));
                taken += start.elapsed();
                some.iter()
                    .for_each(|iova| cache.insert(*iova, pages.target(*iova)));
                left -= some.len() as u64;
            }
            taken
        });
    });
}
