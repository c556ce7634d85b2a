//! The builder: page tables written into memory before anybody walks them.

use super::format::{index, slot, table_size};
use super::{Format, Leaf, Level, Malformed, Meaning, NoMemory, TableMemoryMut};
use crate::addr::{AddrRange, Address, Gpa, Gva, PageSize};

/// Builds one tree of tables in a pool of memory.
pub struct Builder<'a, M> {
    format: &'a dyn Format,
    memory: &'a M,
    pool: AddrRange<Gpa>,
    next: Gpa,
    root: Gpa,
}

/// Why a mapping could not be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Every table of the pool is in use.
    #[error("the page-table pool {0} is used up")]
    PoolUsedUp(AddrRange<Gpa>),
    /// The address is not that of a page of this size.
    #[error("{address} is not a multiple of {size}")]
    Misaligned {
        /// The address.
        address: Gva,
        /// The page size.
        size: PageSize,
    },
    /// The address is not one that the format translates.
    #[error("{0} is not a canonical address")]
    NotCanonical(Gva),
    /// No level of the format has pages of this size.
    #[error("the format has no pages of {0}")]
    NoSuchSize(PageSize),
    /// Something is mapped there already.
    #[error("something is mapped at {0} already")]
    Taken(Gva),
    /// The format can't say what was asked for.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A table would stand outside memory.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
}

impl<'a, M: TableMemoryMut> Builder<'a, M> {
    /// Starts a tree, the root its first table, in `pool`, which nothing else uses.
    ///
    /// # Errors
    /// [`BuildError`] if the pool has no room or no memory.
    pub fn new(
        format: &'a dyn Format,
        memory: &'a M,
        pool: AddrRange<Gpa>,
    ) -> Result<Self, BuildError> {
        let mut builder = Self {
            format,
            memory,
            pool,
            next: pool.start(),
            root: pool.start(),
        };
        builder.root = builder.allocate(format.root())?;
        Ok(builder)
    }

    /// Address of the root table.
    pub fn root(&self) -> Gpa {
        self.root
    }

    /// Maps the page at `address` as `leaf` says.
    ///
    /// # Errors
    /// [`BuildError`] if the address does not fit the page, something is there, or the pool is
    /// used up. Tables that were needed on the way stay.
    pub fn map(&mut self, address: Gva, leaf: &Leaf) -> Result<(), BuildError> {
        let slot = self.slot(address, leaf.size)?;
        if self.memory.read_entry(slot)? != 0 {
            return Err(BuildError::Taken(address));
        }
        let entry = self.format.encode_leaf(leaf)?;
        Ok(self.memory.write_entry(slot, entry)?)
    }

    /// Where the entry of the page of this size at `address` stands, with all tables on the way to
    /// it built and the entry itself left as it is.
    ///
    /// # Errors
    /// As for [`map`](Self::map).
    pub fn slot(&mut self, address: Gva, size: PageSize) -> Result<Gpa, BuildError> {
        self.check(address, size)?;
        let (mut table, mut level) = (self.root, self.format.root());
        while self.format.span(level) != size {
            table = self.descend(table, level, address)?;
            level = level.below().ok_or(BuildError::NoSuchSize(size))?;
        }
        Ok(slot(table, index(self.format, level, address)))
    }

    fn check(&self, address: Gva, size: PageSize) -> Result<(), BuildError> {
        if !self.format.is_canonical(address) {
            return Err(BuildError::NotCanonical(address));
        }
        if !address.is_aligned(size) {
            return Err(BuildError::Misaligned { address, size });
        }
        Ok(())
    }

