//! What an invalidation command is for, and whether that is what somebody holds.

#[cfg(test)]
mod tests;

use std::fmt;

use super::smmu::Levels;
use super::{CacheId, Cached, CachedTable, Structure};
use crate::addr::{AddrRange, Asid, Iova, PageSize, StreamId, SubstreamId, Vmid};
use crate::paging::LeafHints;

/// What a command invalidates, apart from how it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Whose entries.
    pub tag: Tag,
    /// For which addresses: the device's, or the intermediate ones for [`Tag::Stage2`]. A
    /// configuration has none; there it is the whole address space.
    pub range: AddrRange<Iova>,
    /// The only page size whose entries are certain to go, if the command names a level (TTL).
    pub only: Option<PageSize>,
    /// Whether cached tables go too.
    pub levels: Levels,
}

/// Whose entries a command takes. An SMMU without a stage 2 has VMID 0 alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// Stage 1 of one ASID, and global entries (`CMD_TLBI_NH_VA`).
    Address(Vmid, Asid),
    /// Stage 1 of one ASID without global entries (`CMD_TLBI_NH_ASID`).
    Asid(Vmid, Asid),
    /// Stage 1 of all ASIDs, and global entries (`CMD_TLBI_NH_VAA`, `CMD_TLBI_NH_ALL`).
    Stage1(Vmid),
    /// Stage 2 alone (`CMD_TLBI_S2_IPA`): entries that combine both stages need not go.
    Stage2(Vmid),
    /// Both stages (`CMD_TLBI_S12_VMALL`).
    Both(Vmid),
    /// Both stages, whatever the VMID (`CMD_TLBI_NSNH_ALL`).
    All,
    /// The TLB of the device behind a stream (`CMD_ATC_INV`).
    Device(StreamId),
    /// All structures of the streams from the first to the last, both inclusive (`CMD_CFGI_STE`,
    /// `CMD_CFGI_STE_RANGE`, `CMD_CFGI_ALL`).
    Streams(StreamId, StreamId),
    /// The context descriptor of one substream, or all of a stream's (`CMD_CFGI_CD`,
    /// `CMD_CFGI_CD_ALL`).
    Descriptors(StreamId, Option<SubstreamId>),
}

/// Something in a cache, by all that an invalidation goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// In which cache.
    pub cache: CacheId,
    /// For which addresses.
    pub range: AddrRange<Iova>,
    /// What it is.
    pub what: What,
}

/// What a cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A page of this size.
    Page {
        /// Its size.
        size: PageSize,
        /// Whether every ASID has it.
        global: bool,
        /// Whether it may be one of a group that is held as one.
        contiguous: bool,
        /// Whether it is a piece of something larger, which is what a level names.
        piece: bool,
    },
    /// Where a table is.
    Table,
    /// A structure of a stream.
    Structure(Structure, Option<SubstreamId>),
}

/// What a command has to do with something that a cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fit {
    /// Nothing.
    Unrelated,
    /// It is for these addresses, but of another ASID, VMID, stream or substream.
    WrongTag,
    /// It is for this tag, but other addresses.
    Short,
    /// It is for this tag and these addresses, but another level or structure.
    WrongLevel,
    /// It takes it.
    Covers,
}

impl Scope {
    /// Everything of this tag, at every level.
    pub fn all(tag: Tag) -> Self {
        Self {
            tag,
            range: AddrRange::all(),
            only: None,
            levels: Levels::All,
        }
    }

    /// The same for some addresses.
    pub fn within(self, range: AddrRange<Iova>) -> Self {
        Self { range, ..self }
    }

    /// What it has to do with what is held.
    pub fn fit(&self, held: &Held) -> Fit {
        match (self.tag.fit(held), self.range.overlaps(held.range)) {
            (Fit::Covers, true) if self.reaches(&held.what) => Fit::Covers,
            (Fit::Covers, true) => Fit::WrongLevel,
            (Fit::Covers, false) => Fit::Short,
            (other, true) => other,
            (_, false) => Fit::Unrelated,
        }
    }

    /// Whether it reaches the level of what is held, tag and addresses apart.
    pub fn reaches(&self, what: &What) -> bool {
        match *what {
            What::Page {
                size,
                contiguous,
                piece,
                ..
            } => self.only.is_none_or(|only| {
                only == size || (contiguous && only < size) || (piece && only > size)
            }),
            What::Table => self.levels == Levels::All,
            What::Structure(..) => true,
        }
    }

    /// The one cache that it is for; `None` if it is for more than one.
    pub fn cache(&self) -> Option<CacheId> {
        match self.tag {
            Tag::Address(Vmid(0), asid) | Tag::Asid(Vmid(0), asid) => Some(CacheId::SmmuTlb(asid)),
            Tag::Address(vmid, asid) | Tag::Asid(vmid, asid) => {
                Some(CacheId::SmmuNested(vmid, asid))
            }
            Tag::Stage2(vmid) => Some(CacheId::SmmuStage2(vmid)),
            Tag::Device(stream) => Some(CacheId::Atc(stream)),
            Tag::Descriptors(stream, _) => Some(CacheId::SmmuConfiguration(stream)),
            Tag::Streams(first, last) if first == last => Some(CacheId::SmmuConfiguration(first)),
            Tag::Stage1(_) | Tag::Both(_) | Tag::All | Tag::Streams(..) => None,
        }
    }
}

