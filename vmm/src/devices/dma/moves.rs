//! What an access does to memory.

use guest::abi::pattern;
use notifier::addr::{Access, Gpa, PageSize};

use super::request::Refusal;
use crate::memory::Ram;

/// The most that one access moves.
const PAGE: usize = 4096;
const _: () = assert!(PAGE as u64 == PageSize::K4.bytes());

/// An access: which words of a transfer it moves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) access: Access,
    /// Bytes, a multiple of 8, at most a page.
    pub(super) length: u64,
    /// The number of its first word in the transfer.
    pub(super) first: u64,
    /// Of the pattern that is written.
    pub(super) seed: u64,
}

impl Chunk {
    /// Moves it to or from `target`, and returns the checksum with what was read.
    pub(super) fn make(&self, ram: &Ram, target: Gpa, checksum: u64) -> Result<u64, Refusal> {
        match self.access {
            Access::Read => self.read(ram, target, checksum),
            Access::Write => self.write(ram, target).map(|()| checksum),
        }
    }

    /// The checksum where nothing is moved: what is read is zero, what is written is lost.
    pub(super) fn terminate(&self, checksum: u64) -> u64 {
        match self.access {
            Access::Read => (0..self.length / 8).fold(checksum, |sum, _| pattern::fold(sum, 0)),
            Access::Write => checksum,
        }
    }

    fn read(&self, ram: &Ram, from: Gpa, checksum: u64) -> Result<u64, Refusal> {
        let mut page = [0; PAGE];
        let bytes = &mut page[..self.bytes()];
        ram.read(from, bytes)?;
        let (words, _) = bytes.as_chunks::<8>();
        let fold = |sum, word: &[u8; 8]| pattern::fold(sum, u64::from_le_bytes(*word));
        Ok(words.iter().fold(checksum, fold))
    }

    fn write(&self, ram: &Ram, to: Gpa) -> Result<(), Refusal> {
        if ram.is_page_table(to, self.length) {
            return Err(Refusal::PageTable(to));
        }
        let mut page = [0; PAGE];
        let bytes = &mut page[..self.bytes()];
        let (words, _) = bytes.as_chunks_mut::<8>();
        for (index, word) in (self.first..).zip(words) {
            *word = pattern::word(self.seed, index).to_le_bytes();
        }
        Ok(ram.write(to, bytes)?)
    }

    fn bytes(&self) -> usize {
        usize::try_from(self.length).map_or(PAGE, |length| length.min(PAGE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminated_read_is_one_of_zeros() {
        let chunk = Chunk {
            access: Access::Read,
            length: 16,
            first: 0,
            seed: 0,
        };
        let zeros = pattern::fold(pattern::fold(5, 0), 0);
        assert_eq!(chunk.terminate(5), zeros);
        let write = Chunk {
            access: Access::Write,
            ..chunk
        };
        assert_eq!(write.terminate(5), 5);
    }
}