    /// The table below `table` on the way to `address`, made if there is none.
    fn descend(&mut self, table: Gpa, level: Level, address: Gva) -> Result<Gpa, BuildError> {
        let slot = slot(table, index(self.format, level, address));
        match self.format.decode(self.memory.read_entry(slot)?, level)? {
            Meaning::Table { next, .. } => Ok(next),
            Meaning::Leaf(_) => Err(BuildError::Taken(address)),
            Meaning::NotPresent => {
                let below = level.below().ok_or(BuildError::Taken(address))?;
                let next = self.allocate(below)?;
                let entry = self.format.encode_table(next);
                self.memory.write_entry(slot, entry)?;
                Ok(next)
            }
        }
    }

    /// The next unused table of the pool, zeroed and aligned to its size.
    fn allocate(&mut self, level: Level) -> Result<Gpa, BuildError> {
        let size = table_size(self.format, level);
        let used_up = BuildError::PoolUsedUp(self.pool);
        let start = self.next.raw().checked_next_multiple_of(size);
        let start = start.map(Gpa::new).ok_or(used_up)?;
        let table = AddrRange::from_length(start, size).map_err(|_| used_up)?;
        if !self.pool.covers(table) {
            return Err(used_up);
        }
        for index in 0..self.format.entries(level) {
            self.memory.write_entry(slot(start, index), 0)?;
        }
        self.next = start.checked_add(size).ok_or(used_up)?;
        Ok(start)
    }
}

#[cfg(test)]
mod tests {
    use super::super::x86_64::X86_64;
    use super::super::{FlatMemory, walk};
    use super::*;
    use crate::addr::Permissions;

    const FORMAT: X86_64 = X86_64::four_level(40);

    fn pool(pages: u64) -> AddrRange<Gpa> {
        AddrRange::from_length(Gpa::new(0x1000), pages * 0x1000).unwrap()
    }

    fn page(output: u64, size: PageSize) -> Leaf {
        Leaf::page(Gpa::new(output), size, Permissions::READ_WRITE)
    }

    #[test]
    fn what_is_built_is_what_a_walk_finds() {
        let memory = FlatMemory::new(0x20_000);
        let mut builder = Builder::new(&FORMAT, &memory, pool(16)).unwrap();
        let pages = [
            (0x4000_0000_0000, page(0x1_2000, PageSize::K4)),
            (0x4000_0020_0000, page(0x40_0000, PageSize::M2)),
            (0x4000_4000_0000, page(0x4000_0000, PageSize::G1)),
            (0xffff_ffff_ffff_f000, page(0x1_3000, PageSize::K4)),
        ];
        for (address, leaf) in &pages {
            builder.map(Gva::new(*address), leaf).unwrap();
        }
        for (address, leaf) in &pages {
            let found = walk(&FORMAT, &memory, builder.root(), Gva::new(*address));
            assert_eq!(found.unwrap(), *leaf);
        }
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        let memory = FlatMemory::new(0x20_000);
        let mut builder = Builder::new(&FORMAT, &memory, pool(4)).unwrap();
        let small = page(0x1_2000, PageSize::K4);
        builder.map(Gva::new(0x1000), &small).unwrap();

        let mut refuse = |address, leaf| builder.map(Gva::new(address), leaf).unwrap_err();
        assert_eq!(refuse(0x1000, &small), BuildError::Taken(Gva::new(0x1000)));
        let odd = refuse(0x2001, &small);
        assert!(matches!(odd, BuildError::Misaligned { .. }));
        let hole = refuse(1 << 47, &small);
        assert!(matches!(hole, BuildError::NotCanonical(_)));
        let full = refuse(1 << 40, &small);
        assert_eq!(full, BuildError::PoolUsedUp(pool(4)));
        let under_large = page(0x40_0000, PageSize::M2);
        assert!(matches!(refuse(0, &under_large), BuildError::Taken(_)));
    }

    #[test]
    fn a_pool_outside_memory_is_refused() {
        let memory = FlatMemory::new(0x1000);
        let built = Builder::new(&FORMAT, &memory, pool(1)).map(|builder| builder.root());
        assert!(matches!(built, Err(BuildError::NoMemory(_))));
    }
}
