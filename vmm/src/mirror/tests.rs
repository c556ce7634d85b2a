//! Who is told of what, with the locks that are held then.

use notifier::addr::{Access, Gpa, Iova, PageSize, Permissions};
use notifier::contract::{OwnPageTables, RangeEvent, RangeSubscriber, Subscriber};
use notifier::paging::x86_64::X86_64;
use notifier::paging::{Builder, Format};
use notifier::secondary::shadow::Shadow;

use super::*;
use crate::memory::{Layout, MemoryConfig};
use crate::page_tables::page;

const PAGE: Gva = Gva::new(guest::abi::layout::WINDOW);
const RO: Permissions = Permissions::READ_ONLY;
const RW: Permissions = Permissions::READ_WRITE;

/// A page table with room for one page, and its mirror.
struct Fixture {
    mirror: Mirror,
    slot: Gpa,
    root: Gpa,
    format: Arc<dyn Format>,
}

fn fixture(policy: UpgradePolicy) -> Fixture {
    let ram = Ram::new(Layout::new(&MemoryConfig::default()).unwrap()).unwrap();
    let format: Arc<dyn Format> = Arc::new(X86_64::four_level(40));
    let pool = ram.layout().page_tables();
    let mut builder = Builder::new(&*format, &ram, pool).unwrap();
    let slot = builder.slot(PAGE, PageSize::K4).unwrap();
    let root = builder.root();
    let tree = Tree::read(Arc::clone(&format), &ram, root, pool).unwrap();
    let oracle = Arc::new(Oracle::new());
    let space = Arc::new(AddressSpace::observed(tree, oracle.clone()));
    Fixture {
        mirror: Mirror::new(ram, space, oracle, policy),
        slot,
        root,
        format,
    }
}

impl Fixture {
    /// The store that makes the page have these permissions, or none.
    fn write(&self, permissions: Option<Permissions>) -> PageTableWrite {
        let frame = Gpa::new(guest::abi::layout::FRAMES);
        let leaf = |permissions| page(frame, PageSize::K4, permissions);
        let entry = permissions.map_or(0, |given| self.format.encode_leaf(&leaf(given)).unwrap());
        PageTableWrite::new(self.slot, &entry.to_le_bytes()).unwrap()
    }

    fn store(&self, permissions: Option<Permissions>) {
        let window = self.mirror.prepare(self.write(permissions)).unwrap();
        self.commit(window);
    }

    fn commit(&self, window: Window) {
        let ram = &self.mirror.ram;
        let make = |window: &Window| Ok(window.write().make(ram)?);
        self.mirror.commit(window, make).unwrap();
    }

    fn shadow(&self) -> (Arc<Shadow>, notifier::contract::Subscription) {
        let (ram, oracle) = (self.mirror.ram.clone(), self.mirror.oracle.clone());
        let shadow = Shadow::new(Arc::new(ram), self.format.clone(), self.root, oracle);
        let shadow = Arc::new(shadow);
        let subscription = self.mirror.space.register_ranges(shadow.clone()).unwrap();
        (shadow, subscription)
    }

    /// Range starts and secondary-TLB invalidations so far.
    fn sent(&self) -> (u64, u64) {
        let sent = self.mirror.space.notifications().unwrap();
        (sent.range_start, sent.secondary_tlb)
    }
}

#[test]
fn a_map_is_told_nobody_and_a_revocation_everybody_under_every_policy() {
    for policy in UpgradePolicy::ALL {
        let fixture = fixture(policy);
        fixture.store(Some(RW));
        assert_eq!(fixture.sent(), (0, 0));
        fixture.store(Some(RO));
        assert_eq!(fixture.sent(), (1, 1));
        fixture.store(None);
        assert_eq!(fixture.sent(), (2, 2));
    }
}

