//! Both stages and all granules: single bits, properties, and a peer.

mod bits;
mod breaking;
mod hostile;
mod peer;
mod trees;

use proptest::prelude::*;

use super::*;
use crate::addr::{Gpa, Permissions};
use crate::paging::{Format, Leaf, LeafHints, Level, Meaning};

/// Any supported shape of stage 1 or stage 2.
fn any_format() -> impl Strategy<Value = Box<dyn Format>> {
    let shape = (0..3usize, 16..=39u8, 0..6usize, 0..4u8, 0..3u8);
    shape.prop_filter_map(
        "no such start level",
        |(granule, tsz, output, kind, sl0)| {
            let granule = Granule::ALL[granule];
            let (input, output) = (InputSize::from_tsz(tsz)?, OutputSize::ALL[output]);
            let stage1 = |half| Stage1::new(granule, half, input, output);
            Some(match kind {
                0 => Box::new(stage1(Half::Low)) as Box<dyn Format>,
                1 => Box::new(stage1(Half::High).with_top_byte(TopByte::Ignored)),
                _ => {
                    let start = StartLevel::from_sl0(granule, sl0)?;
                    Box::new(Stage2::new(granule, start, input, output).ok()?)
                }
            })
        },
    )
}

/// The leaf that `entry` says in a table at `level`.
fn leaf(format: &dyn Format, entry: u64, level: Level) -> Option<Leaf> {
    match format.decode(entry, level) {
        Ok(Meaning::Leaf(leaf)) => Some(leaf),
        _ => None,
    }
}

fn stage1(granule: Granule) -> Stage1 {
    let (input, output) = (InputSize::BITS_48, OutputSize::Bits48);
    Stage1::new(granule, Half::Low, input, output)
}

fn stage2(granule: Granule, tsz: u8, sl0: u8) -> Stage2 {
    let start = StartLevel::from_sl0(granule, sl0).unwrap();
    let input = InputSize::from_tsz(tsz).unwrap();
    Stage2::new(granule, start, input, OutputSize::Bits48).unwrap()
}
