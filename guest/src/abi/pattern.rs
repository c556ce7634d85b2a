//! Test data that both sides and the device can make and check without talking to each other.

/// The word at `index` (in words, from 0) of the pattern with this seed. The function is the
/// output step of splitmix64, so neighbouring seeds and indices share nothing.
pub const fn word(seed: u64, index: u64) -> u64 {
    let mut x = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Folds one more word into a checksum that starts at 0. The order of words matters.
pub const fn fold(checksum: u64, word: u64) -> u64 {
    checksum.rotate_left(5) ^ word
}

/// Checksum of the first `words` words of a pattern.
pub const fn checksum(seed: u64, words: u64) -> u64 {
    let mut sum = 0;
    let mut index = 0;
    while index < words {
        sum = fold(sum, word(seed, index));
        index += 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_are_those_of_splitmix64() {
        // The generator's own first outputs for the seed 0.
        assert_eq!(word(0, 0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(word(0, 1), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(word(0, 2), 0x06c4_5d18_8009_454f);
    }

    #[test]
    fn neighbouring_seeds_and_indices_share_no_word() {
        let words: HashSet<u64> = (0..64)
            .flat_map(|seed| (0..64).map(move |index| word(seed, index)))
            .collect();
        assert_eq!(words.len(), 64 * 64);
    }

    #[test]
    fn a_checksum_is_the_fold_of_the_words() {
        assert_eq!(checksum(7, 0), 0);
        let folded = (0..100).map(|index| word(7, index)).fold(0, fold);
        assert_eq!(checksum(7, 100), folded);
    }

    #[test]
    fn a_checksum_sees_one_changed_bit_and_two_exchanged_words() {
        let sum = |words: &[u64]| words.iter().copied().fold(0, fold);
        let words: Vec<u64> = (0..16).map(|index| word(1, index)).collect();
        let mut changed = words.clone();
        changed[5] ^= 1;
        assert_ne!(sum(&changed), sum(&words));
        changed.clone_from(&words);
        changed.swap(3, 4);
        assert_ne!(sum(&changed), sum(&words));
    }
}