#[test]
fn an_upgrade_is_told_as_the_policy_says() {
    let told = UpgradePolicy::ALL.map(|policy| {
        let fixture = fixture(policy);
        fixture.store(Some(RO));
        fixture.store(Some(RW));
        fixture.sent()
    });
    assert_eq!(told, [(0, 0), (1, 0), (0, 1)]);
}

/// Writes down whether the page-table lock was free when it was called.
struct LockWatcher {
    space: Arc<AddressSpace<Tree>>,
    free: Mutex<Vec<bool>>,
}

impl LockWatcher {
    fn look(&self) {
        let space = Arc::clone(&self.space);
        let (taken, is_taken) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            drop(space.lock_page_table());
            // Nobody listens any more if it took too long.
            let _ = taken.send(());
        });
        let free = is_taken.recv_timeout(std::time::Duration::from_millis(200));
        lock(&self.free).push(free.is_ok());
    }
}

impl Subscriber for LockWatcher {
    type Family = OwnPageTables;
}

impl RangeSubscriber for LockWatcher {
    fn invalidate_range_start(&self, _: &RangeEvent) {
        self.look();
    }

    fn invalidate_range_end(&self, _: &RangeEvent) {
        self.look();
    }
}

#[test]
fn starts_and_ends_are_sent_without_the_page_table_lock() {
    let fixture = fixture(UpgradePolicy::Range);
    let watcher = Arc::new(LockWatcher {
        space: Arc::clone(&fixture.mirror.space),
        free: Mutex::default(),
    });
    let _subscription = fixture
        .mirror
        .space
        .register_ranges(watcher.clone())
        .unwrap();
    for permissions in [Some(RO), Some(RW), None] {
        fixture.store(permissions);
    }
    assert_eq!(*lock(&watcher.free), [true; 4]);
}

#[test]
fn what_is_made_counts_and_not_what_was_announced() {
    let fixture = fixture(UpgradePolicy::SecondaryTlb);
    let window = fixture.mirror.prepare(fixture.write(Some(RO))).unwrap();
    let other = fixture.write(Some(RW));
    let ram = &fixture.mirror.ram;
    fixture
        .mirror
        .commit(window, |_| Ok(other.make(ram)?))
        .unwrap();
    fixture.store(None);
    let findings = fixture.mirror.oracle.findings();
    assert_eq!(findings.untracked, []);
    assert_eq!(fixture.mirror.counts()[&ChangeKind::Unmap], 1);
}

/// Announced as a map; by the time it is made another has mapped the page with more, so that it is
/// a downgrade.
#[test]
fn a_change_that_became_a_revocation_reaches_range_subscribers_too() {
    let fixture = fixture(UpgradePolicy::SecondaryTlb);
    let (shadow, _subscription) = fixture.shadow();
    let late = fixture.mirror.prepare(fixture.write(Some(RO))).unwrap();
    fixture.store(Some(RW));
    let device = |access| shadow.access(Iova::shared(PAGE), access, |_| ());
    device(Access::Write).unwrap();
    fixture.commit(late);
    device(Access::Write).unwrap_err();
    assert_eq!(fixture.mirror.oracle.findings().violations, []);
    assert_eq!(shadow.counts().zapped, 1);
}

#[test]
fn a_window_that_is_never_committed_ends_its_invalidation() {
    let fixture = fixture(UpgradePolicy::SecondaryTlb);
    fixture.store(Some(RW));
    drop(fixture.mirror.prepare(fixture.write(None)).unwrap());
    let sent = fixture.mirror.space.notifications().unwrap();
    assert_eq!((sent.range_start, sent.range_end), (1, 1));
    assert_eq!(fixture.mirror.counts()[&ChangeKind::Unmap], 0);
}

#[test]
fn a_write_outside_the_pool_is_refused() {
    let fixture = fixture(UpgradePolicy::None);
    let write = PageTableWrite::new(Gpa::new(0), &[0; 8]).unwrap();
    let refused = fixture.mirror.prepare(write).err();
    assert!(matches!(refused, Some(MirrorError::OutsidePool { .. })));
}
