//! A virtqueue whose rings, descriptors and buffers are behind the SMMU.

use notifier::addr::{AddrRange, Asid, Gpa, Gva, StreamId, Vmid};
use notifier::paging::x86_64::X86_64;
use notifier::paging::{Builder, Format, Leaf, LeafHints, TableMemoryMut};
use notifier::secondary::smmu::{Command, Context};
use virtio_queue::{Queue, QueueT};
use vm_memory::iommu::IommuMemory;
use vm_memory::{Bytes, GuestMemory, GuestMemoryBackend, GuestMemoryMmap};

use super::*;
use crate::memory::{Layout, MemoryConfig, Ram};

const ASID: Asid = Asid(1);
const STREAM: StreamId = StreamId(0);
const READ_ONLY: notifier::addr::Permissions = notifier::addr::Permissions::READ_ONLY;
const READ_WRITE: notifier::addr::Permissions = notifier::addr::Permissions::READ_WRITE;

/// Where the device finds things, and in which order their frames are in memory: the other way round.
const DESCRIPTORS: u64 = 0x4000_0000;
const AVAILABLE: u64 = DESCRIPTORS + 0x1000;
const USED: u64 = DESCRIPTORS + 0x2000;
/// Two pages, so that a buffer can cross from one to the other.
const BUFFER: u64 = DESCRIPTORS + 0x3000;
const PAGES: u64 = 5;

/// Memory with a driver's tables in it, and a device behind an SMMU.
struct Bench {
    ram: Ram,
    smmu: Arc<Smmu>,
    slots: Vec<Gpa>,
    root: Gpa,
    device: IommuMemory<GuestMemoryMmap, SmmuIommu>,
}

fn frame(iova: u64) -> u64 {
    0xa0_0000 + (PAGES << 12) - ((iova - DESCRIPTORS) & !0xfff) + (iova & 0xfff)
}

fn leaf(iova: u64, permissions: notifier::addr::Permissions) -> Leaf {
    Leaf {
        output: Gpa::new(frame(iova)),
        size: PageSize::K4,
        permissions,
        accessed: true,
        dirty: true,
        global: false,
        memory_type: 0,
        software: 0,
        hints: LeafHints::empty(),
    }
}

const FORMAT: X86_64 = X86_64::four_level(40);

impl Bench {
    fn new() -> Self {
        let ram = Ram::new(Layout::new(&MemoryConfig::default()).unwrap()).unwrap();
        let pool = AddrRange::new(Gpa::new(0x80_0000), Gpa::new(0x81_0000)).unwrap();
        let mut tables = Builder::new(&FORMAT, &ram, pool).unwrap();
        let slots = (0..PAGES).map(|n| DESCRIPTORS + (n << 12));
        let slots = slots.map(|at| tables.slot(Gva::new(at), PageSize::K4).unwrap());
        let slots: Vec<_> = slots.collect();
        let root = tables.root();
        let context = Context {
            asid: ASID,
            root,
            format: Arc::new(FORMAT),
        };
        let smmu = Arc::new(Smmu::new(64, Arc::new(ram.clone()), Arc::new(())));
        smmu.attach(STREAM, context);
        let iommu = SmmuIommu {
            smmu: Arc::clone(&smmu),
            requester: STREAM.into(),
        };
        let device = IommuMemory::new(ram.backend().clone(), iommu, true, ());
        let bench = Self {
            ram,
            smmu,
            slots,
            root,
            device,
        };
        for page in 0..PAGES {
            bench.map(DESCRIPTORS + (page << 12), READ_WRITE);
        }
        bench
    }

    /// Changes an entry and tells nobody.
    fn map(&self, iova: u64, permissions: notifier::addr::Permissions) {
        let number = usize::try_from((iova - DESCRIPTORS) >> 12).unwrap();
        let entry = FORMAT.encode_leaf(&leaf(iova, permissions)).unwrap();
        self.ram.write_entry(self.slots[number], entry).unwrap();
    }

