//! What a driver relies on in the structures that say how a stream is translated.

use std::collections::BTreeMap;

use super::history::Fact;
use super::judge::{Seen, State};
use super::{Detail, ViolationKind};
use crate::addr::{Access, Iova, StreamId, SubstreamId};
use crate::contract::Step;
use crate::secondary::{Configuration, Held};

/// How many streams and substreams are followed at a time.
const RELIED: usize = 1 << 10;

/// Whose configuration a driver relies on that the cache does not have, and since when.
#[derive(Debug, Default)]
pub(super) struct Relied(BTreeMap<(StreamId, Option<SubstreamId>), Step>);

impl State {
    /// A driver starts a device whose accesses would be translated by what is `found` now.
    pub(super) fn relied_on(
        &mut self,
        stream: StreamId,
        substream: Option<SubstreamId>,
        found: Configuration,
    ) {
        let key = (stream, substream);
        let Configuration::CachedDiffers(structure) = found else {
            self.relied.0.remove(&key);
            return;
        };
        let step = self.note(Fact::ReliedOn(stream, substream, structure));
        if self.relied.0.len() < RELIED || self.relied.0.contains_key(&key) {
            self.relied.0.insert(key, step);
        } else {
            self.not_kept();
        }
    }

    /// An access is about to be translated by what is `found`, which is not only
    /// [`Configuration::Cached`].
    pub(super) fn configured(
        &mut self,
        (stream, substream): (StreamId, Option<SubstreamId>),
        (iova, access): (Iova, Access),
        found: Configuration,
    ) {
        let Configuration::CachedDiffers(structure) = found else {
            self.note(Fact::Fetched(stream, substream));
            return;
        };
        let Some(since) = self.relied.0.get(&(stream, substream)).copied() else {
            return;
        };
        let held = Held::structure(stream, structure, substream);
        // What it was to rely on has arrived; what differs now is a later change.
        if self.is_invalidated(since, &held, iova) {
            self.relied.0.remove(&(stream, substream));
            return;
        }
        let step = self.note(Fact::Misconfigured(stream, substream, structure));
        let seen = Seen::once(step, held.cache, iova, access);
        let detail = Detail::Structure(structure, substream);
        self.violation(ViolationKind::StaleConfiguration, seen, None, Some(detail));
    }
}
