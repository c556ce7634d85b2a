//! An SMMU whose software invalidates everything that it changes is as one without a cache.

use notifier::addr::Access;
use proptest::prelude::*;

use crate::cases::cases;
use crate::world::{Content, PLACES, SPACES, STREAMS, Setup, World, repair};

/// What software and devices do.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// A place of an address space is changed, and what was in it invalidated.
    First(usize, usize, Content, u8),
    /// The same of a virtual machine's stage 2.
    Second(usize, usize, Content, u8),
    /// A stream's access, so many steps into a place.
    Access(usize, usize, u64, Access),
}

fn op() -> impl Strategy<Value = Op> {
    let slot = 0..PLACES;
    // More of two stages than of one: more can go wrong.
    let space = prop_oneof![1 => 0..2_usize, 2 => 2..SPACES.len()];
    let stream = prop_oneof![1 => 0..4_usize, 2 => 4..STREAMS.len()];
    let first = (space, slot.clone(), Content::any(), any::<u8>());
    let second = (0..2_usize, slot.clone(), Content::any(), any::<u8>());
    let access = prop::sample::select(vec![Access::Read, Access::Write]);
    let access = (stream, slot, 0..4_u64, access);
    prop_oneof![
        2 => first.prop_map(|(space, slot, content, how)| Op::First(space, slot, content, how)),
        1 => second.prop_map(|(machine, slot, content, how)| Op::Second(machine, slot, content, how)),
        8 => access.prop_map(|(stream, slot, step, access)| Op::Access(stream, slot, step, access)),
    ]
}

fn perform(world: &World, setup: &Setup, op: Op) -> Result<(), TestCaseError> {
    let change = match op {
        Op::First(space, slot, content, how) => {
            (world.set_first(space, setup.place(slot), content), how)
        }
        Op::Second(machine, slot, content, how) => {
            (world.set_second(machine, setup.place(slot), content), how)
        }
        Op::Access(stream, slot, step, access) => {
            let bound = STREAMS[stream];
            let slot = &world.slots(bound)[setup.place(slot)];
            let address = slot.address + ((step * 0x1008) & slot.size.offset_mask());
            let expected = world.naive(bound, address, access);
            prop_assert_eq!(world.access(stream, address, access), expected, "{:?}", op);
            return Ok(());
        }
    };
    world.complete(&repair(&change.0, world.granule, change.1));
    Ok(())
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn with_everything_invalidated_no_cache_is_seen(
        setup in Setup::any(),
        ops in prop::collection::vec(op(), 1..240),
    ) {
        let world = World::new(&setup);
        for op in ops {
            perform(&world, &setup, op)?;
        }
    }
}