    fn invalidate(&self) {
        self.smmu.submit(Command::TlbiAsid(Vmid(0), ASID));
        self.smmu.sync().unwrap();
    }

    /// The driver writes where the CPU finds the device's `iova`.
    fn drive(&self, iova: u64, bytes: &[u8]) {
        self.ram.write(Gpa::new(frame(iova)), bytes).unwrap();
    }

    fn seen_by_driver(&self, iova: u64, bytes: &mut [u8]) {
        self.ram.read(Gpa::new(frame(iova)), bytes).unwrap();
    }

    /// The driver offers one buffer to read and one to write.
    fn offer(&self) {
        let descriptor = |at: u64, length: u32, flags: u16, next: u16| {
            let fields = [
                &length.to_le_bytes()[..],
                &flags.to_le_bytes(),
                &next.to_le_bytes(),
            ];
            [&at.to_le_bytes()[..], &fields.concat()].concat()
        };
        // VRING_DESC_F_NEXT and VRING_DESC_F_WRITE.
        let request = descriptor(BUFFER, 16, 1, 1);
        let answer = descriptor(BUFFER + 0xff8, 16, 2, 0);
        self.drive(DESCRIPTORS, &[request, answer].concat());
        self.drive(BUFFER, b"sixteen byte ask");
        // Flags, index, and the ring's first entry.
        self.drive(AVAILABLE, &[0, 0, 1, 0, 0, 0]);
    }

    fn queue(&self) -> Queue {
        let mut queue = Queue::new(8).unwrap();
        let low = |at: u64| u32::try_from(at).ok();
        queue.set_desc_table_address(low(DESCRIPTORS), None);
        queue.set_avail_ring_address(low(AVAILABLE), None);
        queue.set_used_ring_address(low(USED), None);
        queue.set_ready(true);
        queue
    }
}

/// A device that knows vm-memory alone: answers every request with the same bytes, upside down.
fn serve(queue: &mut Queue, memory: &impl GuestMemory) -> Result<(), virtio_queue::Error> {
    while let Some(mut chain) = queue.pop_descriptor_chain(memory) {
        let (request, answer) = (chain.next().unwrap(), chain.next().unwrap());
        let mut bytes = [0; 16];
        memory.read_slice(&mut bytes, request.addr()).unwrap();
        bytes.reverse();
        memory.write_slice(&bytes, answer.addr()).unwrap();
        queue.add_used(memory, chain.head_index(), 16)?;
    }
    Ok(())
}

#[test]
fn a_virtqueue_works_behind_the_smmu() {
    let bench = Bench::new();
    let mut queue = bench.queue();
    assert!(queue.is_valid(&bench.device));
    bench.offer();
    serve(&mut queue, &bench.device).unwrap();
    // The answer crosses a page, whose neighbour in memory is another one.
    let mut answer = [[0; 8]; 2];
    bench.seen_by_driver(BUFFER + 0xff8, &mut answer[0]);
    bench.seen_by_driver(BUFFER + 0x1000, &mut answer[1]);
    assert_eq!(&answer.concat(), b"ksa etyb neetxis");
    let mut used = [0; 12];
    bench.seen_by_driver(USED, &mut used);
    assert_eq!(used, [0, 0, 1, 0, 0, 0, 0, 0, 16, 0, 0, 0]);
    assert!(bench.smmu.counts().tlb_hits > 0);
}

/// What vm-memory says needs no update (a mapping that allows more than before) needs one here.
#[test]
fn a_used_ring_that_is_upgraded_needs_an_invalidation() {
    let bench = Bench::new();
    bench.map(USED, READ_ONLY);
    let mut queue = bench.queue();
    assert_eq!(
        queue
            .used_idx(&bench.device, std::sync::atomic::Ordering::Acquire)
            .unwrap()
            .0,
        0
    );
    bench.map(USED, READ_WRITE);
    let stale = queue.add_used(&bench.device, 0, 16).unwrap_err();
    let why = format!("{stale:?}");
    assert!(why.contains("permission fault on write"), "{why}");
    bench.invalidate();
    queue.add_used(&bench.device, 0, 16).unwrap();
}

