//! Which levels there are, how large their tables are, and what kind a descriptor is.

use super::descriptor::Descriptor;
use super::{Granule, InputSize, OutputSize};
use crate::addr::{Gpa, PageSize};
use crate::paging::{Level, Malformed};

/// What stage 1 and stage 2 have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Geometry {
    granule: Granule,
    input: InputSize,
    output: OutputSize,
    root: Level,
}

/// No table tree of this start level translates addresses of this size: the first table would have
/// no more than one entry, or be more than sixteen tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a walk of {bits}-bit addresses can't start at Arm's level {start} with a {granule} granule"
)]
pub struct StartLevelError {
    /// Size of a page.
    pub granule: PageSize,
    /// Bits of an input address.
    pub bits: u8,
    /// The start level in Arm's numbering, 0 to 3.
    pub start: u8,
}

/// What the low two bits of a descriptor make of it (D8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Invalid,
    Table,
    /// A block or page of this size.
    Leaf(PageSize),
}

impl Geometry {
    /// The tables of stage 1: as few levels as resolve the input address (D8.2).
    pub(super) fn stage1(granule: Granule, input: InputSize, output: OutputSize) -> Self {
        let upper = [Level(1), Level(2), Level(3)].into_iter().rev();
        let needed = |level: &Level| input.bits() > granule.shift(*level);
        let root = upper.into_iter().find(needed).unwrap_or(Level(0));
        Self {
            granule,
            input,
            output,
            root,
        }
    }

    /// The tables of stage 2, whose first one may be up to sixteen tables in a row (D8.2.2).
    pub(super) fn stage2(
        granule: Granule,
        input: InputSize,
        output: OutputSize,
        root: Level,
    ) -> Result<Self, StartLevelError> {
        const CONCATENATED: u8 = 4;
        let resolved = input.bits().saturating_sub(granule.shift(root));
        if resolved == 0 || resolved > granule.stride() + CONCATENATED || root.0 > 3 {
            return Err(StartLevelError {
                granule: granule.page(),
                bits: input.bits(),
                start: 3u8.saturating_sub(root.0),
            });
        }
        Ok(Self {
            granule,
            input,
            output,
            root,
        })
    }

    pub(super) fn root(&self) -> Level {
        self.root
    }

    pub(super) fn input(&self) -> InputSize {
        self.input
    }

    pub(super) fn span(&self, level: Level) -> PageSize {
        PageSize::from_shift(self.granule.shift(level)).unwrap_or(PageSize::K4)
    }

    pub(super) fn entries(&self, level: Level) -> usize {
        let bits = if level >= self.root {
            self.input.bits() - self.granule.shift(self.root)
        } else {
            self.granule.stride()
        };
        1 << bits
    }

    /// What whole contiguous groups at `level` span; none where a small first table has no room
    /// for one: what hardware does with the bit there is its choice (D8.7.1.3).
    pub(super) fn contiguous_span(&self, level: Level) -> Option<PageSize> {
        let group = self.granule.contiguous_shift(level)?;
        let fits = self.entries(level) >> group > 0;
        let size = PageSize::from_shift(self.granule.shift(level) + group);
        size.filter(|_| fits)
    }

    pub(super) fn kind(&self, descriptor: Descriptor, level: Level) -> Kind {
        let leaf = Kind::Leaf(self.span(level));
        let upper = descriptor.contains(Descriptor::TABLE_OR_PAGE);
        match (descriptor.contains(Descriptor::VALID), upper) {
            (true, true) if level == Level(0) => leaf,
            (true, true) => Kind::Table,
            (true, false) if self.granule.has_blocks(level) => leaf,
            _ => Kind::Invalid,
        }
    }

    /// The descriptor of the table at `next`, without attributes.
    pub(super) fn table(&self, next: Gpa) -> u64 {
        let address = Descriptor::new(next.raw()).address(self.granule.page().shift());
        (Descriptor::new(address) | Descriptor::VALID | Descriptor::TABLE_OR_PAGE).raw()
    }

    /// Where a table descriptor leads.
    pub(super) fn next(&self, entry: u64, level: Level) -> Result<Gpa, Malformed> {
        self.output(entry, level, self.granule.page())
    }

