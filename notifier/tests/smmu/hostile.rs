//! The targets, with the corpus and with random bytes.

use std::path::Path;

use proptest::prelude::*;

use crate::cases::cases;
use crate::targets::{command_queue, structures, walker};

/// Files of the corpus for one target, each named for what it shows.
fn corpus(name: &str, target: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smmu/corpus");
    let files = std::fs::read_dir(directory.join(name)).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let run = std::panic::catch_unwind(|| target(&bytes));
        assert!(run.is_ok(), "{}", file.display());
    }
}

#[test]
fn the_corpus_of_the_walker() {
    corpus("walker", walker);
}

#[test]
fn the_corpus_of_the_structures() {
    corpus("structures", structures);
}

#[test]
fn the_corpus_of_the_command_queue() {
    corpus("command-queue", command_queue);
}

/// A word that is likely to lead on, as a table or a page: an address in memory or a little past it, low
/// bits that say so in every format, and high bits that take permissions away.
fn word() -> impl Strategy<Value = u64> {
    let near = (0..0x14_u64, 0..0x1000_u64).prop_map(|(page, bits)| page << 12 | bits);
    let low = prop::sample::select(vec![0x467_u64, 0x407, 0x4e7, 0x7, 0x67]);
    let high = prop_oneof![Just(0), any::<u64>()];
    let table = (0..0x14_u64, low, high);
    let table = table.prop_map(|(page, low, high)| page << 12 | low | (high & 0xfff) << 52);
    prop_oneof![6 => table, 1 => near, 1 => any::<u64>(), 1 => Just(0)]
}

fn bytes(words: Vec<u64>) -> Vec<u8> {
    words.into_iter().flat_map(u64::to_le_bytes).collect()
}

/// So many words in front, and pages that are full of one word each, as tables that lead on are.
fn input(front: usize) -> impl Strategy<Value = Vec<u8>> {
    let front = prop::collection::vec(word(), front);
    let pages = prop::collection::vec((word(), any::<bool>()), 0..17);
    let noise = prop::collection::vec(word(), 64);
    (front, pages, noise).prop_map(|(front, pages, noise)| {
        let page = |(word, plain): (u64, bool)| match plain {
            true => vec![word; 512],
            false => noise.iter().copied().cycle().take(512).collect(),
        };
        bytes(
            front
                .into_iter()
                .chain(pages.into_iter().flat_map(page))
                .collect(),
        )
    })
}

/// A stream table and context descriptors that are valid more often than random ones.
fn configured() -> impl Strategy<Value = Vec<u8>> {
    let config = prop::sample::select(vec![0xb_u64, 0xd, 0xf, 0x9]);
    let ste = (config, any::<u64>(), word(), word()).prop_map(|(config, second, third, fourth)| {
        let second = second & !(3 << 30);
        let third = third & 0xffff | 0x0008_0000_0000_0000 | (16 | 2 << 6) << 32;
        [
            config | 0x1000,
            second,
            third | 1 << 58,
            fourth & !0xfff,
            0,
            0,
            0,
            0,
        ]
    });
    let cd = (any::<u64>(), word(), word()).prop_map(|(first, low, high)| {
        let valid = 1 << 31 | 5 << 32 | 1 << 41 | 16 | 16 << 16 | 2 << 22;
        [
            valid | first & (0xff_u64 << 40 | 1 << 30 | 1 << 14),
            low,
            high,
            0,
            0,
            0,
            0,
            0,
        ]
    });
    let rest = input(0);
    (ste, cd, word(), rest).prop_map(|(ste, cd, address, rest)| {
        let page = |words: [u64; 8]| words.repeat(64);
        let front = [vec![0, 2, address], page(ste), page(cd)].concat();
        [bytes(front), rest].concat()
    })
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_bytes_are_tables(choices: u64, data in input(3)) {
        walker(&[&choices.to_le_bytes()[..], &data].concat());
    }

    #[test]
    fn any_bytes_are_structures(data in input(3)) {
        structures(&data);
    }

    #[test]
    fn any_bytes_are_structures_that_lead_on(data in configured()) {
        structures(&data);
    }

    #[test]
    fn any_bytes_are_registers_and_queues(data in input(24)) {
        command_queue(&data);
    }

    #[test]
    fn any_bytes_are_commands(opcodes in prop::collection::vec((any::<u8>(), word(), word()), 0..40)) {
        let front = [5, 0x1005, 0x2005, 0x3000, 2, opcodes.len() as u64, 0];
        let command = |(opcode, low, high): &(u8, u64, u64)| {
            [low & !0xff | u64::from(opcode & 0x4f), *high]
        };
        let commands: Vec<_> = opcodes.iter().flat_map(command).collect();
        command_queue(&[bytes(front.to_vec()), vec![0], bytes(commands)].concat());
    }
}
