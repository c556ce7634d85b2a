//! The scenario's pages: where they are, and how entries for them look. Page `number` of the
//! window maps frame `number` wherever a test does not say otherwise.

use guest::abi::layout::{FRAMES, PAGE, WINDOW};
use notifier::addr::{Gpa, Gva, PageSize, Permissions};
use notifier::paging::{Leaf, Level, Meaning, TableMemory};
use vmm::machine::Machine;

/// Guest-virtual and I/O-virtual address of a page.
pub const fn address(number: u64) -> u64 {
    WINDOW + number * PAGE
}

/// Guest-physical address of a frame.
pub const fn frame(number: u64) -> u64 {
    FRAMES + number * PAGE
}

/// Where a page's entry stands.
///
/// # Panics
/// If the machine has no entry for it.
pub fn slot(machine: &Machine, number: u64) -> u64 {
    let slot = machine.window_slot(number);
    slot.expect("the window has this page").raw()
}

/// An entry for page `number`.
///
/// # Panics
/// If the format can't say it.
pub fn entry(machine: &Machine, number: u64, permissions: Permissions) -> u64 {
    encode(machine, &leaf(frame(number), PageSize::K4, permissions))
}

/// A page at `output` that is marked as used, and as written if it can be, so that no walker needs
/// to mark it.
pub fn leaf(output: u64, size: PageSize, permissions: Permissions) -> Leaf {
    Leaf::page(Gpa::new(output), size, permissions)
}

/// An entry that says `leaf`.
///
/// # Panics
/// If the format can't say it.
pub fn encode(machine: &Machine, leaf: &Leaf) -> u64 {
    let entry = machine.format().encode_leaf(leaf);
    entry.expect("the format has such pages")
}

/// An entry for page `number` that allows loads.
pub fn read_only(machine: &Machine, number: u64) -> u64 {
    entry(machine, number, Permissions::READ_ONLY)
}

/// An entry for page `number` that allows loads and stores.
pub fn read_write(machine: &Machine, number: u64) -> u64 {
    entry(machine, number, Permissions::READ_WRITE)
}

/// A large page over the whole window, with a bit set that is reserved in large pages whatever the
/// processor's physical address width: where its entry stands, and the entry.
///
/// # Panics
/// If the tables don't lead there.
pub fn malformed(machine: &Machine) -> (u64, u64) {
    const RESERVED: u64 = 1 << 13;

    let large = leaf(0x40_0000, PageSize::M2, Permissions::READ_ONLY);
    let slot = slot_at(machine, address(0), 1);
    (slot, encode(machine, &large) | RESERVED)
}

/// Where the entry for `address` stands in the table at `level`, by a walk from the root.
///
/// # Panics
/// If the walk does not reach that level.
pub fn slot_at(machine: &Machine, address: u64, level: u8) -> u64 {
    let format = &**machine.format();
    // The root is the first table that a machine builds.
    let mut table = machine.ram().layout().page_tables().start();
    let mut at = format.root();
    loop {
        let page = Gva::new(address).raw() >> format.span(at).shift();
        let slot = table.raw() + 8 * (page % format.entries(at) as u64);
        if at == Level(level) {
            return slot;
        }
        let entry = machine.ram().read_entry(Gpa::new(slot));
        let meaning = format.decode(entry.expect("tables are in memory"), at);
        let Ok(Meaning::Table { next, .. }) = meaning else {
            panic!("the walk to {address:#x} ends at {at}");
        };
        table = next;
        at = at.below().expect("level 0 has no tables");
    }
}
