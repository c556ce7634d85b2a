//! The pages that the host takes and gives back, as the vCPUs reach them and as the device does.

use std::ops::Range;

use guest::abi::layout::{FRAMES, FRAMES_END, MAX_VCPUS, PAGE};
use notifier::addr::{AddrRange, Gpa, PageSize};
use notifier::paging::TableMemory;
use vm_memory::{GuestAddress, GuestMemoryBackend};

use super::PrimaryError;
use crate::memory::{OutsideMemory, Ram};

/// The most pages there can be.
pub const MOST_PAGES: u64 = (FRAMES_END - FRAMES) / PAGE;

/// The word of a page in which the device counts; below it, one for each vCPU.
#[expect(clippy::cast_possible_truncation, reason = "a handful")]
const DEVICE: usize = MAX_VCPUS as usize;

/// Bytes in a page.
#[expect(clippy::cast_possible_truncation, reason = "less than a word")]
pub(super) const BYTES: usize = PAGE as usize;

/// The words of a page in which somebody counts: one for each vCPU, and the device's.
pub(super) type Words = [u64; DEVICE + 1];

/// The pages.
pub(super) struct Frames {
    /// What KVM has of the host, and so the vCPUs.
    mapped: Ram,
    /// Memory itself: where DMA goes once the SMMU has let it through.
    memory: Ram,
    count: u64,
}

impl Frames {
    /// The first `count` of the frames that scenarios use.
    pub(super) fn new(ram: &Ram, count: u64) -> Result<Self, PrimaryError> {
        if !(1..=MOST_PAGES).contains(&count) {
            return Err(PrimaryError::Pages(count));
        }
        let memory = ram.alias().map_err(PrimaryError::system("mmap"))?;
        let frames = Self {
            mapped: ram.clone(),
            memory,
            count,
        };
        for page in 0..count {
            frames.write(page, &[0; BYTES])?;
        }
        Ok(frames)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// All of them.
    pub(super) fn all(&self) -> Range<u64> {
        0..self.count
    }

    /// The vCPUs' mapping of guest memory.
    pub(super) fn mapped(&self) -> &Ram {
        &self.mapped
    }

    /// First address of a page.
    pub(super) fn address(&self, page: u64) -> Gpa {
        Gpa::new(FRAMES + page * PAGE)
    }

    /// The page at an address, if it is one of them.
    pub(super) fn at(&self, address: Gpa) -> Option<u64> {
        let page = address.raw().checked_sub(FRAMES)? / PAGE;
        (page < self.count).then_some(page)
    }

    /// The addresses of these pages, which are at least one.
    pub(super) fn addresses(&self, pages: &Range<u64>) -> AddrRange<Gpa> {
        let first = AddrRange::page(self.address(pages.start), PageSize::K4);
        let last = self.address(pages.end.saturating_sub(1).max(pages.start));
        first.hull(AddrRange::page(last, PageSize::K4))
    }

    /// Where the host has these pages for the vCPUs, and how many bytes of them.
    pub(super) fn host(&self, pages: &Range<u64>) -> Result<(usize, usize), PrimaryError> {
        let start = self.address(pages.start);
        let length = BYTES * usize::try_from(pages.end - pages.start).unwrap_or(0);
        let nowhere = OutsideMemory {
            address: start,
            length,
        };
        let memory = self.mapped.backend();
        let place = memory.get_slice(GuestAddress(start.raw()), length);
        let place = place.map_err(|_| nowhere)?;
        Ok((place.ptr_guard().as_ptr().expose_provenance(), length))
    }

    /// What stands in a page, whatever the host lets the vCPUs do.
    pub(super) fn read(&self, page: u64) -> Result<Box<[u8; BYTES]>, PrimaryError> {
        let mut bytes = Box::new([0; BYTES]);
        self.memory.read(self.address(page), &mut bytes[..])?;
        Ok(bytes)
    }

    fn write(&self, page: u64, bytes: &[u8]) -> Result<(), PrimaryError> {
        Ok(self.memory.write(self.address(page), bytes)?)
    }

    /// The words in which the vCPUs and the device count.
    pub(super) fn words(&self, page: u64) -> Result<Words, PrimaryError> {
        let mut words = Words::default();
        for (index, word) in (0..).zip(&mut words) {
            *word = self.memory.read_entry(word_at(self.address(page), index))?;
        }
        Ok(words)
    }

    /// The device adds 1 to its word of the page at `page`, which the SMMU led it to.
    pub(super) fn count_one(&self, page: Gpa) -> Result<(), PrimaryError> {
        let at = word_at(page, DEVICE as u64);
        let word = self.memory.read_entry(at)?;
        Ok(self.memory.publish(at, word.wrapping_add(1))?)
    }

    /// The device's word of those of a page.
    pub(super) fn device(words: &Words) -> u64 {
        words[DEVICE]
    }

    /// Where vCPU `index` counts in the first page.
    pub(super) fn vcpu_word(&self, index: u64) -> Gpa {
        word_at(self.address(0), index)
    }
}

fn word_at(page: Gpa, index: u64) -> Gpa {
    Gpa::new(page.raw() + 8 * index)
}