    /// The address in `entry`, a multiple of `size`; bits below it are zero or ignored.
    pub(super) fn output(
        &self,
        entry: u64,
        level: Level,
        size: PageSize,
    ) -> Result<Gpa, Malformed> {
        let address = Descriptor::new(entry).address(size.shift());
        let output = Gpa::new(address);
        if address >> self.output.bits() == 0 {
            Ok(output)
        } else {
            Err(Malformed::AddressSize {
                entry,
                level,
                output,
            })
        }
    }

    /// Level of the table whose entries span this size, and the low bits of one that maps it.
    /// Whether the level has blocks is not asked; an entry that says one where it has none decodes
    /// as nothing.
    pub(super) fn place(&self, size: PageSize) -> Option<(Level, Descriptor)> {
        let mut levels = (0..=self.root.0).map(Level);
        let level = levels.find(|level| self.span(*level) == size)?;
        let mut bits = Descriptor::VALID;
        bits.set(Descriptor::TABLE_OR_PAGE, level == Level(0));
        Some((level, bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bits: u8) -> InputSize {
        InputSize::from_tsz(64 - bits).unwrap()
    }

    /// Start levels in Arm's numbering and sizes of the first table.
    #[test]
    fn the_input_size_decides_where_stage_1_starts() {
        let shape = |granule, bits| {
            let geometry = Geometry::stage1(granule, input(bits), OutputSize::Bits48);
            (3 - geometry.root().0, geometry.entries(geometry.root()))
        };
        assert_eq!(shape(Granule::K4, 48), (0, 512));
        assert_eq!(shape(Granule::K4, 40), (0, 2));
        assert_eq!(shape(Granule::K4, 39), (1, 512));
        assert_eq!(shape(Granule::K4, 30), (2, 512));
        assert_eq!(shape(Granule::K4, 25), (2, 16));
        assert_eq!(shape(Granule::K16, 48), (0, 2));
        assert_eq!(shape(Granule::K16, 47), (1, 2048));
        assert_eq!(shape(Granule::K16, 25), (3, 2048));
        assert_eq!(shape(Granule::K64, 48), (1, 64));
        assert_eq!(shape(Granule::K64, 42), (2, 8192));
        assert_eq!(shape(Granule::K64, 29), (3, 8192));
    }

    /// The T0SZ ranges that the manual allows each start level, in input bits.
    #[test]
    fn stage_2_starts_only_where_up_to_sixteen_tables_suffice() {
        let range = |granule, arm: u8| {
            let allowed = |bits: &u8| {
                let root = Level(3 - arm);
                Geometry::stage2(granule, input(*bits), OutputSize::Bits48, root).is_ok()
            };
            let bits: Vec<u8> = (25..=48).filter(allowed).collect();
            (bits.first().copied(), bits.last().copied(), bits.len())
        };
        assert_eq!(range(Granule::K4, 2), (Some(25), Some(34), 10));
        assert_eq!(range(Granule::K4, 1), (Some(31), Some(43), 13));
        assert_eq!(range(Granule::K4, 0), (Some(40), Some(48), 9));
        assert_eq!(range(Granule::K16, 3), (Some(25), Some(29), 5));
        assert_eq!(range(Granule::K16, 2), (Some(26), Some(40), 15));
        assert_eq!(range(Granule::K16, 1), (Some(37), Some(48), 12));
        assert_eq!(range(Granule::K64, 3), (Some(25), Some(33), 9));
        assert_eq!(range(Granule::K64, 2), (Some(30), Some(46), 17));
        assert_eq!(range(Granule::K64, 1), (Some(43), Some(48), 6));
    }

    #[test]
    fn a_first_table_without_room_for_a_group_has_none() {
        let root = Level(1);
        let tight = Geometry::stage2(Granule::K16, input(26), OutputSize::Bits48, root).unwrap();
        assert_eq!(tight.contiguous_span(root), None);
        let group = PageSize::from_shift(14 + 7);
        assert_eq!(tight.contiguous_span(Level(0)), group);
    }
}
