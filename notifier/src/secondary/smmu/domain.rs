//! An address space as the driver sees it: an ASID, and the streams that are bound to it.

#[cfg(test)]
mod tests;

use std::sync::{Arc, RwLock};

use super::{Asids, Context, Inv, Invs, Levels, NoAsid, Smmu, Sva, Target};
use crate::addr::{AddrRange, Asid, Gpa, Gva, Iova, StreamId};
use crate::paging::Format;
use crate::sync::{read, write};

/// A stream of an SMMU, to be bound to a domain.
#[derive(Clone)]
pub struct Master {
    /// Which SMMU.
    pub smmu: Arc<Smmu>,
    /// Which of its streams.
    pub stream: StreamId,
    /// Whether the device behind it has a TLB of its own.
    pub ats: bool,
}

impl Master {
    fn places(&self, asid: Asid) -> impl Iterator<Item = Inv> {
        let tag = Some(Target::Tag(asid));
        let ats = self.ats.then_some(Target::Ats(self.stream));
        let targets = tag.into_iter().chain(ats);
        targets.map(|target| Inv::new(Arc::clone(&self.smmu), target))
    }
}

/// What a domain and its subscriber have in common; it outlives the domain if a notification is
/// still on its way.
#[derive(Default)]
pub(super) struct Shared(RwLock<Listing>);

#[derive(Default)]
struct Listing {
    invs: Invs,
    released: bool,
}

impl Shared {
    pub(super) fn new(place: Inv) -> Self {
        let shared = Self::default();
        shared.list([place]);
        shared
    }

    fn list(&self, places: impl IntoIterator<Item = Inv>) {
        write(&self.0).invs.merge(places);
    }

    /// The list stays locked until what left it is flushed. A device TLB needs no SMMU to go on
    /// using what it has, so nobody may change an entry in between and think all are told.
    fn unlist(&self, places: impl IntoIterator<Item = Inv>) {
        let mut listing = write(&self.0);
        for place in listing.invs.unref(places) {
            place.flush();
        }
    }

    /// Takes everything out, with every stream that is bound to it.
    fn clear(&self) {
        let mut listing = write(&self.0);
        for place in listing.invs.iter() {
            if let Target::Tag(asid) = place.target() {
                place.smmu().detach_all(asid);
            }
        }
        listing.invs.invalidate(AddrRange::all(), Levels::All);
        listing.invs = Invs::default();
    }

    /// Invalidates what changed. Walk caches go too, since the notification does not say whether a
    /// table was freed.
    ///
    /// The list stays locked for reading meanwhile. That stands for two things: the barrier after
    /// which a notification sees every stream that could have walked the old entry (Linux:
    /// `smp_mb` in `arm_smmu_domain_inv_range`), and the read lock against ATS being switched off.
    pub(super) fn invalidate(&self, range: AddrRange<Gva>) {
        let range = range.map(Iova::shared);
        read(&self.0).invs.invalidate(range, Levels::All);
    }

    /// Stops translation, then drops all that is left. Once, twice or beside a notification makes
    /// no difference.
    pub(super) fn release(&self) {
        write(&self.0).released = true;
        let listing = read(&self.0);
        for place in listing.invs.iter() {
            if let Target::Tag(asid) = place.target() {
                place.smmu().disable_walks(asid);
            }
        }
        listing.invs.invalidate(AddrRange::all(), Levels::All);
    }
}

/// An address space that devices share.
///
/// ```text
/// attach:  list (in Invs) ---> install (write the STE) ---> leave (take out of the old domain)
/// detach:  unbind (write the STE) ---> take out of Invs, flush what has no user left
/// ```
///
/// Attaching in another order does not compile: only a [`Listed`] stream can be installed.
pub struct Domain {
    asid: Asid,
    root: Gpa,
    format: Arc<dyn Format>,
    asids: Arc<Asids>,
    shared: Arc<Shared>,
}

impl Domain {
    /// A domain without streams for the page table at `root`.
    ///
    /// # Errors
    /// [`NoAsid`] if every ASID is taken.
    pub fn new(asids: Arc<Asids>, root: Gpa, format: Arc<dyn Format>) -> Result<Self, NoAsid> {
        Ok(Self {
            asid: asids.allocate()?,
            root,
            format,
            asids,
            shared: Arc::default(),
        })
    }

    /// The tag of its TLB entries.
    pub fn asid(&self) -> Asid {
        self.asid
    }

    /// What is to be subscribed to the address space, before the first stream is attached.
    pub fn subscriber(&self) -> Sva {
        Sva::of(Arc::clone(&self.shared))
    }

    /// Whether a notification now would reach this place.
    pub fn lists(&self, place: &Inv) -> bool {
        read(&self.shared.0).invs.contains(place)
    }

    /// The first step of attaching: from now on notifications reach wherever the stream may cache
    /// something. Nothing can be cached there before the next step.
    pub fn list(&self, master: Master) -> Listed<'_> {
        self.shared.list(master.places(self.asid));
        Listed {
            domain: self,
            master,
        }
    }

    /// Unbinds the stream, and flushes what no other stream of the domain uses.
    pub fn detach(&self, master: &Master) {
        master.smmu.detach(master.stream);
        self.unlist(master);
    }

    fn unlist(&self, master: &Master) {
        self.shared.unlist(master.places(self.asid));
    }

    /// Binds the stream. It is bound without walks if the address space has been released, also
    /// if that happens at the same time: either the list is seen there, or the release here.
    fn install(&self, master: &Master) {
        let listing = read(&self.shared.0);
        let context = Context {
            asid: self.asid,
            root: self.root,
            format: Arc::clone(&self.format),
        };
        if listing.released {
            master.smmu.attach_without_walks(master.stream, context);
        } else {
            master.smmu.attach(master.stream, context);
        }
    }
}

/// Streams that are still bound are unbound, everything is flushed, and only then the ASID is free
/// for others. A notification that is still on its way may invalidate what the ASID's next owner
/// caches: too much, never too little.
impl Drop for Domain {
    fn drop(&mut self) {
        self.shared.clear();
        self.asids.free(self.asid);
    }
}

/// A stream that notifications reach, not yet bound.
#[must_use = "a stream that is listed and never installed costs every invalidation"]
pub struct Listed<'a> {
    domain: &'a Domain,
    master: Master,
}

impl Listed<'_> {
    /// The second step: the stream translates by this domain.
    pub fn install(self) -> Installed {
        self.domain.install(&self.master);
        Installed(self.master)
    }
}

/// A stream that is bound, and may be listed by the domain that it was bound to before.
pub struct Installed(Master);

impl Installed {
    /// The last step: out of the domain that it came from, and flush what only it used there.
    pub fn leave(self, old: &Domain) {
        old.unlist(&self.0);
    }
}
