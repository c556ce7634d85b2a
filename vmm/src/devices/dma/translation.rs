//! The secondary MMUs that the device is behind.

use std::sync::Arc;

use guest::abi::dma;
use notifier::addr::{Access, Asid, Gpa, Iova, StreamId};
use notifier::secondary::shadow::Shadow;
use notifier::secondary::smmu::{Command, Resume, Smmu, Stag, Transaction};
use notifier::secondary::{CacheId, Fault, FaultKind};

use super::request::Stream;

/// All of them, and what the device is to each.
pub(crate) struct Translation {
    pub(crate) smmu: Arc<Smmu>,
    pub(crate) stream: StreamId,
    /// The stream that the guest's own driver configures.
    pub(crate) driven: StreamId,
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
            Stream::Driven => self.smmu.access(self.driven, iova, access, body),
            Stream::Shadow => self.shadow.access(iova, access, body),
        }
    }

    /// Translates one access that is made later.
    pub(super) fn begin(
        &self,
        stream: Stream,
        iova: Iova,
        access: Access,
    ) -> Result<Option<Transaction>, Fault> {
        let stream = self.stream_id(stream);
        stream
            .map(|stream| self.smmu.begin(stream, iova, access))
            .transpose()
    }

    /// Nobody waits for the answer to a stall any more; the SMMU has room for so many.
    pub(super) fn abandon(&self, stream: Stream, stag: Stag) {
        if let Some(stream) = self.stream_id(stream) {
            let abort = Command::Resume(stream, stag, Resume::Abort);
            self.smmu.submit(abort);
            self.smmu.stalled(stream, stag);
        }
    }

    /// What a stream is to the SMMU, if it is behind it.
    pub(super) fn stream_id(&self, stream: Stream) -> Option<StreamId> {
        match stream {
            Stream::Smmu => Some(self.stream),
            Stream::Driven => Some(self.driven),
            Stream::Shadow => None,
        }
    }

    /// The cache that answers for a stream; none if nothing translates it.
    pub(super) fn cache(&self, stream: Stream) -> Option<CacheId> {
        match stream {
            Stream::Smmu => Some(CacheId::SmmuTlb(self.asid)),
            Stream::Driven => self.smmu.cache_of(self.driven),
            Stream::Shadow => Some(CacheId::Shadow),
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
