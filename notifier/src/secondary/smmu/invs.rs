//! What caches an address space, in the order in which it is to be invalidated (Linux:
//! `struct arm_smmu_invs`).

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{Batch, Levels, Request, Smmu};
use crate::addr::{AddrRange, Asid, Iova, StreamId};

/// Where an address space may be cached. An SMMU's own TLB sorts before the device TLBs, which
/// refill from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// In the SMMU's TLB, tagged with this (Linux: `INV_TYPE_S1_ASID`).
    Tag(Asid),
    /// In the TLB of the device behind this stream (Linux: `INV_TYPE_ATS`).
    Ats(StreamId),
}

/// A place that may cache an address space, and how many streams put it there.
#[derive(Clone)]
pub struct Inv {
    smmu: Arc<Smmu>,
    target: Target,
    users: u32,
}

impl Inv {
    /// A place with one user.
    pub fn new(smmu: Arc<Smmu>, target: Target) -> Self {
        let users = 1;
        Self {
            smmu,
            target,
            users,
        }
    }

    /// On which SMMU.
    pub fn smmu(&self) -> &Arc<Smmu> {
        &self.smmu
    }

    /// Where there.
    pub fn target(&self) -> Target {
        self.target
    }

    /// SMMUs have no order of their own: by address, as in Linux (`arm_smmu_inv_cmp`).
    fn key(&self) -> (usize, Target) {
        (Arc::as_ptr(&self.smmu).addr(), self.target)
    }

    /// Drops everything that the place holds.
    pub fn flush(&self) {
        let (tag, stream) = match self.target {
            Target::Tag(asid) => (Some(asid), None),
            Target::Ats(stream) => (None, Some(stream)),
        };
        let request = Request {
            range: AddrRange::all(),
            levels: Levels::All,
            tags: tag.as_slice(),
            ats: stream.as_slice(),
        };
        issue(&self.smmu, &self.smmu.features().plan(&request));
    }
}

/// The places that may cache one address space: by SMMU, then by [`Target`], without duplicates.
///
/// The rule behind it: what is not in here holds nothing of the address space. So a place is added
/// before anything can get there, and has been flushed when it is taken out and nothing can get
/// there any more.
#[derive(Clone, Default)]
pub struct Invs(Vec<Inv>);

impl Invs {
    /// Adds the places of a stream; who is here already gets another user.
    pub fn merge(&mut self, places: impl IntoIterator<Item = Inv>) {
        for place in places {
            match self.position(&place) {
                Ok(at) => self.0[at].users += place.users,
                Err(at) => self.0.insert(at, place),
            }
        }
    }

    /// Takes one user from each of these places, and returns those that had no other: they are to
    /// be flushed.
    #[must_use = "nobody invalidates what is no longer listed, so it must be flushed now"]
    pub fn unref(&mut self, places: impl IntoIterator<Item = Inv>) -> Vec<Inv> {
        let mut gone = Vec::new();
        for place in places {
            let Ok(at) = self.position(&place) else {
                continue;
            };
            self.0[at].users -= 1;
            if self.0[at].users == 0 {
                gone.push(self.0.remove(at));
            }
        }
        gone
    }

    /// The places, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Inv> {
        self.0.iter()
    }

    /// Whether this place is listed.
    pub fn contains(&self, place: &Inv) -> bool {
        self.position(place).is_ok()
    }

    /// Drops what any of the places holds of `range`. Complete on return.
    pub fn invalidate(&self, range: AddrRange<Iova>, levels: Levels) {
        for places in self
            .0
            .chunk_by(|one, next| Arc::ptr_eq(&one.smmu, &next.smmu))
        {
            let smmu = &places[0].smmu;
            let tags: Vec<_> = places.iter().filter_map(Inv::tag).collect();
            let ats: Vec<_> = places.iter().filter_map(Inv::stream).collect();
            let request = Request {
                range,
                levels,
                tags: &tags,
                ats: &ats,
            };
            issue(smmu, &smmu.features().plan(&request));
        }
    }

    fn position(&self, place: &Inv) -> Result<usize, usize> {
        self.0.binary_search_by_key(&place.key(), Inv::key)
    }
}

impl Inv {
    fn tag(&self) -> Option<Asid> {
        match self.target {
            Target::Tag(asid) => Some(asid),
            Target::Ats(_) => None,
        }
    }

    fn stream(&self) -> Option<StreamId> {
        match self.target {
            Target::Tag(_) => None,
            Target::Ats(stream) => Some(stream),
        }
    }
}

fn issue(smmu: &Smmu, batches: &[Batch]) {
    for batch in batches {
        smmu.issue(batch);
    }
}
