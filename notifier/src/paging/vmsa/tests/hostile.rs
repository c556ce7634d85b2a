//! Any bits as an entry, any bytes as tables.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::addr::Access;
use crate::paging::{FlatMemory, Malformed, NoMemory, TableMemory, TableMemoryMut, walk};

/// Counts the entries that are read.
struct Counted {
    memory: FlatMemory,
    reads: AtomicUsize,
}

impl TableMemory for Counted {
    fn read_entry(&self, address: Gpa) -> Result<u64, NoMemory> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.memory.read_entry(address)
    }
}

proptest! {
    /// Whatever decodes as a leaf encodes to an entry that says the same.
    #[test]
    fn decoding_loses_nothing(format in any_format(), entry: u64, level in 0..4u8) {
        if let Some(said) = leaf(&*format, entry, Level(level)) {
            let level = Level(level);
            // Above the root there is no table for it to stand in.
            prop_assume!(level <= format.root());
            let again = format.encode_leaf(&said).unwrap();
            prop_assert_eq!(leaf(&*format, again, level), Some(said));
            prop_assert_eq!(format.encode_leaf(&said), Ok(again));
        }
    }

    #[test]
    fn no_entry_is_too_much(format in any_format(), entry: u64, level: u8) {
        let level = Level(level);
        let meaning = format.decode(entry, level);
        let address_size = matches!(meaning, Err(Malformed::AddressSize { .. }));
        prop_assert!(meaning.is_ok() || address_size);
        let _ = (format.contiguous_span(level), format.span(level), format.entries(level));
    }

    /// Hardware's marks add to what was allowed, and keep DBM and the address.
    #[test]
    fn marks_never_take_away(format in any_format(), entry: u64, level in 0..4u8) {
        let level = Level(level);
        let read = format.marked(entry, Access::Read);
        let written = format.marked(entry, Access::Write);
        prop_assert_eq!(read, entry | 1 << 10);
        prop_assert_eq!(format.marked(written, Access::Write), written);
        if let Some(old) = leaf(&*format, entry, level) {
            let new = leaf(&*format, written, level).unwrap();
            let managed = old.hints.contains(LeafHints::DIRTY_MANAGED);
            prop_assert_eq!(new.hints, old.hints);
            prop_assert_eq!(new.output, old.output);
            prop_assert!(new.accessed && new.permissions.contains(old.permissions));
            prop_assert_eq!(new.dirty, old.dirty || managed);
        }
    }

    #[test]
    fn random_memory_is_walked_in_as_many_steps_as_there_are_levels(
        format in any_format(),
        words in prop::collection::vec(any::<u64>(), 512),
        root in 0..64u64,
        address: u64,
    ) {
        let memory = FlatMemory::new(0x10_0000);
        for (at, word) in (0..0x10_0000).step_by(8).zip(words.into_iter().cycle()) {
            // Tables in memory, so that walks go on; now and then anything.
            let entry = if word % 8 == 0 { word } else { word & 0xf_f000 | 3 };
            memory.write_entry(Gpa::new(at), entry).unwrap();
        }
        let memory = Counted { memory, reads: AtomicUsize::new(0) };
        let address = format.canonical(address);
        let _ = walk(&*format, &memory, Gpa::new(root * 8), address);
        let reads = memory.reads.into_inner();
        prop_assert!(reads >= 1 && reads <= usize::from(format.root().0) + 1);
    }
}
