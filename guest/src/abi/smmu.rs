//! The SMMU as the guest's own driver sees it.

/// The StreamID of the device behind [`dma::STREAM_DRIVEN`](super::dma::STREAM_DRIVEN).
pub const STREAM: u32 = 1;
