//! What the guest does: programs for the payload.

use guest::abi::op::{self, Op};
use guest::abi::{dma, layout, program};
use notifier::addr::{Address, Gpa, PageSize, Permissions};
use notifier::paging::{ChangeKind, Format, Leaf};

/// Entries of a page table, and so of what one table can be written in a run.
const ENTRIES: u64 = 512;
/// A frame that is no memory: nothing that KVM could have derived anything from.
const NO_FRAME: u64 = 1 << 32;
/// An address on the devices' page where no device is.
const NO_DEVICE: u64 = layout::MMIO + 0x10_0000;

/// A page is downgraded whose frame is no memory, so that there is nothing to forget.
pub(crate) const DOWNGRADE_NO_FRAME: &str = "entry, downgrade, no frame";
/// A page is downgraded that the guest has not touched.
pub(crate) const DOWNGRADE_UNUSED: &str = "entry, downgrade, frame unused";
/// A page is downgraded that KVM holds a translation of.
pub(crate) const DOWNGRADE_IN_USE: &str = "entry, downgrade, frame in use";

/// A number of writes of one kind, after what must have happened before them.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Not measured: run on its own, its time is taken off.
    pub(crate) before: Vec<Op>,
    /// Each of them is one exit.
    pub(crate) writes: Vec<Op>,
    /// What each write is to the machine, if it is a page-table change.
    pub(crate) kind: Option<ChangeKind>,
    /// Whether the machine can go on after it; if not, there is only the bare figure.
    pub(crate) answered: bool,
}

/// Makes cases for the guest of one machine.
pub(crate) struct Cases<'a> {
    pub(crate) format: &'a dyn Format,
    /// Where the entry of the window's first page stands.
    pub(crate) slot: Gpa,
}

impl Cases<'_> {
    /// From what is least to do to what is most.
    pub(crate) fn all(&self) -> Vec<Case> {
        vec![
            plain("MMIO write, nothing there", NO_DEVICE, false),
            plain("MMIO write, device register", register(), true),
            self.case("entry, no change", None, None, None),
            self.case("entry, map", None, Some(FRAME_RW), Some(ChangeKind::Map)),
            self.case(
                "entry, upgrade",
                Some(FRAME_RO),
                Some(FRAME_RW),
                Some(ChangeKind::Upgrade),
            ),
            self.case(DOWNGRADE_NO_FRAME, Some(NONE_RW), Some(NONE_RO), DOWNGRADE),
            self.case(DOWNGRADE_UNUSED, Some(FRAME_RW), Some(FRAME_RO), DOWNGRADE),
            self.in_use(DOWNGRADE_IN_USE, FRAME_RW, FRAME_RO),
        ]
    }

    /// Every entry is `old`, then each becomes `new`.
    fn case(
        &self,
        name: &'static str,
        old: Option<Page>,
        new: Option<Page>,
        kind: Option<ChangeKind>,
    ) -> Case {
        let count = if old.is_some() {
            capacity() / 2
        } else {
            capacity()
        };
        let set = |page: Page| (0..count).map(move |number| self.set(number, Some(page)));
        let clear = (0..count).map(|number| self.set(number, None));
        Case {
            name,
            before: old.into_iter().flat_map(set).collect(),
            writes: new.map_or_else(|| clear.collect(), |new| set(new).collect()),
            kind,
            answered: true,
        }
    }

    /// As [`case`](Self::case), and the guest has loaded from each page under the old entry.
    fn in_use(&self, name: &'static str, old: Page, new: Page) -> Case {
        let count = capacity() / 3;
        let load = |number| op(op::LOAD, layout::WINDOW + number * layout::PAGE, 8, 0);
        let before = (0..count).flat_map(|number| [self.set(number, Some(old)), load(number)]);
        Case {
            name,
            before: before.collect(),
            writes: (0..count)
                .map(|number| self.set(number, Some(new)))
                .collect(),
            kind: DOWNGRADE,
            answered: true,
        }
    }

    fn set(&self, number: u64, page: Option<Page>) -> Op {
        let slot = self
            .slot
            .checked_add(8 * number)
            .expect("it is in the pool");
        let entry = page.map_or(0, |page| {
            let entry = self.format.encode_leaf(&page.leaf(number));
            entry.expect("an ordinary page")
        });
        op(op::SET_ENTRY, slot.raw(), entry, 8)
    }
}

/// What the entry of page `n` of the window says.
#[derive(Clone, Copy)]
struct Page {
    first_frame: u64,
    frames: u64,
    permissions: Permissions,
}

const DOWNGRADE: Option<ChangeKind> = Some(ChangeKind::Downgrade);
const FRAME_RO: Page = frame(Permissions::READ_ONLY);
const FRAME_RW: Page = frame(Permissions::READ_WRITE);
const NONE_RO: Page = no_frame(Permissions::READ_ONLY);
const NONE_RW: Page = no_frame(Permissions::READ_WRITE);

const fn frame(permissions: Permissions) -> Page {
    Page {
        first_frame: layout::FRAMES,
        frames: (layout::FRAMES_END - layout::FRAMES) / layout::PAGE,
        permissions,
    }
}

const fn no_frame(permissions: Permissions) -> Page {
    Page {
        first_frame: NO_FRAME,
        frames: ENTRIES,
        permissions,
    }
}

impl Page {
    fn leaf(self, number: u64) -> Leaf {
        let frame = self.first_frame + number % self.frames * layout::PAGE;
        Leaf::page(Gpa::new(frame), PageSize::K4, self.permissions)
    }
}

/// Operations that a program has room for beside its end.
fn capacity() -> u64 {
    (program::CAPACITY - 1).min(ENTRIES)
}

fn plain(name: &'static str, address: u64, answered: bool) -> Case {
    Case {
        name,
        before: Vec::new(),
        writes: (0..capacity())
            .map(|_| op(op::STORE, address, 0, 8))
            .collect(),
        kind: None,
        answered,
    }
}

fn register() -> u64 {
    dma::register(0, dma::DESCRIPTOR)
}

fn op(code: u64, a: u64, b: u64, c: u64) -> Op {
    Op { code, a, b, c }
}
