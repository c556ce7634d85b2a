//! The Stalemate hypervisor: a small KVM machine whose guest changes its own page tables while a
//! device does DMA through a secondary MMU that is told of the changes, or is not.
//!
//! | module | job |
//! |---|---|
//! | [`host`] | what this host's KVM offers |
//! | [`memory`], [`image`], [`page_tables`] | guest memory and what it holds at the start |
//! | [`arch`] | what depends on the processor architecture |
//! | [`bus`], [`devices`] | what the guest reaches outside memory |
//! | [`vcpu`] | virtual CPUs and their threads |
//! | [`tracker`] | how the guest's page-table writes become known |
//! | [`mirror`], [`policy`] | the primary MMU's code: who is told of a change, and when |
//! | [`driver`] | who drives the SMMU |
//! | [`machine`] | all of it put together, run and stopped |
//! | [`recorder`] | what takes time outside the guest, for traces |
//! | [`live`] | scenarios on a machine |
//! | [`doctor`] | what this host offers, as far as it can be tried |
//! | [`probe`] | what this host does with translations |
//! | [`primary`] | what the host takes from a running guest and gives back, mirrored to a stage 2 |
//! | [`report`], [`cli`] | what the user sees and says |

pub mod arch;
pub mod bus;
pub mod cli;
pub mod devices;
pub mod doctor;
pub mod driver;
pub mod host;
pub mod image;
pub mod live;
mod lock;
pub mod machine;
pub mod memory;
pub mod mirror;
pub mod page_tables;
pub mod policy;
pub mod primary;
pub mod probe;
pub mod recorder;
pub mod report;
pub mod tracker;
pub mod vcpu;
