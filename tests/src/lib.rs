//! What the suites share.
//!
//! | module | for |
//! |---|---|
//! | [`host`] | tests that need KVM, and the trackers that work on it |
//! | [`lab`] | running programs on machines |
//! | [`op`], [`transfer`] | writing programs: operations, and DMA as a driver does it |
//! | [`assembler`] | bytecode of scenarios that run in a batch |
//! | [`page`] | the scenario's pages and their entries |
//! | [`image`] | payload images of raw machine code |
//!
//! The suites, a folder each: `live` (what a machine does), `negative` (what it refuses),
//! `leftovers` (what it leaves behind), `cli` (the command). On a host without a usable `/dev/kvm`
//! a test that needs it says that it skipped, and fails if `STALEMATE_REQUIRE_KVM=1`.

pub mod assembler;
pub mod host;
pub mod image;
pub mod lab;
pub mod op;
pub mod page;
pub mod transfer;
