//! The SMMU's TLB beside other translation caches: a hit, a miss, and an invalidation with the
//! refill that follows it.
//!
//! Every contender holds the same pages and is asked for the same random addresses. The pages are
//! fragmented, as memory is after some use: no page's target follows its neighbour's, or a cache
//! that merges ranges would hold one range where hardware holds thousands of entries.

mod pages;
mod peers;
mod smmu;

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};

use pages::Pages;
use peers::{Cache, Iotlb, OurTlb, Ranges, SetAssociative};
use smmu::Device;

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
    misses(&mut criterion);
    criterion.final_summary();
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
        replace(
            &mut group,
            "BTreeMap of ranges",
            Ranges::full(&pages),
            &pages,
        );
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
