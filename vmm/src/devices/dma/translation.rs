//! The secondary MMUs that the device is behind.

use std::sync::Arc;

use guest::abi::dma;
use notifier::addr::{Access, Asid, Gpa, Iova, StreamId};
use notifier::secondary::shadow::Shadow;
use notifier::secondary::smmu::Smmu;
use notifier::secondary::{CacheId, Fault, FaultKind};

use super::request::Stream;

/// Both of them.
pub(crate) struct Translation {
    pub(crate) smmu: Arc<Smmu>,
    pub(crate) stream: StreamId,
    pub(crate) asid: Asid,
    pub(crate) shadow: Arc<Shadow>,
}

impl Translation {
    /// Translates one access and makes it by `body`.
    pub(super) fn access<R>(
        &self,
        stream: Stream,
        iova: Iova,
        access: Access,
        body: impl FnOnce(Gpa) -> R,
    ) -> Result<R, Fault> {
        match stream {
            Stream::Smmu => self.smmu.access(self.stream, iova, access, body),
            Stream::Shadow => self.shadow.access(iova, access, body),
        }
    }

    /// The cache that answers for a stream.
    pub(super) fn cache(&self, stream: Stream) -> CacheId {
        match stream {
            Stream::Smmu => CacheId::SmmuTlb(self.asid),
            Stream::Shadow => CacheId::Shadow,
        }
    }
}

/// A fault as the descriptor has it.
pub(super) fn code(kind: FaultKind) -> u64 {
    match kind {
        FaultKind::Translation => dma::FAULT_TRANSLATION,
        FaultKind::Permission => dma::FAULT_PERMISSION,
        FaultKind::AccessFlag => dma::FAULT_ACCESS,
        FaultKind::Address => dma::FAULT_ADDRESS,
        FaultKind::Stream => dma::FAULT_STREAM,
        FaultKind::Invalidating => dma::FAULT_INVALIDATING,
        FaultKind::Configuration => dma::FAULT_CONFIGURATION,
        FaultKind::Aborted => dma::FAULT_ABORTED,
        FaultKind::Stalled(_) => dma::FAULT_STALLED,
    }
}
