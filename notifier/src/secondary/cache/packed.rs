//! Entries as words, without loss.

use super::CachedTable;
use super::sets::Words;
use super::tag::Tag;
use crate::addr::{Gpa, PageSize, Permissions};
use crate::contract::Step;
use crate::paging::{Leaf, LeafHints, Level};
use crate::secondary::Cached;

const ACCESSED: u8 = 1 << 0;
const DIRTY: u8 = 1 << 1;
const GLOBAL: u8 = 1 << 2;

pub(super) fn pack_leaf(leaf: &Leaf, filled: Step) -> Words {
    let flag = |set, bit| if set { bit } else { 0 };
    let flags = flag(leaf.accessed, ACCESSED) | flag(leaf.dirty, DIRTY) | flag(leaf.global, GLOBAL);
    let [low, high] = leaf.software.to_le_bytes();
    let attributes = u64::from_le_bytes([
        leaf.permissions.bits(),
        leaf.memory_type,
        low,
        high,
        leaf.hints.bits(),
        leaf.size.shift(),
        flags,
        0,
    ]);
    [leaf.output.raw(), attributes, filled.0]
}

#[inline]
pub(super) fn unpack_leaf(tag: Tag, [output, attributes, filled]: Words) -> Option<Cached> {
    let [permissions, memory_type, low, high, hints, shift, flags, _] = attributes.to_le_bytes();
    let leaf = Leaf {
        output: Gpa::new(output),
        size: PageSize::from_shift(shift)?,
        permissions: Permissions::from_bits_retain(permissions),
        accessed: flags & ACCESSED != 0,
        dirty: flags & DIRTY != 0,
        global: flags & GLOBAL != 0,
        memory_type,
        software: u16::from_le_bytes([low, high]),
        hints: LeafHints::from_bits_retain(hints),
    };
    let (page, filled) = (tag.page()?, Step(filled));
    Some(Cached { page, leaf, filled })
}

pub(super) fn pack_table(table: &CachedTable) -> Words {
    let [limits, level] = [table.limits.bits(), table.level.0];
    let attributes = u64::from(limits) | u64::from(level) << 8;
    [table.next.raw(), attributes, table.filled.0]
}

#[inline]
pub(super) fn unpack_table(tag: Tag, [next, attributes, filled]: Words) -> Option<CachedTable> {
    let [limits, level, ..] = attributes.to_le_bytes();
    Some(CachedTable {
        covers: tag.page()?,
        level: Level(level),
        next: Gpa::new(next),
        limits: Permissions::from_bits_retain(limits),
        filled: Step(filled),
    })
}