impl Tag {
    /// What it has to do with what is held, addresses and level apart.
    fn fit(self, held: &Held) -> Fit {
        let global = matches!(held.what, What::Page { global: true, .. });
        match held.cache {
            CacheId::SmmuTlb(asid) => self.fit_stage1(Some(Vmid::default()), asid, global),
            CacheId::SmmuNested(vmid, asid) => self.fit_stage1(Some(vmid), asid, global),
            CacheId::SmmuWalk(asid) => self.fit_stage1(None, asid, global),
            CacheId::SmmuStage2(vmid) => match self {
                Self::Stage2(own) | Self::Both(own) => covers_if(own == vmid),
                Self::All => Fit::Covers,
                _ => Fit::Unrelated,
            },
            CacheId::Atc(stream) => match self {
                Self::Device(own) => covers_if(own == stream),
                _ => Fit::Unrelated,
            },
            CacheId::SmmuConfiguration(stream) => self.fit_structure(stream, &held.what),
            CacheId::Shadow => Fit::Unrelated,
        }
    }

    /// A walk cache is named by its ASID alone; there any VMID will do.
    fn fit_stage1(self, vmid: Option<Vmid>, asid: Asid, global: bool) -> Fit {
        let vm = |own| vmid.is_none_or(|vmid| vmid == own);
        match self {
            Self::Address(own, tag) => covers_if(vm(own) && (tag == asid || global)),
            Self::Asid(own, tag) => covers_if(vm(own) && tag == asid && !global),
            Self::Stage1(own) | Self::Both(own) => covers_if(vm(own)),
            Self::All => Fit::Covers,
            Self::Stage2(_) | Self::Device(_) | Self::Streams(..) | Self::Descriptors(..) => {
                Fit::Unrelated
            }
        }
    }

    fn fit_structure(self, stream: StreamId, what: &What) -> Fit {
        match (self, what) {
            (Self::Streams(first, last), _) => covers_if(first <= stream && stream <= last),
            (Self::Descriptors(own, _), _) if own != stream => Fit::WrongTag,
            (Self::Descriptors(..), What::Structure(Structure::StreamTableEntry, _)) => {
                Fit::WrongLevel
            }
            (Self::Descriptors(_, one), What::Structure(_, substream)) => {
                let number = |substream: Option<SubstreamId>| substream.unwrap_or(SubstreamId(0));
                covers_if(one.is_none() || number(one) == number(*substream))
            }
            _ => Fit::Unrelated,
        }
    }
}

fn covers_if(right: bool) -> Fit {
    if right { Fit::Covers } else { Fit::WrongTag }
}

impl Held {
    /// A cached page.
    pub fn page(cache: CacheId, entry: &Cached) -> Self {
        let leaf = &entry.leaf;
        Self {
            cache,
            range: entry.page,
            what: What::Page {
                size: leaf.size,
                global: leaf.global,
                contiguous: leaf.hints.contains(LeafHints::CONTIGUOUS),
                piece: leaf.hints.contains(LeafHints::PIECE),
            },
        }
    }

    /// A cached table.
    pub fn table(cache: CacheId, table: &CachedTable) -> Self {
        Self {
            cache,
            range: table.range,
            what: What::Table,
        }
    }

    /// A cached structure of a stream.
    pub fn structure(
        stream: StreamId,
        structure: Structure,
        substream: Option<SubstreamId>,
    ) -> Self {
        Self {
            cache: CacheId::SmmuConfiguration(stream),
            range: AddrRange::all(),
            what: What::Structure(structure, substream),
        }
    }
}

/// `ASID 1, [0x1000, 0x2000), 4 KiB only, pages only`
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.tag)?;
        if self.range != AddrRange::all() {
            write!(f, ", {}", self.range)?;
        }
        if let Some(size) = self.only {
            write!(f, ", {size} only")?;
        }
        match self.levels {
            Levels::Leaf => f.write_str(", pages only"),
            Levels::All => Ok(()),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(vmid, asid) => write!(f, "ASID {asid} and global of VMID {vmid}"),
            Self::Asid(vmid, asid) => write!(f, "ASID {asid} of VMID {vmid}"),
            Self::Stage1(vmid) => write!(f, "stage 1 of VMID {vmid}"),
            Self::Stage2(vmid) => write!(f, "stage 2 of VMID {vmid}"),
            Self::Both(vmid) => write!(f, "both stages of VMID {vmid}"),
            Self::All => f.write_str("all translations"),
            Self::Device(stream) => write!(f, "device TLB (stream {stream})"),
            Self::Streams(first, last) if first == last => {
                write!(f, "configuration of stream {first}")
            }
            Self::Streams(first, last) => write!(f, "configuration of streams {first} to {last}"),
            Self::Descriptors(stream, None) => write!(f, "context descriptors of stream {stream}"),
            Self::Descriptors(stream, Some(substream)) => {
                write!(f, "context descriptor {substream} of stream {stream}")
            }
        }
    }
}