/// And what is taken away goes on to be used.
#[test]
fn a_buffer_that_is_downgraded_needs_an_invalidation_too() {
    let bench = Bench::new();
    let write = || bench.device.write_obj(7_u64, GuestAddress(BUFFER));
    write().unwrap();
    bench.map(BUFFER, READ_ONLY);
    write().unwrap();
    bench.invalidate();
    write().unwrap_err();
}

/// Between translation and use an access is on its way, and a CMD_SYNC waits for it.
#[test]
fn an_access_is_on_its_way_as_long_as_its_slices_are_gone_through() {
    let bench = Bench::new();
    let at = GuestAddress(BUFFER);
    let mut slices = bench.device.get_slices(at, 8, Permissions::Write).unwrap();
    let slice = slices.next().unwrap().unwrap();
    bench.smmu.submit(Command::TlbiAsid(Vmid(0), ASID));
    let sync = bench.smmu.begin_sync().unwrap();
    assert!(!bench.smmu.poll_sync(&sync), "the slice may be written");
    slice.write_obj(1_u64, 0).unwrap();
    assert!(slices.next().is_none());
    assert!(bench.smmu.poll_sync(&sync));
}

/// The limit: a slice that outlives the iterator is vm-memory's own, and nobody hears of its use.
#[test]
fn a_slice_that_is_kept_is_not_covered() {
    let bench = Bench::new();
    let at = GuestAddress(BUFFER);
    let mut slices = bench.device.get_slices(at, 8, Permissions::Write).unwrap();
    let kept = slices.next().unwrap().unwrap();
    drop(slices);
    bench.invalidate();
    kept.write_obj(1_u64, 0).unwrap();
}

#[test]
fn what_can_not_be_translated_is_refused_in_bounded_time() {
    let bench = Bench::new();
    let refused = |at, length| {
        let range = bench
            .device
            .check_range(GuestAddress(at), length, Permissions::Read);
        !range
    };
    assert!(refused(DESCRIPTORS, usize::MAX));
    assert!(refused(DESCRIPTORS, MOST_BYTES + 1));
    assert!(refused(u64::MAX - 7, 16));
    assert!(refused(BUFFER, 0x2001), "one byte past what is mapped");
    assert!(!refused(BUFFER, 0x2000));
    assert!(!refused(BUFFER, 0), "nothing is anywhere");
    assert!(!refused(u64::MAX, 0));
}

/// All of it is mapped, so that nothing else refuses it.
#[test]
fn no_more_than_so_much_is_translated_at_a_time() {
    let bench = Bench::new();
    let big = 1 << 39;
    let everything = Leaf {
        output: Gpa::new(0),
        size: PageSize::G1,
        ..leaf(DESCRIPTORS, READ_WRITE)
    };
    let root = bench.root.raw() + 8;
    let below = Gpa::new(0x81_0000);
    let leads = FORMAT.encode_table(below);
    bench.ram.write_entry(Gpa::new(root), leads).unwrap();
    let entry = FORMAT.encode_leaf(&everything).unwrap();
    bench.ram.write_entry(below, entry).unwrap();
    let iommu = bench.device.iommu();
    let whole = |length| iommu.translate(GuestAddress(big), length, Permissions::Read);
    assert!(whole(MOST_BYTES).is_ok());
    assert!(whole(MOST_BYTES + 1).is_err());
}

/// Stage 1 leads out of memory: that is not the SMMU's concern, but the memory's.
#[test]
fn a_target_outside_memory_is_an_error_of_the_backend() {
    let bench = Bench::new();
    let outside = Leaf {
        output: Gpa::new(1 << 32),
        ..leaf(BUFFER, READ_WRITE)
    };
    let entry = FORMAT.encode_leaf(&outside).unwrap();
    bench.ram.write_entry(bench.slots[3], entry).unwrap();
    assert!(bench.ram.backend().num_regions() > 0);
    bench
        .device
        .write_obj(7_u64, GuestAddress(BUFFER))
        .unwrap_err();
}
