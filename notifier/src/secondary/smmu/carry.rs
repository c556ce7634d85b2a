//! What a command does to the caches, and what it covers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::flight::Open;
use super::model::count;
use super::{
    AtcScope, Broadcast, Command, Granule, Levels, NoAnswer, Racing, Requester, Smmu, TlbiSpan,
};
use crate::addr::{AddrRange, Address, Asid, Iova, StreamId, SubstreamId, Vmid};
use crate::secondary::cache::{Fate, Space, SpaceKey, SpaceTag};
use crate::secondary::{CacheId, Cached, Held, Scope, Tag};
use crate::sync::lock;

impl Command {
    /// What it invalidates; `None` for a command that invalidates nothing. `granule` is that of
    /// commands which name none.
    pub fn scope(&self, granule: Granule) -> Option<Scope> {
        let at = |tag, span: &TlbiSpan<Iova>| by_address(tag, span, granule);
        Some(match *self {
            Self::TlbiAll(vmid) => Scope::all(Tag::Stage1(vmid)),
            Self::TlbiAsid(vmid, asid) => Scope::all(Tag::Asid(vmid, asid)),
            Self::TlbiVa(tlbi) => at(Tag::Address(tlbi.vmid, tlbi.asid), &tlbi.span),
            Self::TlbiVaa(vmid, span) => at(Tag::Stage1(vmid), &span),
            Self::TlbiVmall(vmid) => Scope::all(Tag::Both(vmid)),
            Self::TlbiIpa(vmid, span) => by_address(Tag::Stage2(vmid), &span, granule),
            Self::TlbiNsnhAll => Scope::all(Tag::All),
            Self::AtcInv(stream, _, span) => Scope::all(Tag::Device(stream)).within(span.range()),
            Self::CfgiSte(stream, _) => Scope::all(Tag::Streams(stream, stream)),
            Self::CfgiSteRange(first, range) => {
                let last = StreamId(first.0 | ((2 << range.min(30)) - 1));
                Scope::all(Tag::Streams(first, last))
            }
            Self::CfgiAll => Scope::all(Tag::Streams(StreamId(0), StreamId(u32::MAX))),
            Self::CfgiCd(stream, substream, _) => {
                Scope::all(Tag::Descriptors(stream, Some(substream)))
            }
            Self::CfgiCdAll(stream) => Scope::all(Tag::Descriptors(stream, None)),
            // There is no EL2 here: such commands are illegal before they come to this.
            Self::TlbiEl2All
            | Self::TlbiEl2Asid(_)
            | Self::TlbiEl2Va(..)
            | Self::TlbiEl2Vaa(_)
            | Self::PrefetchConfig(..)
            | Self::PrefetchAddr(_)
            | Self::PriResp(_)
            | Self::Resume(..)
            | Self::StallTerm(_)
            | Self::Sync(_) => return None,
        })
    }

    /// Whether it invalidates a device TLB.
    pub(super) fn is_atc(&self) -> bool {
        matches!(self, Self::AtcInv(..))
    }
}

fn by_address<A: Address>(tag: Tag, span: &TlbiSpan<A>, granule: Granule) -> Scope {
    Scope {
        tag,
        range: span.range(granule).map(|address| Iova::new(address.raw())),
        only: span.only_size(),
        levels: span.levels,
    }
}

/// Whether entries of a space are among those that a tag is for.
fn has(tag: Tag, key: SpaceKey) -> bool {
    let of = |vmid: Vmid| key.vmid == Some(vmid);
    match tag {
        Tag::Asid(vmid, asid) => of(vmid) && key.tag == SpaceTag::Asid(asid),
        Tag::Address(vmid, asid) => {
            of(vmid) && (key.tag == SpaceTag::Asid(asid) || key.tag == SpaceTag::Global)
        }
        Tag::Stage1(vmid) => of(vmid) && key.tag != SpaceTag::Stage2,
        Tag::Stage2(vmid) => of(vmid) && key.tag == SpaceTag::Stage2,
        Tag::Both(vmid) => of(vmid),
        Tag::All => true,
        Tag::Device(_) | Tag::Streams(..) | Tag::Descriptors(..) => false,
    }
}

/// Whether a tag is for the configuration of a stream and substream.
fn configures(tag: Tag, from: Requester) -> bool {
    let Requester { stream, substream } = from;
    match tag {
        Tag::Streams(first, last) => first <= stream && stream <= last,
        Tag::Descriptors(of, None) => of == stream,
        Tag::Descriptors(of, Some(context)) => {
            of == stream && context == substream.unwrap_or(SubstreamId(0))
        }
        _ => false,
    }
}

/// Whether the completion of a command waits for this access (`IHI0070` 3.21.1).
pub(super) fn covers(scope: &Scope, open: &Open) -> bool {
    let translated = open.space.is_some_and(|key| match scope.tag {
        // What it used of stage 2 is not on record, so all of the machine's are waited for.
        Tag::Stage2(vmid) => key.vmid == Some(vmid),
        tag => has(tag, key) && scope.range.overlaps(open.page),
    });
    translated || configures(scope.tag, open.from)
}

/// What the observer knows the entries of a space by; those that all address spaces share are of
/// the one whose invalidation takes them.
fn cache_of(key: SpaceKey, scope: &Scope) -> CacheId {
    let vmid = key.vmid.unwrap_or_default();
    match key.tag {
        SpaceTag::Stage2 => CacheId::SmmuStage2(vmid),
        SpaceTag::Asid(asid) => CacheId::of_address_space(vmid, asid),
        SpaceTag::Global => scope
            .cache()
            .unwrap_or(CacheId::of_address_space(vmid, Asid(0))),
    }
}

