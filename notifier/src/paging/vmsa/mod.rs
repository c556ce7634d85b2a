//! The Arm formats: VMSAv8-64 stage 1 and stage 2, with granules of 4, 16 and 64 KiB (Arm ARM
//! DDI 0487, D8.2 and D8.3; an SMMU uses the same tables, `IHI0070` 3.4).
//!
//! [`Stage1`] is one half of an address space, [`Stage2`] a map of intermediate-physical addresses.
//! Input and output addresses have up to 48 bits: there is no 52-bit form (LPA, LPA2, LVA), no
//! small table (TTST), and no AArch32 format.
//!
//! Levels count from the last one here and from the first one in the Arm manuals, whose level 3 is
//! [`Level(0)`](super::Level), 2 is `Level(1)`, 1 is `Level(2)` and 0 is `Level(3)`.

mod breaking;
mod descriptor;
mod geometry;
mod granule;
mod memory_type;
mod size;
mod stage1;
mod stage2;

#[cfg(test)]
mod tests;

pub use breaking::{BreakLevel, BreakReason, needs_break_before_make};
pub use geometry::StartLevelError;
pub use granule::Granule;
pub use memory_type::{MemoryType, Shareability};
pub use size::{InputSize, OutputSize};
pub use stage1::{Half, Hierarchy, Stage1, TopByte};
pub use stage2::{Stage2, StartLevel};
