//! What criterion can't measure: a whole address space that has to be filled again for each time,
//! the tail of a distribution, and threads. Printed as tables after its own.

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::device::Device;
use crate::pages::{Pages, Random};
use crate::peers::{Cache, Iotlb, OtherSmmu, OurTlb, SetAssociative};

/// How long each constellation of threads runs, and how often; the median counts.
const SPAN: Duration = Duration::from_millis(150);
const TIMES: usize = 5;

/// Runs what the command line names, or everything.
pub(crate) fn run() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if names
        .iter()
        .any(|name| name == "--test" || name == "--list")
    {
        return;
    }
    let wanted = |name: &str| {
        let mut filters = names
            .iter()
            .filter(|name| !name.starts_with('-'))
            .peekable();
        filters.peek().is_none() || filters.any(|filter| name.contains(filter.as_str()))
    };
    let tables: [(&str, fn()); 3] = [
        ("invalidate a space", spaces),
        ("thrash", thrash),
        ("threads", threads),
    ];
    for (name, table) in tables.into_iter().filter(|(name, _)| wanted(name)) {
        println!("\n{name}");
        table();
    }
}

/// Everything of one address space, in nanoseconds, clock included: the median of many times.
fn spaces() {
    println!("{:28}{:>8}{:>10}{:>10}", "", "entries", "p50", "p99");
    for size in [64, 1_024, 16_384] {
        let pages = Pages::new(size);
        let ours = |cache: &mut OurTlb| {
            black_box(cache.tlb.invalidate_space(&cache.own, None));
        };
        whole("Tlb, a space", OurTlb::full(&pages), &pages, ours);
        let iotlb = |cache: &mut Iotlb| cache.0.invalidate_all();
        whole("vm-memory, everything", Iotlb::full(&pages), &pages, iotlb);
        let other = |cache: &mut OtherSmmu| cache.0.invalidate_by_asid(1);
        whole(
            "crate smmu, an ASID",
            OtherSmmu::full(&pages),
            &pages,
            other,
        );
    }
}

fn whole<C: Cache>(name: &str, mut cache: C, pages: &Pages, mut invalidate: impl FnMut(&mut C)) {
    let mut samples = Samples::default();
    for _ in 0..101 {
        let start = Instant::now();
        invalidate(&mut cache);
        samples.add(start);
        pages
            .iovas()
            .for_each(|iova| cache.insert(iova, pages.target(iova)));
    }
    let [p50, p99] = [0.5, 0.99].map(|part| samples.at(part));
    println!("{name:28}{:>8}{p50:>10}{p99:>10}", pages.count());
}

/// Translate, and on a miss put in, in nanoseconds, clock included; of a working set as large as the
/// cache, and of one twice as large.
fn thrash() {
    println!(
        "{:28}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "", "entries", "pages", "misses", "p50", "p99", "p99.9"
    );
    for size in [1_024, 16_384] {
        for set in [size, 2 * size] {
            let (held, used) = (Pages::new(size), Pages::new(set));
            tail("Tlb", OurTlb::with_room_for(&held), size, &used);
            tail("crate smmu", OtherSmmu::with_room_for(&held), size, &used);
        }
    }
}

fn tail(name: &str, mut cache: impl Cache, entries: u64, pages: &Pages) {
    let mut samples = Samples::default();
    let mut random = pages.random();
    let (warm, rounds) = (4 * pages.count(), 100_000);
    let mut misses = 0;
    for round in 0..warm + rounds {
        let iova = random.iova();
        let start = Instant::now();
        let missed = black_box(cache.translate(iova)).is_none();
        if missed {
            cache.insert(iova, pages.target(iova));
        }
        if round >= warm {
            samples.add(start);
            misses += u64::from(missed);
        }
    }
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|part| samples.at(part));
    let misses = format!("{} %", misses * 100 / rounds);
    let used = pages.count();
    println!("{name:28}{entries:>8}{used:>8}{misses:>8}{p50:>8}{p99:>8}{p999:>8}");
}

/// Times, in nanoseconds.
#[derive(Default)]
struct Samples(Vec<u128>);

impl Samples {
    fn add(&mut self, start: Instant) {
        self.0.push(start.elapsed().as_nanos());
    }

    /// Which of them this part of all does not exceed.
    fn at(&mut self, part: f64) -> u128 {
        let position = part * (self.0.len() - 1) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index"
        )]
        let position = position.round() as usize;
        *self.0.select_nth_unstable(position).1
    }
}

/// Millions of translations in a second, all readers together.
fn threads() {
    let pages = Pages::new(1_024);
    let ours = OurTlb::full(&pages);
    let locked = Mutex::new(SetAssociative::full(&pages));
    let cpus = thread::available_parallelism().map_or(0, usize::from);
    let device = Device::warm(1_024, &pages);
    println!(
        "{cpus} CPUs{:22}{:>10}{:>14}{:>10}",
        "", "Tlb", "locked array", "Smmu"
    );
    for (name, readers, writers) in [
        ("1 thread", 1, 0),
        ("2 threads", 2, 0),
        ("1, while one invalidates", 1, 1),
        ("2, while one invalidates", 2, 1),
    ] {
        let lock_free = rate(
            &pages,
            readers,
            writers,
            &|iova| ours.translate(iova),
            &|iova| {
                ours.take(iova, 1);
                ours.put(iova, pages.target(iova));
            },
        );
        let lock = || locked.lock().expect("nobody panics");
        let one_lock = rate(
            &pages,
            readers,
            writers,
            &|iova| lock().translate(iova),
            &|iova| {
                lock().invalidate(iova);
                lock().insert(iova, pages.target(iova));
            },
        );
        let whole = rate(
            &pages,
            readers,
            writers,
            &|iova| device.access(iova),
            &|iova| device.invalidate(iova),
        );
        println!("{name:28}{lock_free:>10.1}{one_lock:>14.1}{whole:>10.1}");
    }
}

/// The median of some runs.
fn rate(
    pages: &Pages,
    readers: usize,
    writers: usize,
    read: &(impl Fn(u64) -> Option<u64> + Sync),
    write: &(impl Fn(u64) + Sync),
) -> f64 {
    let mut rates = [0.0; TIMES].map(|_: f64| once(pages, readers, writers, read, write));
    rates.sort_unstable_by(f64::total_cmp);
    rates[TIMES / 2]
}

fn once(
    pages: &Pages,
    readers: usize,
    writers: usize,
    read: &(impl Fn(u64) -> Option<u64> + Sync),
    write: &(impl Fn(u64) + Sync),
) -> f64 {
    let stop = AtomicBool::new(false);
    let until_stopped = |step: &mut dyn FnMut()| {
        let mut batches = 0;
        while !stop.load(Ordering::Relaxed) {
            (0..BATCH).for_each(|_| step());
            batches += 1;
        }
        batches * BATCH
    };
    thread::scope(|scope| {
        let reading = |_| {
            scope.spawn(|| {
                let mut random: Random = pages.random();
                until_stopped(&mut || {
                    black_box(read(black_box(random.iova())));
                })
            })
        };
        let readers: Vec<_> = (0..readers).map(reading).collect();
        for _ in 0..writers {
            scope.spawn(|| {
                let mut random = pages.random();
                until_stopped(&mut || write(random.page(pages.count())))
            });
        }
        thread::sleep(SPAN);
        stop.store(true, Ordering::Relaxed);
        let all: u64 = readers
            .into_iter()
            .map(|reader| reader.join().unwrap_or(0))
            .sum();
        all as f64 / SPAN.as_secs_f64() / 1e6
    })
}

/// Translations between two looks at whether it is over.
const BATCH: u64 = 64;
