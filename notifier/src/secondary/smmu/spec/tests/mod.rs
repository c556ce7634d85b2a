//! Structures, records, queues and registers.

mod records;
mod registers;
mod structures;

use super::*;

/// Everything that an SMMU can have.
pub(in super::super) const ALL: Abilities = Abilities {
    stages: Stages::Both,
    granules: Granules::all(),
    output: AddressSize::B48,
    stream_bits: 16,
    substream_bits: 20,
    two_level_streams: true,
    two_level_contexts: true,
    asid16: true,
    vmid16: true,
    ats: true,
    split_ats: true,
    pri: true,
    stall: StallModel::Configurable,
    httu: Httu::AccessAndDirty,
    range_invalidation: true,
    bbml: 2,
    btm: false,
    hyp: true,
    msi: true,
    sev: true,
    command_queue: 8,
    event_queue: 7,
    page_queue: 7,
};

/// The least that translates.
pub(in super::super) const LEAST: Abilities = Abilities {
    stages: Stages::One,
    granules: Granules::K4,
    output: AddressSize::B40,
    stream_bits: 8,
    substream_bits: 0,
    two_level_streams: false,
    two_level_contexts: false,
    asid16: false,
    vmid16: false,
    ats: false,
    split_ats: false,
    pri: false,
    stall: StallModel::Never,
    httu: Httu::None,
    range_invalidation: false,
    bbml: 0,
    btm: false,
    hyp: false,
    msi: false,
    sev: false,
    command_queue: 3,
    event_queue: 3,
    page_queue: 3,
};
