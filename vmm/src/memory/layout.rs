//! The machine's memory map, checked before anything is put into it.

use guest::abi::{layout, litmus};
use notifier::addr::{AddrRange, Address, Gpa, PageSize, RangeError};

/// What the user decides about memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryConfig {
    /// Bytes of guest memory, from guest-physical address 0 on.
    pub size: u64,
    /// Where the page-table pool begins.
    pub page_tables: Gpa,
}

impl Default for MemoryConfig {
    /// 16 MiB, the pool at its usual place.
    fn default() -> Self {
        Self {
            size: 16 << 20,
            page_tables: Gpa::new(layout::PAGE_TABLES),
        }
    }
}

/// A memory map whose parts fit and do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    memory: AddrRange<Gpa>,
    page_tables: AddrRange<Gpa>,
}

/// Why a memory map is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Too little, too much, or not whole pages.
    #[error(
        "guest memory of {size} bytes: it takes whole pages, {min} MiB to {max} MiB of them",
        min = minimum >> 20, max = maximum >> 20
    )]
    Size {
        /// What was asked for.
        size: u64,
        /// The least.
        minimum: u64,
        /// The most.
        maximum: u64,
    },
    /// The pool does not begin on a page, or wraps.
    #[error("the page-table pool can't begin at {0}: it begins on a page and ends in memory")]
    Misplaced(Gpa),
    /// The pool reaches past memory.
    #[error("the page-table pool {pool} reaches past the end of memory {memory}")]
    PoolOutside {
        /// The pool.
        pool: AddrRange<Gpa>,
        /// The memory.
        memory: AddrRange<Gpa>,
    },
    /// The pool lies on something else.
    #[error("the page-table pool {pool} overlaps {what} {range}")]
    PoolOverlaps {
        /// The pool.
        pool: AddrRange<Gpa>,
        /// What it lies on.
        what: &'static str,
        /// Where that is.
        range: AddrRange<Gpa>,
    },
    /// The pool could not be reached through the payload's identity map.
    #[error("the page-table pool {0} lies beyond what the payload maps")]
    PoolUnreachable(AddrRange<Gpa>),
    /// A fixed area is not a range.
    #[error(transparent)]
    Range(#[from] RangeError),
}

/// The fixed areas that the pool must keep clear of.
const FIXED: [(&str, u64, u64); 6] = [
    ("the payload image", layout::IMAGE, layout::IMAGE_END),
    ("the system tables", layout::SYSTEM, layout::SYSTEM_END),
    ("the programs", layout::PROGRAMS, layout::SHARED_END),
    (
        "the SMMU driver's tables",
        layout::SMMU_TABLES,
        layout::SMMU_TABLES_END,
    ),
    ("the scenario's frames", layout::FRAMES, layout::FRAMES_END),
    ("the bytecode", litmus::LITMUS, litmus::LITMUS_END),
];

impl Layout {
    /// Checks a memory map.
    ///
    /// # Errors
    /// [`LayoutError`] says what does not fit.
    pub fn new(config: &MemoryConfig) -> Result<Self, LayoutError> {
        let memory = check_size(config.size)?;
        let bytes = layout::PAGE_TABLE_PAGES * layout::PAGE;
        let pool = AddrRange::from_length(config.page_tables, bytes)
            .ok()
            .filter(|pool| pool.start().is_aligned(PageSize::K4))
            .ok_or(LayoutError::Misplaced(config.page_tables))?;
        if !memory.covers(pool) {
            return Err(LayoutError::PoolOutside { pool, memory });
        }
        if pool.last().raw() >= layout::IDENTITY_END {
            return Err(LayoutError::PoolUnreachable(pool));
        }
        for (what, start, end) in FIXED {
            let range = AddrRange::new(Gpa::new(start), Gpa::new(end))?;
            if pool.overlaps(range) {
                return Err(LayoutError::PoolOverlaps { pool, what, range });
            }
        }
        Ok(Self {
            memory,
            page_tables: pool,
        })
    }

    /// All of guest memory.
    pub fn memory(&self) -> AddrRange<Gpa> {
        self.memory
    }

    /// The page-table pool.
    pub fn page_tables(&self) -> AddrRange<Gpa> {
        self.page_tables
    }
}

fn check_size(size: u64) -> Result<AddrRange<Gpa>, LayoutError> {
    let (minimum, maximum) = (layout::MINIMUM_MEMORY, layout::MAXIMUM_MEMORY);
    if !(minimum..=maximum).contains(&size) || !size.is_multiple_of(layout::PAGE) {
        return Err(LayoutError::Size {
            size,
            minimum,
            maximum,
        });
    }
    Ok(AddrRange::from_length(Gpa::new(0), size)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_pool(at: u64) -> Result<Layout, LayoutError> {
        let page_tables = Gpa::new(at);
        Layout::new(&MemoryConfig {
            page_tables,
            ..MemoryConfig::default()
        })
    }

    #[test]
    fn the_usual_map_fits() {
        assert!(Layout::new(&MemoryConfig::default()).is_ok());
    }

    #[test]
    fn sizes_that_make_no_machine_are_refused() {
        for size in [0, 1, 0x1000, layout::MINIMUM_MEMORY + 1, u64::MAX] {
            let config = MemoryConfig {
                size,
                ..MemoryConfig::default()
            };
            let refused = Layout::new(&config);
            assert!(
                matches!(refused, Err(LayoutError::Size { .. })),
                "{size:#x}"
            );
        }
    }

    #[test]
    fn a_pool_on_anything_else_is_refused() {
        for (what, start, end) in FIXED {
            for at in [start, end - layout::PAGE] {
                let refused = with_pool(at).unwrap_err();
                assert!(refused.to_string().contains(what), "{refused}");
            }
        }
    }

    #[test]
    fn a_pool_outside_memory_or_off_a_page_is_refused() {
        let outside = with_pool(16 << 20);
        assert!(matches!(outside, Err(LayoutError::PoolOutside { .. })));
        assert!(matches!(
            with_pool(0x40_0001),
            Err(LayoutError::Misplaced(_))
        ));
        assert!(matches!(with_pool(!0xfff), Err(LayoutError::Misplaced(_))));
    }
}
