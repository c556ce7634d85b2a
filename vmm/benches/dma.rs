//! DMA through a warm TLB beside a copy of the same memory: what translation costs a transfer.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput};
use notifier::addr::{Access, AddrRange, Asid, Gpa, Gva, Iova, PageSize, Permissions, StreamId};
use notifier::paging::x86_64::X86_64;
use notifier::paging::{Builder, Leaf};
use notifier::secondary::smmu::{Context, Smmu};
use vmm::memory::{Layout, MemoryConfig, Ram};

const STREAM: StreamId = StreamId(0);
const FORMAT: X86_64 = X86_64::four_level(40);
/// Where the device's addresses begin, and the memory behind them.
const WINDOW: u64 = 0x4000_0000_0000;
const FRAMES: u64 = 0x50_0000;
const LENGTHS: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];

/// A device's view of 1 MiB of memory, in pages of 4 KiB, and that memory.
struct Bench {
    smmu: Smmu,
    ram: Ram,
}

impl Bench {
    fn new() -> Self {
        let layout = Layout::new(&MemoryConfig::default()).expect("the usual layout");
        let ram = Ram::new(layout).expect("memory");
        let pool = ram.layout().page_tables();
        let mut builder = Builder::new(&FORMAT, &ram, pool).expect("room for a root");
        for page in 0..LENGTHS[2] as u64 / 4096 {
            let at = page * 4096;
            let mapped = builder.map(Gva::new(WINDOW + at), &leaf(FRAMES + at));
            mapped.expect("room for a page");
        }
        let context = Context {
            asid: Asid(1),
            root: builder.root(),
            format: Arc::new(FORMAT),
        };
        let smmu = Smmu::new(512, Arc::new(ram.clone()), Arc::new(()));
        smmu.attach(STREAM, context);
        Self { smmu, ram }
    }

    /// The device reads all of `buffer`.
    fn dma(&self, buffer: &mut [u8]) {
        let range = AddrRange::from_length(Iova::new(WINDOW), buffer.len() as u64);
        let range = range.expect("a range");
        let mut left = buffer;
        let moved = self.smmu.transfer(STREAM, range, Access::Read, |part| {
            let length = usize::try_from(part.length().unwrap_or(0)).unwrap_or(0);
            let (now, later) = std::mem::take(&mut left).split_at_mut(length);
            left = later;
            self.ram.read(part.start(), now)
        });
        moved.expect("mapped").expect("memory");
    }

    /// The same bytes, by whoever needs no translation.
    fn copy(&self, buffer: &mut [u8]) {
        self.ram.read(Gpa::new(FRAMES), buffer).expect("memory");
    }
}

fn leaf(frame: u64) -> Leaf {
    Leaf::page(Gpa::new(frame), PageSize::K4, Permissions::READ_WRITE)
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("dma");
    for length in LENGTHS {
        let mut buffer = vec![0; length];
        let source = vec![1u8; length];
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(BenchmarkId::new("through the SMMU", length), |bencher| {
            bencher.iter(|| bench.dma(black_box(&mut buffer)));
        });
        group.bench_function(BenchmarkId::new("guest memory", length), |bencher| {
            bencher.iter(|| bench.copy(black_box(&mut buffer)));
        });
        group.bench_function(BenchmarkId::new("memcpy", length), |bencher| {
            bencher.iter(|| black_box(&mut buffer).copy_from_slice(black_box(&source)));
        });
    }
    group.finish();
    criterion.final_summary();
}
