//! The DMA engine: registers on the bus, doorbells on the event loop, transfers through a
//! secondary MMU. The register map and the descriptor are in [`guest::abi::dma`].

mod carry;
mod engine;
mod job;
mod moves;
mod registers;
mod request;
mod translation;

pub use carry::DmaCounts;
pub(crate) use engine::{Engine, EngineParts};
pub(crate) use registers::Registers;
pub use request::Refusal;