impl Smmu {
    /// The command has its effect; it is complete at the next CMD_SYNC.
    pub(super) fn take_effect(&self, command: &Command) -> Result<(), NoAnswer> {
        match *command {
            Command::Resume(stream, stag, resume) => self.resume(stream, stag, resume),
            Command::StallTerm(stream) => self.end_stalls(stream),
            Command::PriResp(response) => self.respond(&response),
            Command::AtcInv(stream, scope, span) => {
                count(&self.counters.atc_invalidations);
                self.invalidate_device(stream, scope, span.range())?;
            }
            _ => {}
        }
        if let Some(scope) = command.scope(self.features.granule) {
            let removed = if command.is_tlbi() {
                self.invalidate_caches(&scope)
            } else if command.is_cfgi() {
                self.streams.forget(|from| configures(scope.tag, *from))
            } else {
                0
            };
            self.observer.carried_out(&scope, removed);
        }
        Ok(())
    }

    fn invalidate_device(
        &self,
        stream: StreamId,
        scope: AtcScope,
        range: AddrRange<Iova>,
    ) -> Result<(), NoAnswer> {
        let device = self.device(stream);
        device.map_or(Ok(()), |device| device.invalidate(scope, range))
    }

    /// Stage 2 first: a walk of both stages that begins after the first is done must find nothing of
    /// the second that is about to go. And the walk cache first: see
    /// [`cache`](crate::secondary::cache).
    fn invalidate_caches(&self, scope: &Scope) -> u64 {
        let mut removed = 0;
        let mut spaces = self.tlb.spaces(|key| has(scope.tag, key));
        spaces.sort_by_key(|space| space.key().tag != SpaceTag::Stage2);
        for space in spaces {
            if scope.levels == Levels::All {
                self.invalidate_tables(&space, scope);
            }
            removed += self.invalidate_entries(&space, scope);
        }
        count(&self.counters.invalidations);
        let gone = &self.counters.invalidated_entries;
        gone.fetch_add(removed, Ordering::Relaxed);
        if removed == 0 {
            count(&self.counters.redundant_invalidations);
        }
        removed
    }

    fn invalidate_tables(&self, space: &Space, scope: &Scope) {
        if scope.range == AddrRange::all() {
            self.tables.invalidate_space(space);
        } else {
            self.tables.invalidate(space, scope.range);
        }
    }

    fn invalidate_entries(&self, space: &Arc<Space>, scope: &Scope) -> u64 {
        let is_whole = scope.range == AddrRange::all();
        let watched = self.observer.watches() || self.knobs.racing == Racing::Survives;
        if is_whole && !watched {
            return self.tlb.invalidate_space(space, None);
        }
        let (key, cache) = (space.key(), cache_of(space.key(), scope));
        let mut dropped = Vec::new();
        let mut fate = |entry: &Cached| {
            let reached = scope.reaches(&Held::page(cache, entry).what);
            let fate = if reached {
                self.fate(key, entry)
            } else {
                Fate::Stays
            };
            if fate == Fate::Goes {
                dropped.push(*entry);
            }
            fate
        };
        let removed = if is_whole {
            self.tlb.invalidate_space(space, Some(&mut fate))
        } else {
            self.tlb.invalidate(space, scope.range, None, &mut fate)
        };
        for entry in &dropped {
            self.observer.dropped(cache, entry);
        }
        removed
    }

    fn fate(&self, key: SpaceKey, entry: &Cached) -> Fate {
        match self.knobs.racing {
            Racing::Goes => Fate::Goes,
            Racing::Survives => lock(&self.queue).racing.fate(key, entry),
        }
    }

    /// An entry is used; with the erratum, and an invalidation on its way, that saves it.
    pub(super) fn note_use(&self, space: &Space, entry: &Cached) {
        if self.knobs.racing == Racing::Survives && self.has_pending_tlbi() {
            lock(&self.queue).racing.used(space.key(), entry);
        }
    }

    /// Drops what the TLB holds of `range` in this address space. Complete on return: accesses that
    /// used any of it have ended, those that are held open included.
    ///
    /// No command does this: it is for whoever has no driver. A driver plans
    /// ([`Features::plan`](super::Features::plan)) and [`issue`](Self::issue)s.
    pub fn invalidate(&self, asid: Asid, range: AddrRange<Iova>) {
        let scope = Scope::all(Tag::Address(Vmid::default(), asid)).within(range);
        self.invalidate_caches(&scope);
        self.flight.drain();
        let horizon = self.flight.horizon();
        let before = |number, open: &Open| number < horizon && covers(&scope, open);
        self.flight.wait_for_held(&before);
        self.observer.invalidated(CacheId::SmmuTlb(asid), range);
    }

    /// A TLBI that the CPUs broadcast. With [`Broadcast::On`], unless software does not
    /// want them (CR2.PTM), it is complete on return; else nothing happens.
    pub fn broadcast(&self, asid: Asid, range: AddrRange<Iova>) {
        let programming = self.programming.load();
        let listens = programming
            .as_ref()
            .is_none_or(|it| it.broadcast == Broadcast::On);
        if self.knobs.broadcast == Broadcast::On && listens {
            self.invalidate(asid, range);
        }
    }
}
