//! From an event to its four words, and back.

use super::*;

/// Where the fields are.
mod field {
    use super::Bits;

    pub(super) const NUMBER: Bits = Bits::new(7, 0);
    pub(super) const SSV: Bits = Bits::bit(11);
    pub(super) const SUBSTREAM: Bits = Bits::new(31, 12);
    pub(super) const STREAM: Bits = Bits::new(63, 32);

    pub(super) const STAG: Bits = Bits::new(15, 0);
    pub(super) const STALL: Bits = Bits::bit(31);
    pub(super) const PNU: Bits = Bits::bit(33);
    pub(super) const IND: Bits = Bits::bit(34);
    pub(super) const RNW: Bits = Bits::bit(35);
    pub(super) const S2: Bits = Bits::bit(39);
    pub(super) const CLASS: Bits = Bits::new(41, 40);
    pub(super) const TTRNW: Bits = Bits::bit(44);
    pub(super) const HINT: Bits = Bits::new(39, 34);
    pub(super) const SPAN: Bits = Bits::new(51, 44);

    pub(super) const PAGE: Bits = Bits::new(63, 12);
    pub(super) const IPA: Bits = Bits::new(51, 12);
    pub(super) const FETCH: Bits = Bits::new(51, 3);
}

impl EventKind {
    /// The words of what only this kind has.
    fn encode(&self) -> [u64; 3] {
        match self {
            Self::UnsupportedTransaction(it) => [it.encode(), it.input.raw(), 0],
            Self::SteFetch(at) | Self::CdFetch(at) => [0, 0, at.raw() & field::FETCH.mask()],
            Self::BadAtsRequest(input) => [0, input.raw(), 0],
            Self::TranslationForbidden(input, access) => [read_flag(*access), input.raw(), 0],
            Self::WalkAbort(it, at) => {
                let [flags, input, _] = it.encode();
                [flags, input, at.raw() & field::FETCH.mask()]
            }
            Self::Translation(it)
            | Self::AddressSize(it)
            | Self::AccessFlag(it)
            | Self::Permission(it)
            | Self::TlbConflict(it) => it.encode(),
            Self::PageRequest(hint) => hint.encode(),
            Self::BadStreamId
            | Self::BadSte
            | Self::StreamDisabled
            | Self::BadSubstreamId
            | Self::BadCd
            | Self::ConfigConflict => [0; 3],
        }
    }
}

impl Event {
    /// Its size in memory, in bytes.
    pub const BYTES: u64 = 32;

    /// The four words, the first at the lowest address.
    pub fn encode(&self) -> [u64; 4] {
        let substream = match (self.kind, self.substream) {
            (EventKind::StreamDisabled, _) | (_, None) => 0,
            (EventKind::BadSubstreamId, Some(it)) => field::SUBSTREAM.put(u64::from(it.0)),
            (_, Some(it)) => field::SSV.mask() | field::SUBSTREAM.put(u64::from(it.0)),
        };
        let first = field::NUMBER.put(u64::from(self.kind.number()))
            | substream
            | field::STREAM.put(u64::from(self.stream.0));
        let [second, third, fourth] = self.kind.encode();
        [first, second, third, fourth]
    }

    /// The event that these four words are.
    ///
    /// # Errors
    /// [`NoEvent`] for a number that is reserved or implementation defined, or a reserved class.
    pub fn decode(words: [u64; 4]) -> Result<Self, NoEvent> {
        let [first, ..] = words;
        let kind = decode_kind(words)?;
        let has_substream = kind == EventKind::BadSubstreamId || field::SSV.is_set(first);
        let substream = SubstreamId(field::SUBSTREAM.u32(first));
        Ok(Self {
            stream: StreamId(field::STREAM.u32(first)),
            substream: has_substream.then_some(substream),
            kind,
        })
    }
}

