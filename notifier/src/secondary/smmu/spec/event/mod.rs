//! Event records, 32 bytes each (`IHI0070` 7.3).

mod codec;

use super::bits::Bits;
use super::command::Stag;
use crate::addr::{Access, Gpa, Iova, Ipa, StreamId, SubstreamId};

/// An event of the Non-secure event queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose transaction it was.
    pub stream: StreamId,
    /// With which SubstreamID, if any. `F_STREAM_DISABLED` does not record it; in
    /// `C_BAD_SUBSTREAMID` there always is one.
    pub substream: Option<SubstreamId>,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// `F_UUT`: a transaction of a kind that is not supported, before any override.
    UnsupportedTransaction(EventTransaction),
    /// `C_BAD_STREAMID`: outside of the stream table.
    BadStreamId,
    /// `F_STE_FETCH`: the entry at this address could not be read.
    SteFetch(Gpa),
    /// `C_BAD_STE`: the entry is not valid, or illegal.
    BadSte,
    /// `F_BAD_ATS_TREQ`: the stream may not request translations.
    BadAtsRequest(Iova),
    /// `F_STREAM_DISABLED`: the stream has no traffic of this kind, STE.S1DSS says.
    StreamDisabled,
    /// `F_TRANSL_FORBIDDEN`: the stream may not use translations of its own.
    TranslationForbidden(Iova, Access),
    /// `C_BAD_SUBSTREAMID`: there is no such substream.
    BadSubstreamId,
    /// `F_CD_FETCH`: the descriptor at this address could not be read.
    CdFetch(Gpa),
    /// `C_BAD_CD`: the descriptor is not valid, or illegal.
    BadCd,
    /// `F_WALK_EABT`: the table entry at this address could not be read or updated.
    WalkAbort(TranslationEvent, Gpa),
    /// `F_TRANSLATION`: nothing is mapped, or the address is out of range.
    Translation(TranslationEvent),
    /// `F_ADDR_SIZE`: what came out has too many bits.
    AddressSize(TranslationEvent),
    /// `F_ACCESS`: the access flag is clear.
    AccessFlag(TranslationEvent),
    /// `F_PERMISSION`: the access is not allowed.
    Permission(TranslationEvent),
    /// `F_TLB_CONFLICT`: several entries of the TLB match.
    TlbConflict(TranslationEvent),
    /// `F_CFG_CONFLICT`: several entries of the configuration cache match.
    ConfigConflict,
    /// `E_PAGE_REQUEST`: a hint that an access will come.
    PageRequest(PageHint),
}

/// The transaction that an event is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTransaction {
    /// Its address, as it came.
    pub input: Iova,
    /// RnW.
    pub access: Access,
    /// PnU.
    pub privilege: Privilege,
    /// InD: an instruction fetch.
    pub instruction: bool,
}

/// On whose behalf a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// An application's.
    Unprivileged,
    /// The system's.
    Privileged,
}

/// A fault of a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranslationEvent {
    /// What was translated.
    pub transaction: EventTransaction,
    /// CLASS: what was accessed by the address that faulted.
    pub class: Class,
    /// S2: stage 2 faulted, for this address; `None` for stage 1. The low 12 bits are not recorded.
    /// `NSIPA` is 0: the queue is the Non-secure one.
    pub stage2: Option<Ipa>,
    /// TTRnW, where `class` is [`Class::Table`]: the table was to be written by hardware update.
    pub table_access: Access,
    /// STALL and STAG: the transaction waits. Only of the four faults from `F_TRANSLATION` to
    /// `F_PERMISSION`.
    pub stall: Option<Stag>,
}

/// What was accessed by the address that faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A context descriptor.
    Cd,
    /// A stage-1 table.
    Table,
    /// What the device asked for.
    Input,
}

/// `E_PAGE_REQUEST`: which accesses will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageHint {
    /// To this page, a multiple of 4096.
    pub address: Iova,
    /// And so many after it: the number of pages of 4 KiB.
    pub pages: u8,
    /// Privileged read, write, execute, then unprivileged, from bit 5 down to bit 0.
    pub accesses: u8,
}

/// Bytes that are no record: an unknown number, or a reserved class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no event has the number {0:#04x}, or its fields are reserved")]
pub struct NoEvent(pub u8);

impl EventKind {
    /// The event's number.
    pub fn number(&self) -> u8 {
        match self {
            Self::UnsupportedTransaction(_) => 0x01,
            Self::BadStreamId => 0x02,
            Self::SteFetch(_) => 0x03,
            Self::BadSte => 0x04,
            Self::BadAtsRequest(_) => 0x05,
            Self::StreamDisabled => 0x06,
            Self::TranslationForbidden(..) => 0x07,
            Self::BadSubstreamId => 0x08,
            Self::CdFetch(_) => 0x09,
            Self::BadCd => 0x0a,
            Self::WalkAbort(..) => 0x0b,
            Self::Translation(_) => 0x10,
            Self::AddressSize(_) => 0x11,
            Self::AccessFlag(_) => 0x12,
            Self::Permission(_) => 0x13,
            Self::TlbConflict(_) => 0x20,
            Self::ConfigConflict => 0x21,
            Self::PageRequest(_) => 0x24,
        }
    }

    /// The event's name in the specification.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UnsupportedTransaction(_) => "F_UUT",
            Self::BadStreamId => "C_BAD_STREAMID",
            Self::SteFetch(_) => "F_STE_FETCH",
            Self::BadSte => "C_BAD_STE",
            Self::BadAtsRequest(_) => "F_BAD_ATS_TREQ",
            Self::StreamDisabled => "F_STREAM_DISABLED",
            Self::TranslationForbidden(..) => "F_TRANSL_FORBIDDEN",
            Self::BadSubstreamId => "C_BAD_SUBSTREAMID",
            Self::CdFetch(_) => "F_CD_FETCH",
            Self::BadCd => "C_BAD_CD",
            Self::WalkAbort(..) => "F_WALK_EABT",
            Self::Translation(_) => "F_TRANSLATION",
            Self::AddressSize(_) => "F_ADDR_SIZE",
            Self::AccessFlag(_) => "F_ACCESS",
            Self::Permission(_) => "F_PERMISSION",
            Self::TlbConflict(_) => "F_TLB_CONFLICT",
            Self::ConfigConflict => "F_CFG_CONFLICT",
            Self::PageRequest(_) => "E_PAGE_REQUEST",
        }
    }

    /// The transaction that waits for a CMD_RESUME because of it.
    pub fn stall(&self) -> Option<Stag> {
        match self {
            Self::Translation(it)
            | Self::AddressSize(it)
            | Self::AccessFlag(it)
            | Self::Permission(it) => it.stall,
            _ => None,
        }
    }
}