fn decode_kind([first, second, third, fourth]: [u64; 4]) -> Result<EventKind, NoEvent> {
    let number = field::NUMBER.u8(first);
    let input = Iova::new(third);
    let fetch = Gpa::new(fourth & field::FETCH.mask());
    let fault =
        |stage2: u64| TranslationEvent::decode([second, third, stage2]).ok_or(NoEvent(number));
    Ok(match number {
        0x01 => EventKind::UnsupportedTransaction(EventTransaction::decode(second, third)),
        0x02 => EventKind::BadStreamId,
        0x03 => EventKind::SteFetch(fetch),
        0x04 => EventKind::BadSte,
        0x05 => EventKind::BadAtsRequest(input),
        0x06 => EventKind::StreamDisabled,
        0x07 => EventKind::TranslationForbidden(input, access(field::RNW.is_set(second))),
        0x08 => EventKind::BadSubstreamId,
        0x09 => EventKind::CdFetch(fetch),
        0x0a => EventKind::BadCd,
        0x0b => EventKind::WalkAbort(fault(0)?, fetch),
        0x10 => EventKind::Translation(fault(fourth)?),
        0x11 => EventKind::AddressSize(fault(fourth)?),
        0x12 => EventKind::AccessFlag(fault(fourth)?),
        0x13 => EventKind::Permission(fault(fourth)?),
        0x20 => EventKind::TlbConflict(fault(fourth)?),
        0x21 => EventKind::ConfigConflict,
        0x24 => EventKind::PageRequest(PageHint::decode(second, third)),
        _ => return Err(NoEvent(number)),
    })
}

fn access(read: bool) -> Access {
    if read { Access::Read } else { Access::Write }
}

fn read_flag(access: Access) -> u64 {
    field::RNW.flag(access == Access::Read)
}

impl EventTransaction {
    fn encode(&self) -> u64 {
        read_flag(self.access)
            | field::PNU.flag(self.privilege == Privilege::Privileged)
            | field::IND.flag(self.instruction)
    }

    fn decode(flags: u64, input: u64) -> Self {
        Self {
            input: Iova::new(input),
            access: access(field::RNW.is_set(flags)),
            privilege: if field::PNU.is_set(flags) {
                Privilege::Privileged
            } else {
                Privilege::Unprivileged
            },
            instruction: field::IND.is_set(flags),
        }
    }
}

impl TranslationEvent {
    fn encode(&self) -> [u64; 3] {
        let class = match self.class {
            Class::Cd => 0,
            Class::Table => 1,
            Class::Input => 2,
        };
        let stall = self.stall.map_or(0, |stag| {
            field::STALL.mask() | field::STAG.put(u64::from(stag.0))
        });
        let flags = self.transaction.encode()
            | field::S2.flag(self.stage2.is_some())
            | field::CLASS.put(class)
            | field::TTRNW.flag(self.table_access == Access::Read)
            | stall;
        let address = self.stage2.map_or(0, |ipa| ipa.raw() & field::IPA.mask());
        [flags, self.transaction.input.raw(), address]
    }

    fn decode([flags, input, address]: [u64; 3]) -> Option<Self> {
        let class = match field::CLASS.of(flags) {
            0 => Class::Cd,
            1 => Class::Table,
            2 => Class::Input,
            _ => return None,
        };
        let stag = Stag(field::STAG.u16(flags));
        let ipa = Ipa::new(address & field::IPA.mask());
        Some(Self {
            transaction: EventTransaction::decode(flags, input),
            class,
            stage2: field::S2.is_set(flags).then_some(ipa),
            table_access: access(field::TTRNW.is_set(flags)),
            stall: field::STALL.is_set(flags).then_some(stag),
        })
    }
}

impl PageHint {
    fn encode(&self) -> [u64; 3] {
        let flags =
            field::SPAN.put(u64::from(self.pages)) | field::HINT.put(u64::from(self.accesses));
        [flags, self.address.raw() & field::PAGE.mask(), 0]
    }

    fn decode(flags: u64, address: u64) -> Self {
        Self {
            address: Iova::new(address & field::PAGE.mask()),
            pages: field::SPAN.u8(flags),
            accesses: field::HINT.u8(flags),
        }
    }
}
